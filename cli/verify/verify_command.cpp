#include "cli/verify/verify_command.h"

#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <limits>
#include <utility>
#include <vector>

#include "cli/verify/verdict_text.h"
#include "cli/verify/verify.h"
#include "worker-runtime/nats/connection.h"
#include "worker-runtime/nats/jetstream.h"

namespace lanekeeper::verify {
namespace {

constexpr std::size_t kIdsShown = 20;
constexpr std::chrono::seconds kConnectDeadline{10};

int Refuse(const std::string& problem) {
  std::fprintf(stderr, "lanekeeper-verify: %s\n", problem.c_str());
  return 2;
}

Result<std::vector<std::string>> ReadAccepted(const std::string& path) {
  if (path.empty()) return std::vector<std::string>{};
  if (path == "-") return ReadIds(std::cin);
  std::ifstream file(path);
  if (!file) {
    return Fail(ErrorKind::kInvalid,
                "--accepted: cannot read " + path + "; give a file with one job id a line, or - ");
  }
  return ReadIds(file);
}

}  // namespace

const char* const kVerifyDescription =
    "Shows that no job of a Lanekeeper lane was lost, or which.\n"
    "\n"
    "Every job that was accepted has to be done, among the dead letters, moved to another lane,\n"
    "cancelled, or still queued. Ids that ran to the end more than once are listed with what their "
    "records say\n"
    "about it, and so are results that a worker wrote after it had lost the job. Reads only; run "
    "it\n"
    "while the lane is at rest.\n"
    "\n"
    "Done is what a job's record says (lanes with tracking: None keep none), or a message in the\n"
    "results stream: {\"id\":…,\"worker\":…,\"started\":…,\"run\":…}, one for each run that ended "
    "in "
    "success.\n"
    "\n"
    "The last line is a JSON object with the same numbers. Exit status: 0 nothing is lost and no\n"
    "stale result won, 1 something is, 2 it could not be found out.";

const char* const kVerifyExamples =
    "Examples:\n"
    "  lanekeeper-verify --namespace studio --pool media --lane short --accepted ids.txt\n"
    "  producer | tee ids.txt | lanekeeper-verify --pool media --lane short --accepted -\n"
    "  lanekeeper-verify --url nats://nats:4222 --namespace studio --pool media --lane short \\\n"
    "      --accepted-stream ACCEPTED --results RESULTS";

void AddVerifyFlags(CLI::App& app, VerifyOptions& options) {
  Sources& sources = options.sources;
  app.add_option("--url", options.url, "NATS servers, with commas between")
      ->envname(kEnvNatsUrl)
      ->capture_default_str();
  app.add_option("--credentials", options.credentials, "a .creds file")
      ->envname(kEnvNatsCredentials);
  app.add_option("--namespace", sources.lane.pool_namespace, "the pool's namespace")
      ->envname(kEnvNamespace);
  app.add_option("--pool", sources.lane.pool, "the pool")->envname(kEnvPool);
  app.add_option("--lane", sources.lane.lane, "the lane")->envname(kEnvLane);
  app.add_option("--accepted", options.accepted_file,
                 "ids of the jobs whose publish was acknowledged, one a line; - = standard input");
  app.add_option("--accepted-stream", sources.accepted_stream,
                 "a stream with such ids as payloads");
  app.add_option("--results", sources.results_stream, "a stream with a message for each ended run");
  app.add_option("--stream", sources.stream, "of the lane [LK_<namespace>_<pool>_<lane>]")
      ->envname(kEnvStream);
  app.add_option("--dead-stream", sources.dead_stream,
                 "of the dead letters [LK_<namespace>_<pool>_DEAD]");
  app.add_flag("--all", options.all, "list every id, not the first 20 of each kind");
}

int RunVerify(const VerifyOptions& options) {
  const Sources& sources = options.sources;
  if (auto good = CheckLaneKey(sources.lane); !good) {
    return Refuse(good.error().message + "; see --namespace, --pool and --lane");
  }
  if (options.accepted_file.empty() && sources.accepted_stream.empty()) {
    return Refuse(
        "nothing says which jobs were accepted; give --accepted FILE with one job id a line, or "
        "--accepted-stream STREAM with ids as messages");
  }
  auto accepted = ReadAccepted(options.accepted_file);
  if (!accepted) return Refuse(accepted.error().message);

  auto connection = nats::Connection::Open(
      {.url = options.url, .name = "lanekeeper-verify", .credentials_file = options.credentials});
  if (!connection) return Refuse(connection.error().message + "; see --url and --credentials");
  if (!(*connection)->WaitConnected(kConnectDeadline)) {
    return Refuse("no connection to " + options.url + ": " + (*connection)->LastError() +
                  "; see --url and --credentials");
  }
  const auto evidence = ReadEvidence(nats::JetStream(**connection), sources, *std::move(accepted));
  if (!evidence) return Refuse(evidence.error().message);
  if (evidence->accepted.empty()) {
    return Refuse("no job id in --accepted or --accepted-stream; one id a line is expected");
  }

  const Verdict verdict = DecideVerdict(*evidence);
  const std::size_t ids_max = options.all ? std::numeric_limits<std::size_t>::max() : kIdsShown;
  std::printf("lane %s\n%s", ToString(sources.lane).c_str(),
              VerdictTable(verdict, ids_max).c_str());
  if (!verdict.lost.empty() && evidence->records.empty() && !evidence->has_runs) {
    std::printf(
        "The lane keeps no records, and --results names no stream: nothing can say which "
        "jobs are done.\n");
  }
  std::printf("%s\n", VerdictJson(verdict, ids_max).c_str());
  return Holds(verdict) ? 0 : 1;
}

}  // namespace lanekeeper::verify
