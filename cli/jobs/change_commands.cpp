// `lanekeeper jobs cancel` and `retry`.
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/jobs/commands.h"
#include "cli/remote/lane_paths.h"

namespace lanekeeper::jobs {
namespace {

using cli::Exit;
using nlohmann::json;

client::HttpRequest Request(const char* method, const std::string& path) {
  return {.method = method, .path = path, .headers = {}, .content_type = {}, .body = {}};
}

ClientResult<json> Cancel(cli::Remote& remote, const std::string& path) {
  auto job = remote.Call(Request("DELETE", path));
  if (job || job.error().problem != "job-finished") return job;
  // A try whose answer was lost may have done it.
  auto now = remote.Get(path);
  if (now && now->is_object() && now->value("state", "") == "cancelled") return now;
  return job;
}

// Why a job that is not dead has nothing to be sent again.
std::string WhyNoRetry(const std::string& state) {
  if (state == "done") return "it is done; submit it anew to run it again";
  if (state == "cancelled") return "it was cancelled; submit it anew to run it";
  if (state == "moved") return "it was moved; the job that took its place has another id";
  return "it is " + state + " and will run by itself";
}

ClientResult<json> Retry(cli::Remote& remote, const std::string& path, const std::string& id) {
  auto job = remote.Get(path);
  if (!job) return job;
  const std::string state = job->is_object() ? job->value("state", "") : "";
  if (state != "dead") {
    return tl::unexpected<ClientError>(
        {.kind = ErrorKind::kInvalid,
         .message = "retrying job " + id + ": only dead jobs are retried; " + WhyNoRetry(state),
         .problem = {},
         .status = 0,
         .retry_after = {}});
  }
  const auto letter = FindDeadLetter(remote, *job);
  if (!letter) return letter;
  const std::string sequence = std::to_string(letter->value("sequence", std::uint64_t{0}));
  const auto sent = remote.Call(
      Request("POST", cli::PoolPath(PoolOfJob(*job)) + "/dead/" + sequence + "/replay"));
  if (!sent) return sent;
  return json{{"id", id}, {"state", "retried"}};
}

using Act = ClientResult<json> (*)(cli::Remote& remote, const std::string& path,
                                   const std::string& id);

// All of them, also after one that could not be changed; the status is that of the first of these.
Exit ChangeAll(const IdOptions& options, cli::Remote& remote, const char* done, Act act) {
  const bool is_table =
      options.format == cli::Format::kTable || options.format == cli::Format::kWide;
  json items = json::array();
  Exit worst = Exit::kOk;
  for (const std::string& id : options.ids) {
    const auto pool = PoolOf(remote, options.pool, id);
    const auto changed = pool ? act(remote, JobPath(*pool, id), id)
                              : ClientResult<json>(tl::unexpected<ClientError>(pool.error()));
    if (!changed) {
      const Exit status = cli::Refuse(changed.error());
      if (worst == Exit::kOk) worst = status;
    } else if (is_table) {
      std::cout << "job " << cli::Printable(id) << " " << done << std::endl;
    } else {
      items.push_back(*changed);
    }
  }
  if (!is_table) cli::PrintItems(std::cout, options.format, items, {}, "");
  return worst;
}

}  // namespace

void AddChangeCommands(CLI::App& jobs, cli::Commands commands) {
  const auto add = [&](const char* name, const char* what, const char* examples, const char* done,
                       Act act) {
    const auto options = std::make_shared<IdOptions>();
    CLI::App* app = jobs.add_subcommand(name, what);
    app->footer(examples);
    AddIdFlags(*app, *options, /*many=*/true);
    app->callback([options, done, act, &run = commands.run] {
      run = [options, done, act] {
        return WithRemote(options->target, [&](cli::Remote& remote) {
          return ChangeAll(*options, remote, done, act);
        });
      };
    });
  };
  add("cancel", "Cancels jobs: one that waits never runs, a running one is told to stop",
      "Examples:\n  lanekeeper jobs cancel LK_studio_media_short.17 LK_studio_media_short.18",
      "is cancelled", [](cli::Remote& remote, const std::string& path, const std::string& /*id*/) {
        return Cancel(remote, path);
      });
  add("retry", "Sends dead jobs again, each to the lane it died in",
      "Examples:\n  lanekeeper jobs retry LK_studio_media_short.17", "is sent again", Retry);
}

}  // namespace lanekeeper::jobs
