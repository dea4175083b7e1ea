#include "operator/scaling/lane_memory.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace lanekeeper::scaling {

std::chrono::milliseconds HoldWindow(const ScalingPolicy& policy, const Estimate& estimate) {
  // Bounded like the field itself: an hour-long pull of an image must not hold a lane for a day.
  constexpr std::chrono::milliseconds kWidenedMax = std::chrono::hours(1);
  const auto dear = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::duration<double>(policy.window_cold_starts * estimate.cold_start_seconds));
  return std::max(policy.scale_down_window, std::min(dear, kWidenedMax));
}

void LaneMemory::Seed(Time now, int workers_current) {
  if (std::exchange(seeded_, true)) return;
  history_.Add(now, workers_current);
}

Observation LaneMemory::Complete(const ScalingPolicy& policy, Observation seen, Time now) const {
  seen.estimate = model_.At(now);
  seen.peak_demand = history_.Peak(now, HoldWindow(policy, seen.estimate));
  return seen;
}

void LaneMemory::Remember(const ScalingPolicy& policy, const Observation& seen,
                          const ScalingDecision& decision, Time now) {
  history_.Forget(now, HoldWindow(policy, seen.estimate));
  history_.Add(now, decision.demand);
  if (seen.doubt != Doubt::kNone) return;
  // Counts that come from outside must not overflow; beyond this many it makes no difference.
  constexpr std::int64_t kJobsMax = 1'000'000'000'000;
  model_.SeeJobs(now, std::min(seen.waiting, kJobsMax) + std::min(seen.running, kJobsMax));
}

std::optional<LaneMemory::Time> LaneMemory::HoldEnds(const ScalingPolicy& policy, Time now) const {
  return history_.PeakEnds(now, HoldWindow(policy, model_.At(now)));
}

}  // namespace lanekeeper::scaling
