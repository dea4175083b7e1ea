// Who decides how many workers each lane has. Pure.
#pragma once

#include <chrono>
#include <vector>

#include "operator/simulate/simulated_lane.h"

namespace lanekeeper::simulate {

// How often a simulation stops to let the scaler look; the operator samples its lanes as often.
inline constexpr std::chrono::milliseconds kStep{500};

class Scaler {
 public:
  virtual ~Scaler() = default;
  // Looks at the lanes at `now`, a multiple of kStep, and raises or shrinks them. Called for every
  // step once, with the same lanes in the same order.
  virtual void Step(Duration now, std::vector<SimulatedLane>& lanes) = 0;
};

}  // namespace lanekeeper::simulate
