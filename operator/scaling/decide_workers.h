// How many workers a lane should have: the operator's one decision, as a pure function.
//
// No I/O, no clock, no logging. Everything it needs is an argument and everything it decided is in
// the return value, so every case is a row in decide_workers_test.cpp.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>
#include <vector>

#include "operator/scaling/demand_history.h"
#include "operator/scaling/observation.h"

namespace lanekeeper::scaling {

// Which rule had the last word.
enum class ScalingReason {
  kOnTarget,          // The lane has what its backlog asks for.
  kBacklogGrew,       // Up, to what the backlog asks for.
  kBacklogShrank,     // Down, to what the backlog asks for.
  kRetriesWaiting,    // Only parked jobs are left; one worker stays for them.
  kCappedAtMax,       // The backlog asks for more than workers.max.
  kCappedByConsumer,  // The consumer's max_ack_pending lets fewer workers run.
  kFlooredAtMin,      // The backlog asks for less than workers.min.
  kHeldByWindow,      // Would go down, but demand inside the scale-down window was higher.
  kHeldByBusy,        // Would go down, but that many workers have a running job.
  kHeldByDoubt,       // No fresh sample: never down.
  kPaused,            // spec.paused.
};

// Stable PascalCase word for status, events and metrics: "BacklogGrew".
std::string_view ToString(ScalingReason reason);

enum class Term { kDemand, kBounds, kHold, kBusyFloor, kDoubt, kPaused };
std::string_view ToString(Term term);

// What one rule made of the number, in the order in which the rules were applied.
struct TermResult {
  Term term;
  int workers;
  bool operator==(const TermResult&) const = default;
};

struct ScalingDecision {
  int workers = 0;  // What to ask the platform for now.
  // What the backlog asks for inside the bounds, before hold and busy floor: feed it to
  // DemandHistory::Add. With a doubt, the number kept.
  int demand = 0;
  ScalingReason reason = ScalingReason::kOnTarget;
  // kCappedAtMax or kCappedByConsumer while the backlog asks for more than that, whichever rule had
  // the last word.
  std::optional<ScalingReason> limited;
  std::vector<TermResult> terms;
  bool operator==(const ScalingDecision&) const = default;
};

// Returns the worker count for `observation` under `policy`. Never fails.
//
// 1. demand      ceil((waiting + running) / jobs_per_worker). Parked jobs count only while workers
//                exist and none of them has an open pull: with an open pull, a parked job that is
//                due would be running already. While anything is parked, one worker stays.
// 2. bounds      min, max, and the consumer's max_ack_pending.
// 3. hold        on the way down, the highest demand in `history` inside the window. Never raises a
//                lane, never lifts it over max. Source: the HPA's scale-down stabilisation.
// 4. busy floor  on the way down, never below the workers that have a running job, max or not.
// 5. doubt       without a fresh sample never down, whatever the bounds say.
// Preconditions: the bounds stated on the fields.
ScalingDecision DecideWorkers(const ScalingPolicy& policy, const Observation& observation,
                              const DemandHistory& history, DemandHistory::Time now);

}  // namespace lanekeeper::scaling
