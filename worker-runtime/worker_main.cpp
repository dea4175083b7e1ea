// lanekeeper-worker: runs every job of a lane by a program or an HTTP server.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "worker-runtime/base/duration.h"
#include "worker-runtime/base/settings.h"
#include "worker-runtime/handlers/exec_handler.h"
#include "worker-runtime/handlers/http_handler.h"
#include "worker-runtime/handlers/serve_handler.h"
#include "worker-runtime/job/nats_settings.h"
#include "worker-runtime/runner/worker.h"

namespace {

using lanekeeper::Result;

constexpr const char* kDescription =
    "Runs the jobs of a Lanekeeper lane, in one of three ways:\n"
    "\n"
    "--exec        one process per job: payload on standard input; exit 0 done, 65 rejected\n"
    "              (straight to the dead letters), anything else failed (tried again)\n"
    "--serve-exec  one process per slot that stays: JSON lines on standard input and output\n"
    "--http-url    a POST per job: 2xx done, 4xx rejected, 429 and 5xx failed\n"
    "\n"
    "HANDLERS.md has the contract of each. In a pod of a WorkerPool all settings come from the\n"
    "environment; flags override them.";

constexpr const char* kExamples =
    "Examples:\n"
    "  lanekeeper-worker --exec sh -c 'echo \"$LK_JOB_ID try $LK_JOB_ATTEMPT\"; cat > /dev/null'\n"
    "  lanekeeper-worker --serve-start 5m --serve-exec python3 ./model.py\n"
    "  lanekeeper-worker --http-url http://127.0.0.1:8080/jobs\n"
    "  lanekeeper-worker --url nats://localhost:4222 --namespace studio --pool media --lane short "
    "\\\n"
    "      --slots 4 --timeout 30s --exec ./job.py";

// Every setting as a flag, in the order of --help.
struct Flag {
  const char* name;
  const char* variable;
  const char* help;
};
constexpr Flag kFlags[] = {
    {"--url", lanekeeper::kEnvNatsUrl, "NATS servers, with commas between"},
    {"--credentials", lanekeeper::kEnvNatsCredentials, "a .creds file, or an nkey's seed in one"},
    {"--tls-ca", lanekeeper::kEnvNatsTlsCa, "PEM: who may sign the server's certificate"},
    {"--tls-cert", lanekeeper::kEnvNatsTlsCert, "PEM: the worker's own certificate"},
    {"--tls-key", lanekeeper::kEnvNatsTlsKey, "PEM: its key"},
    {"--namespace", lanekeeper::kEnvNamespace, "the pool's namespace"},
    {"--pool", lanekeeper::kEnvPool, "the pool"},
    {"--lane", lanekeeper::kEnvLane, "the lane"},
    {"--worker", lanekeeper::kEnvWorker, "this worker's name [the host's]"},
    {"--stream", lanekeeper::kEnvStream, "[LK_<namespace>_<pool>_<lane>]"},
    {"--consumer", lanekeeper::kEnvConsumer, "[workers]"},
    {"--dead-subject", lanekeeper::kEnvDeadSubject, "[lk.dead.<namespace>.<pool>.<lane>]"},
    {"--slots", lanekeeper::kEnvSlots, "jobs at once [1]"},
    {"--timeout", lanekeeper::kEnvTimeout, "of one job [30s]"},
    {"--grace", lanekeeper::kEnvGrace, "from SIGTERM to the end [timeout + 10s]"},
    {"--attempts", lanekeeper::kEnvAttempts, "errors before a job is a dead letter [5]"},
    {"--crashes", lanekeeper::kEnvCrashes, "deaths before a job is a dead letter [2]"},
    {"--backoff-initial", lanekeeper::kEnvBackoffInitial, "before the second attempt [1s]"},
    {"--backoff-max", lanekeeper::kEnvBackoffMax, "it doubles up to this [5m]"},
    {"--tracking", lanekeeper::kEnvTracking, "records of jobs: Full, Failures, None [Full]"},
    {"--overrun-lane", lanekeeper::kEnvOverrunLane, "takes jobs whose timeout is over [none]"},
    {"--http-port", lanekeeper::kEnvHttpPort, "metrics and health; 0 = none [8081]"},
    {"--confirm-acks", lanekeeper::kEnvConfirmAcks, "true or false [true]"},
    {"--supervise", lanekeeper::kEnvSupervise,
     "a parent process that sees how the worker dies [true]"},
    {"--log-level", lanekeeper::kEnvLogLevel, "debug, info, warning, error [info]"},
};

// The three ways to run a job; exactly one of them is set.
struct Way {
  bool exec = false;
  bool serve = false;
  std::string http_url;
  std::string serve_start = "60s";
  std::string http_start = "60s";
  std::vector<std::string> command;  // Of exec and serve.
};

void AddWays(CLI::App& app, Way& way) {
  app.add_option("--serve-start", way.serve_start,
                 "how long a kept program may take until it is ready [60s]")
      ->type_name("");
  app.add_option("--http-start", way.http_start,
                 "how long a job waits for an HTTP server that cannot be reached [60s]")
      ->type_name("");
  app.add_option("--http-url", way.http_url, "where jobs are posted to")->type_name("");
  app.add_flag("--exec", way.exec, "the program and its arguments; the last flag");
  app.add_flag("--serve-exec", way.serve, "the program that stays; the last flag");
  // Everything behind the last flag belongs to the program, whatever it looks like.
  app.prefix_command();
}

Result<void> CheckWay(const Way& way) {
  const auto invalid = [](const std::string& problem) {
    return Fail(lanekeeper::ErrorKind::kInvalid, problem + "; see --help");
  };
  const bool http = !way.http_url.empty();
  const int ways = int{way.exec} + int{way.serve} + int{http};
  if (ways > 1) {
    return invalid("--exec, --serve-exec and --http-url exclude each other: give one of them");
  }
  if (!way.exec && !way.serve && !way.command.empty()) {
    return invalid("\"" + way.command.front() + "\" is no flag");
  }
  if (ways == 0) {
    return invalid(
        "nothing says how to run a job: give --exec PROGRAM, --serve-exec PROGRAM or "
        "--http-url URL");
  }
  if (!http && way.command.empty()) {
    return invalid(std::string(way.exec ? "--exec" : "--serve-exec") +
                   " needs a program behind it");
  }
  return {};
}

Result<std::chrono::milliseconds> StartDeadline(const char* flag, const std::string& text) {
  auto deadline = lanekeeper::ParseDuration(text);
  if (!deadline) {
    return Fail(lanekeeper::ErrorKind::kInvalid,
                std::string(flag) + " is \"" + text + "\"; it must be a duration such as 60s");
  }
  return deadline;
}

Result<lanekeeper::Handler> MakeHandler(const Way& way, const lanekeeper::LaneKey& lane) {
  namespace handlers = lanekeeper::handlers;
  const auto serve_start = StartDeadline("--serve-start", way.serve_start);
  if (!serve_start) return tl::unexpected(serve_start.error());
  const auto http_start = StartDeadline("--http-start", way.http_start);
  if (!http_start) return tl::unexpected(http_start.error());
  if (way.exec) return handlers::MakeExecHandler({.command = way.command, .lane = lane});
  if (way.serve) {
    return handlers::MakeServeHandler(
        {.command = way.command, .lane = lane, .start_deadline = *serve_start});
  }
  return handlers::MakeHttpHandler({.url = way.http_url, .start_deadline = *http_start});
}

int Refuse(const std::string& problem) {
  std::fprintf(stderr, "lanekeeper-worker: %s\n", problem.c_str());
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(kDescription, "lanekeeper-worker");
  app.footer(kExamples);
  app.set_version_flag("--version", LANEKEEPER_VERSION);
  std::map<std::string, std::string> flags;
  for (const Flag& flag : kFlags) {
    app.add_option_function<std::string>(
           flag.name, [&flags, &flag](const std::string& value) { flags[flag.variable] = value; },
           std::string(flag.help) + "  (" + flag.variable + ")")
        ->type_name("");
  }
  Way way;
  AddWays(app, way);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  way.command = app.remaining();
  if (const Result<void> checked = CheckWay(way); !checked) return Refuse(checked.error().message);

  std::string problems;
  const auto options = lanekeeper::ReadWorkerOptions(
      lanekeeper::Settings([&flags](const std::string& name) -> std::optional<std::string> {
        if (const auto flag = flags.find(name); flag != flags.end()) return flag->second;
        const char* value = std::getenv(name.c_str());
        return value == nullptr ? std::nullopt : std::optional<std::string>(value);
      }));
  if (!options) problems = options.error().message;
  auto handler = MakeHandler(way, options ? options->lane : lanekeeper::LaneKey{});
  if (!handler) problems += (problems.empty() ? "" : "; ") + handler.error().message;
  if (!problems.empty()) return Refuse(problems);

  lanekeeper::Worker worker(*options);
  worker.HandleAny(*std::move(handler));
  return worker.Run();
}
