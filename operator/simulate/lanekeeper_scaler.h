// Lanekeeper's own decisions: the code the operator runs, on simulated lanes. Pure.
#pragma once

#include <optional>
#include <vector>

#include "operator/scaling/budget.h"
#include "operator/scaling/lane_memory.h"
#include "operator/simulate/scaler.h"

namespace lanekeeper::simulate {

struct ScaledLane {
  scaling::ScalingPolicy policy;
  int gpus = 0;  // Of one worker, for the budget.
};

class LanekeeperScaler : public Scaler {
 public:
  LanekeeperScaler(const std::vector<ScaledLane>& lanes, scaling::PoolBudget budget);
  void Step(Duration now, std::vector<SimulatedLane>& lanes) override;

 private:
  struct LaneState {
    ScaledLane lane;
    scaling::LaneMemory memory;
  };
  scaling::ScalingDecision Decide(Duration now, SimulatedLane& lane, LaneState& state);

  std::vector<LaneState> states_;
  scaling::PoolBudget budget_;
};

}  // namespace lanekeeper::simulate
