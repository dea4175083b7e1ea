// The conditions of a pool from what is known of its lanes. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "operator/control/pool_status.h"
#include "operator/scaling/decide_workers.h"
#include "worker-runtime/base/result.h"

namespace lanekeeper {

// One lane, as far as conditions are concerned.
struct LaneHealth {
  std::string name;
  scaling::Doubt doubt = scaling::Doubt::kNone;
  std::string doubt_detail;
  std::optional<Error> queue_error;     // Setting up its stream or consumer.
  std::optional<Error> workload_error;  // Applying or scaling its workload.
  std::optional<scaling::ScalingReason> limited;
  std::string no_room_why;  // The platform has no room for some of its workers; empty: it has.
  bool silent = false;      // It has had workers for a while, and none reports or asks for jobs.
  std::int64_t dead_letters = 0;
  bool paused = false;  // In the queue.
};

// In the order Ready, QueueReachable, ScalingLimited, CapacityShort, WorkersReporting, DeadLetters.
// While a lane has
// not been sampled at all and nothing else is wrong, QueueReachable is what it was in `before`, or
// absent. last_transition is kept from `before` where `status` is the same, and `now` where it
// changed.
std::vector<Condition> ConditionsOf(const std::vector<LaneHealth>& lanes, bool paused,
                                    const std::vector<Condition>& before, std::string_view now);

// Events that the step from `before` to `after` is worth; none when nothing of interest changed.
std::vector<PoolEvent> EventsOf(const std::vector<Condition>& before,
                                const std::vector<Condition>& after);

const Condition* FindCondition(const std::vector<Condition>& conditions, std::string_view type);

}  // namespace lanekeeper
