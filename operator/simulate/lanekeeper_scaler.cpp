#include "operator/simulate/lanekeeper_scaler.h"

#include <algorithm>
#include <cstddef>

namespace lanekeeper::simulate {
namespace {

scaling::Observation Observe(const SimulatedLane& lane) {
  scaling::Observation seen;
  seen.waiting = lane.waiting();
  seen.running = lane.running();
  seen.open_pulls = lane.free_slots() > 0 ? 1 : 0;
  seen.workers_current = lane.asked();
  seen.workers_busy = lane.busy();
  seen.workers_starting = lane.starting();
  return seen;
}

}  // namespace

LanekeeperScaler::LanekeeperScaler(const std::vector<ScaledLane>& lanes, scaling::PoolBudget budget)
    : budget_(budget) {
  for (const ScaledLane& lane : lanes) states_.push_back({lane, {}});
}

scaling::ScalingDecision LanekeeperScaler::Decide(Duration now, SimulatedLane& lane,
                                                  LaneState& state) {
  const scaling::LaneMemory::Time time{now};
  scaling::LaneMemory& memory = state.memory;
  memory.Seed(time, lane.asked());
  memory.model().SeeArrivals(time, lane.arrivals());
  memory.model().SeeService(time, lane.served());
  for (int started = lane.TakeStarted(); started > 0; --started) {
    memory.model().SeeColdStart(time, lane.cold_start());
  }
  const scaling::Observation seen = memory.Complete(state.lane.policy, Observe(lane), time);
  scaling::ScalingDecision decision = DecideWorkers(state.lane.policy, seen);
  memory.Remember(state.lane.policy, seen, decision, time);
  return decision;
}

void LanekeeperScaler::Step(Duration now, std::vector<SimulatedLane>& lanes) {
  std::vector<scaling::BudgetClaim> claims;
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    const scaling::ScalingDecision decision = Decide(now, lanes[i], states_[i]);
    claims.push_back({.wanted = decision.workers,
                      .current = lanes[i].asked(),
                      .busy = lanes[i].busy(),
                      .gpus = states_[i].lane.gpus});
  }
  const std::vector<int> shares = ShareBudget(budget_, claims);
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    const int more = shares[i] - lanes[i].asked();
    if (more > 0) lanes[i].Raise(more);
    if (more < 0) lanes[i].ReleaseIdle(-more);
  }
}

}  // namespace lanekeeper::simulate
