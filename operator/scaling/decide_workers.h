// How many workers a lane should have: the operator's one decision, as a pure function.
//
// No I/O, no clock, no logging. Everything it needs is an argument and everything it decided is in
// the return value, so every case is a row in decide_workers_test.cpp.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>
#include <vector>

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
  kCappedByBudget,    // The pool's budget leaves no more for this lane.
  kHeldByCapacity,    // Would go up, but the platform has no room for those already asked for.
  kFlooredAtMin,      // The backlog asks for less than workers.min.
  kHeldByWindow,      // Would go down, but demand inside the scale-down window was higher.
  kHeldByBusy,        // Goes down as workers end their jobs: some have to go on running first.
  kHeldByDoubt,       // No fresh sample: never down.
  kLanePaused,        // Only running jobs count: the queue hands out no others.
  kPaused,            // spec.paused.
};

// Stable PascalCase word for status, events and metrics: "BacklogGrew".
std::string_view ToString(ScalingReason reason);

enum class Term {
  kDemand,
  kLanePaused,
  kBounds,
  kHold,
  kCapacity,
  kBudget,
  kBusyFloor,
  kDoubt,
  kPaused
};
std::string_view ToString(Term term);

// What one rule made of the number, in the order in which the rules were applied.
struct TermResult {
  Term term;
  int workers;
  bool operator==(const TermResult&) const = default;
};

struct ScalingDecision {
  int workers = 0;  // What the lane should have. Going down it gets there by and by: see release.h.
  // What the backlog asks for inside the bounds, before hold and what follows: feed it to
  // LaneMemory::Remember. With a doubt, the number kept.
  int demand = 0;
  ScalingReason reason = ScalingReason::kOnTarget;
  // kCappedAtMax, kCappedByConsumer or kCappedByBudget while the backlog asks for more than that,
  // whichever rule had the last word.
  std::optional<ScalingReason> limited;
  std::vector<TermResult> terms;
  bool operator==(const ScalingDecision&) const = default;
};

// Returns the worker count for `observation` under `policy`. Never fails. The same arguments always
// give the same decision: a ledger can be replayed.
//
// 1. demand      Depth policy: ceil((waiting + running) / jobs_per_worker). Wait policy: see
//                wait_policy.h. Parked jobs count only while workers exist and none of them has an
//                open pull: with an open pull, a parked job that is due would be running already.
//                While anything is parked, one worker stays. In a lane that is paused only
//                running jobs count: no other can be delivered.
// 2. bounds      min, max, and the consumer's max_ack_pending.
// 3. hold        on the way down, the highest demand inside the window. Never raises a lane, never
//                lifts it over max. Source: the HPA's scale-down stabilisation.
// 4. capacity    no more are asked for while the platform has had no room for some for a while.
// 5. doubt       without a fresh sample never down, whatever the bounds say.
// The pool's budget (ApplyBudget) and the workers that are busy (ApplyRelease) come after it.
// Preconditions: the bounds stated on the fields.
ScalingDecision DecideWorkers(const ScalingPolicy& policy, const Observation& observation);

// The decision under what ShareBudget left for the lane.
ScalingDecision ApplyBudget(ScalingDecision decision, int allowed);

// The decision once it is known that the platform cannot be asked for fewer than `replicas` now;
// `held_by_busy` when that is because workers have a running job.
ScalingDecision ApplyRelease(ScalingDecision decision, int replicas, bool held_by_busy);

}  // namespace lanekeeper::scaling
