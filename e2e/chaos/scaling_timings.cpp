#include "e2e/chaos/scaling_timings.h"

#include <cstdio>

#include "worker-runtime/job/rfc3339.h"
#include "worker-runtime/nats/worker_report_json.h"

namespace lanekeeper::e2e {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kAnswer{2000};
constexpr seconds kReleaseWindow{3};
constexpr const char* kOnlyLane = "one";

std::optional<WorkerReport> Ask(Stage& stage, const std::string& worker, std::string_view request) {
  const auto answer = stage.jobs().connection().Request(
      WorkerControlSubject(stage.Key(kOnlyLane), WorkerNameToken(worker)), request, {}, kAnswer);
  if (!answer || answer->NoResponders()) return std::nullopt;
  const auto report = nats::ReadWorkerReport(answer->payload);
  return report ? std::optional(*report) : std::nullopt;
}

bool ScaleOperator(const Cluster& cluster, const char* replicas) {
  cluster.Kubectl({"scale", "deployment", "lanekeeper-operator", "-n", "lanekeeper-system",
                   std::string("--replicas=") + replicas});
  return Await(std::string("operators: ") + replicas, [&] {
    const Json operator_now = cluster.Get("deployment", "lanekeeper-system", "lanekeeper-operator");
    if (!operator_now.is_object()) return false;
    const int wanted = std::atoi(replicas);
    const bool gone = wanted > 0 || cluster.List("pods", "lanekeeper-system").empty();
    return gone && operator_now["status"].value("readyReplicas", 0) == wanted;
  });
}

// When the handler of the job that runs next says that it started.
std::optional<WallTime> AwaitStart(nats::Subscription& results, const std::string& prefix) {
  for (int n = 0; n < 20; ++n) {
    const auto message = results.Next(milliseconds(500));
    if (!message) continue;
    const Json result = Json::parse(message->payload, nullptr, false);
    if (!result.is_object() || result.value("id", "").rfind(prefix, 0) != 0) continue;
    return ParseRfc3339(result.value("started", ""));
  }
  return std::nullopt;
}

std::optional<double> UndrainOnce(Stage& stage, nats::Subscription& results,
                                  const std::string& worker, int sample) {
  const std::string chapter = "undrain-" + std::to_string(sample);
  stage.Begin(chapter);
  const bool drained = Await("worker is drained", [&] {
    const auto report = Ask(stage, worker, kControlDrain);
    return report && report->state == WorkerState::kDrained;
  });
  if (!drained || !stage.Publish(kOnlyLane, 1, milliseconds(10))) return std::nullopt;
  const WallTime asked = std::chrono::system_clock::now();
  if (!Ask(stage, worker, kControlUndrain)) return std::nullopt;
  const auto started = AwaitStart(results, stage.pool_namespace() + "-" + chapter + "-");
  if (!started) return std::nullopt;
  return std::chrono::duration<double, std::milli>(*started - asked).count();
}

}  // namespace

std::string UndrainLanes() {
  return "  - name: one\n    class: Long\n    workers: {min: 1, max: 1}\n";
}

std::vector<double> MeasureUndrain(Stage& stage, Witness& witness, int samples) {
  std::string worker;
  std::vector<double> took;
  const bool there = Await("a worker reports", [&] {
    for (const auto& [name, pod] : witness.Pods()) {
      if (pod.Placed() && pod.Idle()) worker = name;
    }
    return !worker.empty();
  });
  auto results = stage.jobs().connection().Subscribe(Jobs::kResultsSubject);
  if (there && results && ScaleOperator(stage.cluster(), "0")) {
    for (int sample = 0; sample < samples; ++sample) {
      const auto ms = UndrainOnce(stage, **results, worker, sample);
      std::printf("      undrain to start: %.1f ms\n", ms.value_or(-1));
      if (ms) took.push_back(*ms);
    }
  }
  ScaleOperator(stage.cluster(), "1");
  return took;
}

std::vector<double> MeasureIdleRelease(Stage& stage, Witness& witness, int samples) {
  std::vector<double> took;
  stage.Begin("idle release");
  // Stays busy for all of it, so that one worker stays and one goes.
  if (!stage.Publish(kOnlyLane, 1, seconds(10 * samples))) return took;
  Await("one is busy", [&] { return stage.CountJobs(JobState::kRunning) == 1; });
  for (int sample = 0; sample < samples; ++sample) {
    const std::size_t since = witness.Now();
    if (!stage.Publish(kOnlyLane, 1, milliseconds(300))) continue;
    const auto lowered = witness.Await(Step::kLowered, since, seconds(60));
    const auto fates = stage.Fates();
    const auto& last = fates.back().record;
    if (!lowered || !last || last->state != JobState::kDone) {
      std::printf("      idle release %d: not seen\n", sample);
      continue;
    }
    took.push_back(
        std::chrono::duration<double>(lowered->at - (last->ended_at + kReleaseWindow)).count());
    std::printf("      released %.2f s after the window\n", took.back());
  }
  Await("the long job is done", [&] { return stage.AllDone(); });
  return took;
}

}  // namespace lanekeeper::e2e
