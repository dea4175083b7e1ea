#include "cli/jobs/jobs_command.h"

#include <algorithm>
#include <chrono>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "cli/jobs/commands.h"
#include "cli/jobs/job_text.h"
#include "cli/jobs/submission.h"
#include "cli/remote/lane_paths.h"
#include "worker-runtime/base/percent_encode.h"

namespace lanekeeper::jobs {
namespace {

using cli::Exit;
using nlohmann::json;

constexpr int kPageMax = 500;  // What a gateway gives at once.
constexpr int kListMax = 100'000;
constexpr int kDeadPagesMax = 200;  // Of a search for one dead letter.

constexpr const char* kJobsExamples = R"(Examples:
  lanekeeper jobs                                  the jobs of the only pool
  lanekeeper jobs studio/media --state dead --since 1h
  lanekeeper jobs show LK_studio_media_short.17
  lanekeeper jobs logs LK_studio_media_short.17
  lanekeeper jobs retry LK_studio_media_short.17)";
constexpr const char* kListExamples = R"(Examples:
  lanekeeper jobs list media --lane short --state running
  lanekeeper jobs list --type thumbnail --since 10m --limit 1000 -o json)";

struct ListOptions {
  cli::TargetFlags target;
  cli::Format format = cli::Format::kTable;
  std::string pool;
  std::string state;
  std::string lane;
  std::string type;
  std::string since;
  int limit = 50;
};

void AddListFlags(CLI::App& app, ListOptions& options) {
  app.add_option("pool", options.pool, "[NAMESPACE/]POOL [the only one]")->type_name("POOL");
  app.add_option("--state", options.state,
                 "waiting, running, parked, done, dead, moved or cancelled")
      ->type_name("STATE");
  app.add_option("--lane", options.lane, "only of this lane")->type_name("LANE");
  app.add_option("--type", options.type, "only for this handler")->type_name("TYPE");
  app.add_option("--since", options.since, "submitted since: a duration, or a time")
      ->type_name("TIME");
  app.add_option("--limit", options.limit, "at most so many [50]")
      ->check(CLI::Range(1, kListMax))
      ->type_name("N");
  cli::AddOutputFlag(app, options.format);
  cli::AddTargetFlags(app, options.target);
}

std::string QueryOf(const ListOptions& options, const std::string& since) {
  std::string query;
  for (const auto& [name, value] :
       {std::pair("state", &options.state), std::pair("lane", &options.lane),
        std::pair("type", &options.type), std::pair("since", &since)}) {
    if (!value->empty()) query += std::string("&") + name + "=" + PercentEncode(*value);
  }
  return query;
}

Exit List(const ListOptions& options, cli::Remote& remote, const std::string& since) {
  const auto pool = remote.Resolve(options.pool, /*with_lane=*/false);
  if (!pool) return cli::Refuse(pool.error());
  const std::string path = cli::PoolPath(*pool) + "/jobs?limit=";
  const std::string query = QueryOf(options, since);
  json jobs = json::array();
  std::string cursor;
  do {
    const int left = options.limit - static_cast<int>(jobs.size());
    const auto page = remote.Get(path + std::to_string(std::min(left, kPageMax)) + query +
                                 (cursor.empty() ? "" : "&cursor=" + PercentEncode(cursor)));
    if (!page) return cli::Refuse(page.error());
    if (!page->is_object()) break;
    for (const json& job : page->value("jobs", json::array())) jobs.push_back(job);
    std::string next = page->value("next", "");
    if (next == cursor) break;
    cursor = std::move(next);
  } while (!cursor.empty() && static_cast<int>(jobs.size()) < options.limit);
  cli::PrintItems(
      std::cout, options.format, jobs, JobColumns(/*with_pool=*/false),
      "No jobs of " + cli::Shown(*pool) + (query.empty() ? " are known." : " are like that."));
  const bool is_table =
      options.format == cli::Format::kTable || options.format == cli::Format::kWide;
  if (!cursor.empty() && is_table) {
    std::cerr << "There are more; --limit takes up to " << kListMax << ".\n";
  }
  return Exit::kOk;
}

