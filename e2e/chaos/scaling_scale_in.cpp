#include "e2e/chaos/scaling_scale_in.h"

#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <set>
#include <thread>

namespace lanekeeper::e2e {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kQuickJob{1500};
constexpr milliseconds kLateJob{4000};
constexpr milliseconds kWindow{3000};
// Longer than a report lasts, shorter than a job's lease after its last renewal.
constexpr seconds kSilence = kWorkerReportExpiry + seconds(1);
constexpr seconds kStepDeadline{45};

class ScaleInRun {
 public:
  ScaleInRun(Stage& stage, Witness& witness, const ScaleIn& scale_in)
      : stage_(stage), witness_(witness), scale_in_(scale_in) {}

  ScaleInResult Go() {
    since_ = witness_.Now();
    started_ = std::chrono::system_clock::now();
    stage_.Begin(scale_in_.name);
    for (const Load& load : scale_in_.loads) {
      Need("long jobs are stored", PublishLong(load));
      Need("quick jobs are stored", stage_.Publish(load.lane, load.idle, kQuickJob));
    }
    AwaitThat("all jobs have started", [this] { return stage_.AllStarted(); });
    Disturb();
    if (scale_in_.meanwhile != Meanwhile::kMaxLowered) {
      AwaitThat("the quick jobs are done",
                [this] { return stage_.CountJobs(JobState::kDone) >= Sum(&Load::idle); });
      AwaitThat("the idle are released, or the long jobs have ended", [this] {
        KeepReleaseText();
        return OnlyBusyAreLeft() || stage_.CountJobs(JobState::kRunning) == 0;
      });
    }
    ComeToRest();
    Judge();
    return std::move(result_);
  }

 private:
  const std::string& FirstLane() const { return scale_in_.loads.front().lane; }

  void Need(const std::string& what, bool holds) {
    if (!holds) result_.troubles.push_back("not seen: " + what);
  }
  void AwaitThat(const std::string& what, const std::function<bool()>& holds,
                 seconds deadline = kPatience) {
    Need(what, e2e::Await(what, holds, deadline));
  }
  bool AwaitStep(Step step) {
    const bool seen = witness_.Await(step, since_, kStepDeadline).has_value();
    Need(NameOf(step), seen);
    return seen;
  }

  // So that some of them end long before others where the maximum is lowered.
  bool PublishLong(const Load& load) {
    if (scale_in_.meanwhile != Meanwhile::kMaxLowered) {
      return stage_.Publish(load.lane, load.busy, scale_in_.long_job);
    }
    bool stored = true;
    for (int n = 1; n <= load.busy; ++n) {
      stored = stage_.Publish(load.lane, 1, scale_in_.long_job * n / load.busy) && stored;
    }
    return stored;
  }

  void Disturb() {
    switch (scale_in_.meanwhile) {
      case Meanwhile::kNothing:
        return;
      case Meanwhile::kMaxLowered:
        return LowerMax();
      case Meanwhile::kDemandBack:
        if (AwaitStep(scale_in_.at)) BringDemandBack();
        return;
      case Meanwhile::kOperatorKilled:
        if (AwaitStep(scale_in_.at)) Need("operator is up again", KillOperator(stage_.cluster()));
        return;
      case Meanwhile::kIdlePodDeleted:
      case Meanwhile::kBusyPodDeleted:
        return DeletePod();
      case Meanwhile::kIdleWorkerSilent:
      case Meanwhile::kBusyWorkerSilent:
        return SilenceWorker();
      case Meanwhile::kWaves:
        return SendWaves();
    }
  }

  // The quick jobs end, then the lane is to have fewer than are busy.
  void LowerMax() {
    const int busy = scale_in_.loads.front().busy;
    const int max = std::max(1, busy / 3);
    Need("lowered maximum", stage_.Apply(ScaleInLanes(max)));
    AwaitThat("every worker but " + std::to_string(max) + " is released", [&] {
      KeepReleaseText();
      return witness_.Placed(FirstLane()) <= max;
    });
    Need("raised maximum", stage_.Apply(ScaleInLanes()));
  }

  void BringDemandBack() {
    for (const Load& load : scale_in_.loads) {
      Need("jobs that came back are stored", stage_.Publish(load.lane, load.idle, kQuickJob));
    }
    AwaitThat("jobs that came back are done",
              [this] { return stage_.CountJobs(JobState::kDone) >= 2 * Sum(&Load::idle); });
  }

  void DeletePod() {
    if (!AwaitStep(Step::kDrainAsked)) return;
    const std::string pod = Pick(scale_in_.meanwhile == Meanwhile::kBusyPodDeleted);
    Need("a pod to delete", !pod.empty());
    if (pod.empty()) return;
    by_hand_.insert(pod);
    stage_.cluster().Kubectl({"delete", "pod", pod, "-n", stage_.pool_namespace(), "--wait=false"});
  }

  void SilenceWorker() {
    const bool busy = scale_in_.meanwhile == Meanwhile::kBusyWorkerSilent;
    std::string pod;
    AwaitThat("the quick jobs are done",
              [this] { return stage_.CountJobs(JobState::kDone) >= Sum(&Load::idle); });
    AwaitThat("a worker to silence", [&] {
      pod = Pick(busy);
      return !pod.empty();
    });
    const std::vector<pid_t> pids = WorkerPids(pod);
    Need("its processes", !pids.empty());
    for (const pid_t pid : pids) kill(pid, SIGSTOP);
    if (!busy) {
      for (const Load& load : scale_in_.loads) {
        Need("jobs that came back are stored", stage_.Publish(load.lane, load.idle, kLateJob));
      }
    }
    std::this_thread::sleep_for(kSilence);
    for (const pid_t pid : pids) kill(pid, SIGCONT);
  }

