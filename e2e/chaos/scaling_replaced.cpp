#include "e2e/chaos/scaling_replaced.h"

#include <algorithm>
#include <cstdio>
#include <set>

namespace lanekeeper::e2e {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kSteadyLane = "steady";
constexpr int kBusy = 4;

// The node of the pool's pods: the cluster under test has them on one.
std::string NodeOf(const Stage& stage) {
  return stage.cluster()
      .Kubectl(
          {"get", "pods", "-n", stage.pool_namespace(), "-o", "jsonpath={.items[0].spec.nodeName}"})
      .out;
}

class ReplacedRun {
 public:
  ReplacedRun(Stage& stage, Witness& witness) : stage_(stage), witness_(witness) {}

  // Four workers busy, and the pods that were there.
  void Begin(const std::string& name, milliseconds long_job) {
    stage_.Begin(name);
    AwaitThat("workers are ready", [this] { return ReadyPods().size() >= kBusy; });
    Need("jobs are stored", stage_.Publish(kSteadyLane, kBusy, long_job));
    AwaitThat("jobs are running", [this] { return stage_.CountJobs(JobState::kRunning) == kBusy; });
    old_ = ReadyPods();
    started_ = std::chrono::steady_clock::now();
  }

  void RollOut(const std::string& edition) {
    Need("template patched",
         stage_.cluster().PatchPool(
             stage_.pool_namespace(), kStagePool,
             {{"spec", {{"template", {{"metadata", {{"labels", {{"edition", edition}}}}}}}}}}));
    Need("jobs meanwhile are stored", stage_.Publish(kSteadyLane, 2, milliseconds(1000)));
    AwaitThat("every pod is a new one", [this] { return NoOldIsPlaced() && !ReadyPods().empty(); });
  }

  void DrainNode() {
    const std::string node = NodeOf(stage_);
    const Ended drained = RunProgram(
        stage_.cluster().KubectlArgv(
            {"drain", node, std::string("--pod-selector=lanekeeper.dev/pool=") + kStagePool,
             "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=120s"}),
        "", seconds(150));
    if (drained.status != 0) result_.troubles.push_back("kubectl drain: " + drained.err);
    drained_at_ = std::chrono::system_clock::now();
    Need("jobs meanwhile are stored", stage_.Publish(kSteadyLane, 2, milliseconds(1000)));
    const Ended again = stage_.cluster().Kubectl({"uncordon", node});
    Need("node is used again", again.status == 0);
  }

  ReplacedResult End() {
    AwaitThat("all jobs are done", [this] { return stage_.AllDone(); });
    AwaitThat("old pods are gone", [this] {
      const auto pods = witness_.Pods();
      return std::all_of(old_.begin(), old_.end(),
                         [&](const std::string& name) { return pods.at(name).gone; });
    });
    result_.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
    const auto fates = stage_.Fates();
    const PodEnds ends = witness_.Ends();
    result_.interruptions = FindInterruptions(fates, ends, EndOfPods::kWithinGrace);
    const auto strict = FindInterruptions(fates, ends, EndOfPods::kOnlyIdle);
    result_.told_while_busy = static_cast<int>(strict.size() - result_.interruptions.size());
    Need("a busy worker was told to end", result_.told_while_busy > 0);
    if (drained_at_ != WallTime{}) {
      for (int n = 0; n < kBusy; ++n) {
        const auto& record = fates.at(static_cast<std::size_t>(n)).record;
        Need("kubectl drain waited for running jobs", record && record->ended_at <= drained_at_);
      }
    }
    return std::move(result_);
  }

 private:
  void Need(const std::string& what, bool holds) {
    if (!holds) result_.troubles.push_back("not seen: " + what);
  }
  void AwaitThat(const std::string& what, const std::function<bool()>& holds) {
    Need(what, e2e::Await(what, holds));
  }

  std::set<std::string> ReadyPods() const {
    std::set<std::string> ready;
    for (const auto& [name, pod] : witness_.Pods()) {
      if (pod.lane == kSteadyLane && pod.Placed() && pod.ready) ready.insert(name);
    }
    return ready;
  }
  bool NoOldIsPlaced() const {
    const auto pods = witness_.Pods();
    return std::none_of(old_.begin(), old_.end(),
                        [&](const std::string& name) { return pods.at(name).Placed(); });
  }

  Stage& stage_;
  Witness& witness_;
  std::set<std::string> old_;
  std::chrono::steady_clock::time_point started_{};
  WallTime drained_at_{};
  ReplacedResult result_;
};

}  // namespace

std::string SteadyLanes() {
  return "  - name: steady\n    class: Long\n    workers: {min: 4, max: 8}\n"
         "    scaling: {jobsPerWorker: 1, scaleDownWindow: 3s}\n";
}

ReplacedResult RunRollout(Stage& stage, Witness& witness, const std::string& edition,
                          milliseconds long_job) {
  ReplacedRun run(stage, witness);
  run.Begin("rollout " + edition, long_job);
  run.RollOut(edition);
  return run.End();
}

ReplacedResult RunNodeDrain(Stage& stage, Witness& witness, const std::string& name,
                            milliseconds long_job) {
  ReplacedRun run(stage, witness);
  run.Begin(name, long_job);
  run.DrainNode();
  return run.End();
}

std::string Describe(const std::string& name, const ReplacedResult& result) {
  char line[160];
  std::snprintf(line, sizeof line, "%s: %d busy pods told to end, %zu interrupted, %.1f s",
                name.c_str(), result.told_while_busy, result.interruptions.size(), result.seconds);
  std::string text = line;
  for (const std::string& one : result.interruptions) text += "\n      interrupted " + one;
  for (const std::string& one : result.troubles) text += "\n      " + one;
  return text;
}

}  // namespace lanekeeper::e2e
