// A lane's past, and the one way to a decision: the reconciler and the simulator both come through
// here, so that what is simulated is what runs. Pure: the time is an argument. Not thread-safe.
#pragma once

#include <chrono>

#include "operator/scaling/decide_workers.h"
#include "operator/scaling/demand_history.h"
#include "operator/scaling/lane_model.h"
#include "operator/scaling/observation.h"

namespace lanekeeper::scaling {

// How long a lower demand must last before a lane shrinks: the policy's window, widened where
// starting a worker takes longer.
std::chrono::milliseconds HoldWindow(const ScalingPolicy& policy, const Estimate& estimate);

class LaneMemory {
 public:
  using Time = DemandHistory::Time;

  // The demand of the time before this memory began is not known; what runs stands in for it. Only
  // the first call counts.
  void Seed(Time now, int workers_current);

  LaneModel& model() { return model_; }

  // Completes `seen` with what the past says (estimate, peak_demand).
  Observation Complete(const ScalingPolicy& policy, Observation seen, Time now) const;
  // To be called with each decision, after it was made.
  void Remember(const ScalingPolicy& policy, const Observation& seen,
                const ScalingDecision& decision, Time now);

  // When the demand that holds the lane up runs out, if nothing comes.
  std::optional<Time> HoldEnds(const ScalingPolicy& policy, Time now) const;

 private:
  DemandHistory history_;
  LaneModel model_;
  bool seeded_ = false;
};

}  // namespace lanekeeper::scaling
