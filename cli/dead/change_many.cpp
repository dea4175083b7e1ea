#include "cli/dead/change_many.h"

#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/dead/dead_text.h"
#include "cli/dead/nothing_found.h"
#include "cli/remote/lane_paths.h"

namespace lanekeeper::dead {
namespace {

using cli::Exit;
using nlohmann::json;

constexpr int kListsMax = 40;
constexpr const char* kListPage = "500";
// Each goes on for 25 seconds; so long as they get somewhere, they are repeated.
constexpr int kCallsMax = 10'000;

Exit Misuse(const std::string& message) {
  cli::Complain(message);
  return Exit::kUsage;
}

// Exactly one of the three ways to say which.
std::optional<std::string> Misused(const ChangeFlags& flags) {
  const int ways =
      (flags.letters.empty() ? 0 : 1) + (flags.group.empty() ? 0 : 1) + (flags.all ? 1 : 0);
  if (ways != 1) return "say which: sequences, --group FINGERPRINT, or --all";
  if (!flags.lane.empty() && !flags.letters.empty()) return "--lane is for --group and --all";
  return std::nullopt;
}

client::HttpRequest Request(const char* method, std::string path, const json& body) {
  return {.method = method,
          .path = std::move(path),
          .headers = {},
          .content_type = body.is_null() ? "" : "application/json",
          .body = body.is_null() ? "" : body.dump()};
}

Exit Report(const ChangeFlags& flags, const Progress& progress, const char* done) {
  if (flags.format == cli::Format::kTable || flags.format == cli::Format::kWide) {
    std::cout << cli::Printable(ProgressText(progress, done)) << std::endl;
  } else {
    cli::PrintOne(std::cout, flags.format, ProgressJson(progress), {});
  }
  return progress.complete && progress.kept == 0 ? Exit::kOk : Exit::kFailed;
}

// Until the gateway says that it is through.
Exit ChangeAll(cli::Remote& remote, const ChangeFlags& flags, const cli::LaneName& pool,
               const std::string& path, const json& body, const char* done) {
  Progress progress;
  for (int call = 0; call < kCallsMax; ++call) {
    const auto answer = remote.Call(Request("POST", path, body));
    if (!answer && progress.done > 0) {
      progress.complete = false;
      progress.ended_by = answer.error().message;
      return Report(flags, progress, done);
    }
    if (!answer) return cli::Refuse(answer.error());
    Add(progress, *answer);
    const bool got_somewhere = answer->value("done", std::int64_t{0}) > 0;
    if (progress.complete || !progress.ended_by.empty() || !got_somewhere) break;
    cli::Complain(ProgressText({.done = progress.done, .complete = true}, done) + " Going on.");
  }
  if (progress.complete && progress.done == 0 && progress.kept == 0) {
    const auto known = RefuseUnknown(remote, pool, flags.lane, flags.group);
    if (!known) return cli::Refuse(known.error());
  }
  return Report(flags, progress, done);
}

json FilterOf(const ChangeFlags& flags) {
  json filter = json::object();
  if (!flags.group.empty()) filter["fingerprint"] = flags.group;
  if (!flags.lane.empty()) filter["lane"] = flags.lane;
  return filter;
}

// One after the other; the first that cannot be done ends it.
Exit ChangeNamed(cli::Remote& remote, const ChangeFlags& flags, const std::string& pool_path,
                 const char* done,
                 const std::function<client::HttpRequest(std::uint64_t sequence)>& request) {
  Progress progress{.complete = true};
  for (const std::string& letter : flags.letters) {
    const auto sequence = FindLetter(remote, pool_path, letter);
    ClientResult<json> answer = json();
    if (!sequence) {
      answer = tl::unexpected(sequence.error());
    } else {
      answer = remote.Call(request(*sequence));
    }
    if (!answer) {
      if (progress.done > 0) static_cast<void>(Report(flags, progress, done));
      return cli::Refuse(answer.error());
    }
    ++progress.done;
  }
  return Report(flags, progress, done);
}

}  // namespace

ClientResult<std::uint64_t> FindLetter(cli::Remote& remote, const std::string& pool_path,
                                       const std::string& text) {
  if (const auto sequence = SequenceOf(text)) return *sequence;
  std::string from;
  for (int n = 0; n < kListsMax; ++n) {
    const auto list = remote.Get(pool_path + "/dead?limit=" + kListPage + from);
    if (!list) return tl::unexpected(list.error());
    for (const json& letter : list->value("dead_letters", json::array())) {
      if (letter.value("job_id", "") == text) return letter.value("sequence", std::uint64_t{0});
    }
    if (!list->contains("next")) break;
    from = "&from=" + cli::TextAt(*list, "/next");
  }
  return tl::unexpected(ClientError{
      .kind = ErrorKind::kNotFound,
      .message = "no dead letter of a job \"" + text + "\" was found; give its sequence",
      .problem = "dead-letter-not-found",
      .status = 0,
      .retry_after = {}});
}

Exit RunReplay(const ChangeFlags& flags) {
  if (const auto misuse = Misused(flags)) return Misuse(*misuse);
  auto remote = cli::FindRemote(flags.target);
  if (!remote) return cli::Refuse(remote.error());
  const auto name = (*remote)->Resolve(flags.pool, /*with_lane=*/false);
  if (!name) return cli::Refuse(name.error());
  const std::string path = cli::PoolPath(*name);
  json body = json::object();
  if (!flags.to_lane.empty()) {
    const auto lane =
        (*remote)->Resolve(cli::Shown(*name) + "/" + flags.to_lane, /*with_lane=*/true);
    if (!lane) return cli::Refuse(lane.error());
    body["lane"] = lane->lane;
  }
  if (!flags.letters.empty()) {
    return ChangeNamed(**remote, flags, path, "sent again", [&](std::uint64_t sequence) {
      return Request("POST", path + "/dead/" + std::to_string(sequence) + "/replay", body);
    });
  }
  body["filter"] = FilterOf(flags);
  if (flags.per_second > 0) body["per_second"] = flags.per_second;
  return ChangeAll(**remote, flags, *name, path + "/dead/replay", body, "sent again");
}

Exit RunDiscard(const ChangeFlags& flags) {
  if (const auto misuse = Misused(flags)) return Misuse(*misuse);
  if (flags.letters.size() != 1 && !flags.yes) {
    return Misuse("discarded jobs are gone for good; say --yes to discard more than one");
  }
  auto remote = cli::FindRemote(flags.target);
  if (!remote) return cli::Refuse(remote.error());
  const auto name = (*remote)->Resolve(flags.pool, /*with_lane=*/false);
  if (!name) return cli::Refuse(name.error());
  const std::string path = cli::PoolPath(*name);
  if (!flags.letters.empty()) {
    return ChangeNamed(**remote, flags, path, "discarded", [&](std::uint64_t sequence) {
      return Request("DELETE", path + "/dead/" + std::to_string(sequence), json());
    });
  }
  return ChangeAll(**remote, flags, *name, path + "/dead/discard", {{"filter", FilterOf(flags)}},
                   "discarded");
}

}  // namespace lanekeeper::dead