  void SendWaves() {
    for (int wave = 0; wave < 3; ++wave) {
      std::this_thread::sleep_for(kQuickJob + kWindow);
      for (const Load& load : scale_in_.loads) {
        Need("a wave is stored", stage_.Publish(load.lane, load.idle, milliseconds(500)));
      }
    }
  }

  // A worker of the first lane that is busy, or idle and not drained; "" while there is none.
  std::string Pick(bool busy) const {
    for (const auto& [name, pod] : witness_.Pods()) {
      if (pod.lane != FirstLane() || !pod.Placed() || !pod.report) continue;
      if (busy ? pod.report->running > 0 : pod.Idle()) return name;
    }
    return "";
  }

  int Sum(int Load::*part) const {
    int sum = 0;
    for (const Load& load : scale_in_.loads) sum += load.*part;
    return sum;
  }

  bool OnlyBusyAreLeft() {
    return std::all_of(scale_in_.loads.begin(), scale_in_.loads.end(), [this](const Load& load) {
      std::set<std::string> busy;
      for (const JobFate& fate : stage_.Fates(load.lane)) {
        if (fate.record && fate.record->state == JobState::kRunning)
          busy.insert(fate.record->worker);
      }
      return witness_.Placed(load.lane) <= static_cast<int>(busy.size());
    });
  }

  void KeepReleaseText() {
    const std::string text = stage_.LaneStatus(FirstLane()).value("release", "");
    if (!text.empty()) result_.release_text = text;
  }

  void ComeToRest() {
    AwaitThat("all jobs are done", [this] { return stage_.AllDone(); });
    AwaitThat("no worker is left", [this] {
      return std::all_of(scale_in_.loads.begin(), scale_in_.loads.end(), [this](const Load& load) {
        return witness_.Placed(load.lane) == 0 && stage_.Replicas(load.lane) == 0;
      });
    });
  }

  double SecondsAt(const Sight& sight) const {
    return std::chrono::duration<double>(sight.at - started_).count();
  }

  void TellStory(const std::vector<Sight>& sights) {
    for (const Step step : {Step::kDrainAsked, Step::kDrained, Step::kUndrainAsked, Step::kMarked,
                            Step::kLowered, Step::kToldToEnd}) {
      std::vector<double> at;
      for (const Sight& sight : sights) {
        if (sight.step == step) at.push_back(SecondsAt(sight));
      }
      if (at.empty()) continue;
      char part[96];
      std::snprintf(part, sizeof part, "%s%s %zu (%.1f to %.1f)", result_.story.empty() ? "" : ", ",
                    NameOf(step), at.size(), at.front(), at.back());
      result_.story += part;
    }
  }

  void Judge() {
    const std::vector<JobFate> fates = stage_.Fates();
    WallTime last_end{};
    for (const JobFate& fate : fates) {
      if (fate.record) last_end = std::max(last_end, fate.record->ended_at);
    }
    const std::vector<Sight> sights = witness_.Since(since_);
    TellStory(sights);
    for (const Sight& sight : sights) {
      if (sight.step == Step::kUndrainAsked) ++result_.undrained;
      if (sight.step == Step::kToldToEnd && sight.at < last_end && by_hand_.count(sight.who) == 0) {
        ++result_.released;
      }
    }
    PodEnds ends = witness_.Ends();
    for (const std::string& pod : by_hand_) ends.erase(pod);
    result_.interruptions = FindInterruptions(fates, ends, EndOfPods::kOnlyIdle);
    result_.carried_out = result_.troubles.empty() && result_.released > 0;
  }

  Stage& stage_;
  Witness& witness_;
  const ScaleIn& scale_in_;
  std::size_t since_ = 0;
  WallTime started_{};
  std::set<std::string> by_hand_;
  ScaleInResult result_;
};

}  // namespace

std::string ScaleInLanes(int max_of_one) {
  const std::string scaling = "    scaling: {jobsPerWorker: 1, scaleDownWindow: 3s}\n";
  return "  - name: one\n    class: Long\n    workers: {max: " + std::to_string(max_of_one) +
         "}\n" + scaling + "  - name: two\n    class: Long\n    workers: {max: 8}\n" + scaling +
         "  - name: wide\n    class: Long\n    workers: {max: 4, slots: 4}\n"
         "    scaling: {jobsPerWorker: 4, scaleDownWindow: 3s}\n";
}

ScaleInResult RunScaleIn(Stage& stage, Witness& witness, const ScaleIn& scale_in) {
  return ScaleInRun(stage, witness, scale_in).Go();
}

std::string Describe(const ScaleIn& scale_in, const ScaleInResult& result) {
  std::string text = scale_in.name + ": " + std::to_string(result.released) +
                     " released while others were busy, " + std::to_string(result.undrained) +
                     " undrained, " + std::to_string(result.interruptions.size()) + " interrupted";
  if (!result.release_text.empty()) text += "; status said \"" + result.release_text + "\"";
  text += "\n      seconds: " + result.story;
  for (const std::string& line : result.interruptions) text += "\n      interrupted " + line;
  for (const std::string& line : result.troubles) text += "\n      " + line;
  return text;
}

}  // namespace lanekeeper::e2e
