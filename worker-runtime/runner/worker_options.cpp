#include "worker-runtime/runner/worker_options.h"

#include <unistd.h>

#include <array>
#include <utility>

#include "worker-runtime/nats/connect_settings.h"

namespace lanekeeper {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

std::string HostName() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return "worker";
  return name.data();
}

bool IsLogLevel(const std::string& word) {
  return word == "debug" || word == "info" || word == "warning" || word == "error";
}

void AddProblem(std::string& problems, const std::string& problem) {
  if (!problems.empty()) problems += "; ";
  problems += problem;
}

void CheckOverrun(const WorkerOptions& options, std::string& problems) {
  const std::string& to = options.policy.overrun_lane;
  if (to == options.lane.lane) {
    AddProblem(problems, std::string(kEnvOverrunLane) + " names this lane itself; name another");
  } else if (!CheckLaneKey({"x", "x", to})) {
    AddProblem(problems,
               std::string(kEnvOverrunLane) + " is \"" + to + "\", which is no lane's name");
  }
  if (options.policy.tracking == Tracking::kNone) {
    AddProblem(problems, std::string(kEnvOverrunLane) + " needs records: set " + kEnvTracking +
                             " to Full or Failures");
  }
}

}  // namespace

Result<WorkerOptions> ReadWorkerOptions(Settings settings) {
  WorkerOptions options;
  options.nats_url = settings.Text(kEnvNatsUrl, options.nats_url);
  options.nats_credentials = settings.Text(kEnvNatsCredentials, "");
  options.nats_tls = nats::ReadTlsFiles(settings);
  options.lane = {settings.RequiredText(kEnvNamespace), settings.RequiredText(kEnvPool),
                  settings.RequiredText(kEnvLane)};
  options.worker = settings.Text(kEnvWorker, HostName());
  options.stream = settings.Text(kEnvStream, JobStreamName(options.lane));
  options.consumer = settings.Text(kEnvConsumer, std::string(kConsumerName));
  options.dead_subject = settings.Text(kEnvDeadSubject, DeadSubject(options.lane));
  options.slots = static_cast<int>(settings.Integer(kEnvSlots, options.slots, 1, 1000));
  options.timeout =
      settings.Duration(kEnvTimeout, options.timeout, milliseconds(1), hours(24 * 30));
  options.grace =
      settings.Duration(kEnvGrace, options.timeout + seconds(10), milliseconds(1), hours(24 * 31));
  options.policy.attempts_max =
      static_cast<int>(settings.Integer(kEnvAttempts, options.policy.attempts_max, 1, 1000));
  options.policy.crashes_max =
      static_cast<int>(settings.Integer(kEnvCrashes, options.policy.crashes_max, 1, 100));
  options.policy.overrun_lane = settings.Text(kEnvOverrunLane, "");
  const std::string tracking =
      settings.Text(kEnvTracking, std::string(NameOf(options.policy.tracking)));
  Backoff& backoff = options.policy.backoff;
  backoff.initial =
      settings.Duration(kEnvBackoffInitial, backoff.initial, milliseconds(1), hours(24));
  backoff.max = settings.Duration(kEnvBackoffMax, std::max(backoff.max, backoff.initial),
                                  milliseconds(1), hours(24 * 7));
  options.http_port = static_cast<int>(settings.Integer(kEnvHttpPort, options.http_port, 0, 65535));
  options.confirm_acks = settings.Flag(kEnvConfirmAcks, options.confirm_acks);
  options.supervise = settings.Flag(kEnvSupervise, options.supervise);
  options.log_level = settings.Text(kEnvLogLevel, options.log_level);

  std::string problems;
  if (const Result<void> checked = settings.Check(); !checked) problems = checked.error().message;
  const LaneKey& lane = options.lane;
  // An empty part has been named by RequiredText already.
  if (!lane.pool_namespace.empty() && !lane.pool.empty() && !lane.lane.empty()) {
    if (const Result<void> checked = CheckLaneKey(lane); !checked) {
      AddProblem(problems, checked.error().message);
    }
  }
  if (backoff.max < backoff.initial) {
    AddProblem(problems, std::string(kEnvBackoffMax) + " must be at least " + kEnvBackoffInitial);
  }
  if (const auto known = TrackingFromName(tracking)) {
    options.policy.tracking = *known;
  } else {
    AddProblem(problems, std::string(kEnvTracking) + " is \"" + tracking +
                             "\"; it must be Full, Failures or None");
  }
  if (!options.policy.overrun_lane.empty()) {
    CheckOverrun(options, problems);
  }
  if (!IsLogLevel(options.log_level)) {
    AddProblem(problems, std::string(kEnvLogLevel) + " is \"" + options.log_level +
                             "\"; it must be debug, info, warning or error");
  }
  if (!problems.empty()) return Fail(ErrorKind::kInvalid, problems);
  return options;
}

Result<WorkerOptions> ReadWorkerOptions() { return ReadWorkerOptions(Settings()); }

}  // namespace lanekeeper