Exit RunList(const ListOptions& options) {
  std::string since;
  if (!options.since.empty()) {
    const auto time = ReadTime(options.since, std::chrono::system_clock::now(), /*after=*/false);
    if (!time) return cli::Refuse(Error{ErrorKind::kInvalid, "--since: " + time.error().message});
    since = FormatRfc3339(*time);
  }
  return WithRemote(options.target,
                    [&](cli::Remote& remote) { return List(options, remote, since); });
}

}  // namespace

void AddIdFlags(CLI::App& app, IdOptions& options, bool many) {
  CLI::Option* ids = app.add_option("id", options.ids, many ? "of jobs" : "of a job");
  ids->required()->type_name("ID");
  if (!many) ids->expected(1);
  app.add_option("--pool", options.pool, "of jobs whose ids do not say it")->type_name("POOL");
  cli::AddOutputFlag(app, options.format);
  cli::AddTargetFlags(app, options.target);
}

ClientResult<cli::LaneName> PoolOf(cli::Remote& remote, const std::string& pool,
                                   const std::string& id) {
  // Ids that gateways give are <stream>.<sequence>…: they know whose it is.
  if (pool.empty() && id.find('.') != std::string::npos) return cli::LaneName{};
  auto found = remote.Resolve(pool, /*with_lane=*/false);
  if (!found && pool.empty()) {
    found.error().message =
        "the id '" + id + "' does not say its pool; --pool: " + found.error().message;
  }
  return found;
}

std::string JobPath(const cli::LaneName& pool, const std::string& id) {
  if (pool.pool.empty()) return "/v1/jobs/" + PercentEncode(id);
  return cli::PoolPath(pool) + "/jobs/" + PercentEncode(id);
}

Exit WithRemote(const cli::TargetFlags& target, const std::function<Exit(cli::Remote&)>& act) {
  const auto remote = cli::FindRemote(target);
  if (!remote) return cli::Refuse(remote.error());
  return act(**remote);
}

cli::LaneName PoolOfJob(const json& job) {
  return {.pool_namespace = job.value("namespace", ""), .pool = job.value("pool", ""), .lane = {}};
}

// The newest come first, and a job that is dead has mostly died lately.
ClientResult<json> FindDeadLetter(cli::Remote& remote, const json& job) {
  const std::string id = job.value("id", "");
  const std::string path = cli::PoolPath(PoolOfJob(job)) +
                           "/dead?limit=" + std::to_string(kPageMax) +
                           "&lane=" + PercentEncode(job.value("lane", ""));
  std::string from;
  for (int pages = 0; pages < kDeadPagesMax; ++pages) {
    auto page = remote.Get(path + (from.empty() ? "" : "&from=" + from));
    if (!page) return page;
    if (!page->is_object()) break;
    for (const json& letter : page->value("dead_letters", json::array())) {
      if (letter.value("job_id", "") == id) return letter;
    }
    const std::uint64_t next = page->value("next", std::uint64_t{0});
    if (next == 0) break;
    from = std::to_string(next);
  }
  return tl::unexpected<ClientError>({.kind = ErrorKind::kNotFound,
                                      .message = "there is no dead letter of job " + id +
                                                 " any more: it was replayed or discarded",
                                      .problem = {},
                                      .status = 0,
                                      .retry_after = {}});
}

void AddJobsCommands(cli::Commands commands) {
  AddSubmitCommand(commands);
  CLI::App* jobs = commands.app.add_subcommand("jobs", "Lists jobs; shows and changes single ones");
  jobs->footer(kJobsExamples);
  jobs->require_subcommand(0, 1);
  const auto options = std::make_shared<ListOptions>();
  AddListFlags(*jobs, *options);
  CLI::App* list = jobs->add_subcommand("list", "Lists the jobs of a pool");
  list->footer(kListExamples);
  AddListFlags(*list, *options);
  const auto run_list = [options, &run = commands.run] {
    run = [options] { return RunList(*options); };
  };
  list->callback(run_list);
  jobs->callback([jobs, run_list] {
    if (jobs->get_subcommands().empty()) run_list();
  });
  AddShowCommands(*jobs, commands);
  AddChangeCommands(*jobs, commands);
}

}  // namespace lanekeeper::jobs
