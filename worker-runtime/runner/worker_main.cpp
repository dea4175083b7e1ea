// lanekeeper-worker: runs a program for every job of a lane.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "worker-runtime/base/settings.h"
#include "worker-runtime/runner/exec_handler.h"
#include "worker-runtime/runner/worker.h"

namespace {

constexpr const char* kDescription =
    "Runs a program for every job of a Lanekeeper lane.\n"
    "\n"
    "The job's payload is the program's standard input. Its exit status is the outcome:\n"
    "0 done, 65 rejected (straight to the dead letters), anything else failed (tried again).\n"
    "In a pod of a WorkerPool all settings come from the environment; flags override them.";

constexpr const char* kExamples =
    "Examples:\n"
    "  lanekeeper-worker --exec /usr/bin/convert - -resize 200x200 /thumbnails/out.png\n"
    "  lanekeeper-worker --exec sh -c 'echo \"$LK_JOB_ID try $LK_JOB_DELIVERY\"; cat > /dev/null'\n"
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
    {"--credentials", lanekeeper::kEnvNatsCredentials, "a .creds file"},
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
    {"--attempts", lanekeeper::kEnvAttempts, "before a job is a dead letter [5]"},
    {"--backoff-initial", lanekeeper::kEnvBackoffInitial, "before the second attempt [1s]"},
    {"--backoff-max", lanekeeper::kEnvBackoffMax, "it doubles up to this [5m]"},
    {"--http-port", lanekeeper::kEnvHttpPort, "metrics and health; 0 = none [8081]"},
    {"--confirm-acks", lanekeeper::kEnvConfirmAcks, "true or false [true]"},
    {"--log-level", lanekeeper::kEnvLogLevel, "debug, info, warning, error [info]"},
};

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
  bool exec = false;
  std::vector<std::string> command;
  // Everything behind --exec belongs to the program, whatever it looks like.
  app.add_flag("--exec", exec, "the program and its arguments; the last flag");
  app.prefix_command();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  command = app.remaining();
  if (!exec) {
    if (!command.empty()) return Refuse("\"" + command.front() + "\" is no flag; see --help");
    return Refuse("--exec PROGRAM is missing; see --help");
  }
  if (command.empty()) return Refuse("--exec needs a program; see --help");

  std::string problems;
  const auto options = lanekeeper::ReadWorkerOptions(
      lanekeeper::Settings([&flags](const std::string& name) -> std::optional<std::string> {
        if (const auto flag = flags.find(name); flag != flags.end()) return flag->second;
        const char* value = std::getenv(name.c_str());
        return value == nullptr ? std::nullopt : std::optional<std::string>(value);
      }));
  if (!options) problems = options.error().message;
  auto handler = lanekeeper::runner::MakeExecHandler(
      {.command = command, .lane = options ? options->lane : lanekeeper::LaneKey{}});
  if (!handler) problems += (problems.empty() ? "" : "; ") + handler.error().message;
  if (!problems.empty()) return Refuse(problems);

  lanekeeper::Worker worker(*options);
  worker.HandleAny(*std::move(handler));
  return worker.Run();
}
