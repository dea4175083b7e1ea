// Carries out the release of one lane's workers: sends what scaling::PlanRelease asks for, keeps
// from asking twice, waits where the platform needs a moment, and looks afterwards at who went.
// What it keeps only spares requests: a new one in the middle of a release goes on with it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "operator/control/ports.h"
#include "operator/scaling/release.h"

namespace lanekeeper {

// A request to a worker is repeated after this time without its effect.
inline constexpr std::chrono::seconds kAskAgainAfter{1};
// Between a mark and the number that makes it count: the platform's parts hear of the two on
// different ways.
inline constexpr std::chrono::milliseconds kMarkSettle{200};
// The same, and for their readiness as well, while a worker that is not ready stays: it is what the
// platform takes if it is slow to hear.
inline constexpr std::chrono::seconds kExposedSettle{2};

class LaneRelease {
 public:
  struct Step {
    int replicas = 0;  // What to ask the platform for now.
    scaling::ReleasePlan plan;
    std::optional<MonotonicTime> due;  // Look again then, changes or not.
    std::optional<Error> error;        // A mark could not be set; `replicas` holds all the same.
  };
  // A worker that was told to end, with a running job, in the place of one that was chosen.
  struct Interrupted {
    std::string worker;
    int jobs = 0;
  };

  // Before any step: notes who drains since when. Names that are not in `crew` are forgotten.
  void See(const std::vector<ReportedWorker>& reported, const Crew& crew, MonotonicTime now);
  const std::map<std::string, MonotonicTime>& drained_since() const { return drained_since_; }

  // One step towards facts.target. Sends and marks; the number is the caller's to set, and to tell
  // of with Lowered.
  Step Advance(Platform& platform, LaneProbe& probe, const LaneKey& key,
               const scaling::ReleaseFacts& facts, const Crew& crew,
               std::vector<scaling::CrewMember> members, MonotonicTime now);
  // The platform was asked for fewer: those of step.plan.going are to go.
  void Lowered(const Step& step, const Crew& crew, MonotonicTime now);

  // Those of the last lowering that went wrong, once.
  // `jobs_unaccounted`: jobs that no report has; they may be those of a worker that is silent.
  std::vector<Interrupted> WhoWent(const WorkloadState& workload, const Crew& crew,
                                   const std::vector<ReportedWorker>& reported,
                                   std::int64_t jobs_unaccounted, MonotonicTime now);

  // "3 of 5 released, 2 busy, oldest for 01:12:40"; empty while nothing is released.
  const std::string& sentence() const { return sentence_; }

 private:
  using Asked = std::pair<std::string_view, MonotonicTime>;

  void Tell(LaneProbe& probe, const LaneKey& key, const std::vector<std::string>& workers,
            std::string_view request, MonotonicTime now);
  Result<void> Mark(Platform& platform, const LaneKey& key, const std::vector<std::string>& workers,
                    bool first_to_go, const Crew& crew, MonotonicTime now);
  // When the platform has surely heard of what `plan` counts on.
  MonotonicTime SettledAt(const scaling::ReleasePlan& plan, const Crew& crew) const;
  void Say(const Step& step, int target);

  std::map<std::string, MonotonicTime> drained_since_;
  std::map<std::string, Asked> asked_;
  std::map<std::string, MonotonicTime> marked_at_;
  // The last lowering, until its effect was seen.
  std::set<std::string> going_;
  std::set<std::string> ended_before_;
  MonotonicTime lowered_at_{};
  // The episode, for people.
  int released_ = 0;
  std::string sentence_;
};

}  // namespace lanekeeper
