#include "operator/scaling/decide_workers.h"

#include <algorithm>
#include <cassert>
#include <limits>

namespace lanekeeper::scaling {
namespace {

std::int64_t DivideRoundingUp(std::int64_t dividend, std::int64_t divisor) {
  return dividend / divisor + (dividend % divisor != 0 ? 1 : 0);
}

// Sums of counts that come from outside: saturates instead of overflowing.
std::int64_t AddSaturating(std::int64_t a, std::int64_t b) {
  return a > std::numeric_limits<std::int64_t>::max() - b ? std::numeric_limits<std::int64_t>::max()
                                                          : a + b;
}

struct Demand {
  std::int64_t workers;
  bool for_parked_only;
};

Demand DemandOf(const ScalingPolicy& policy, const Observation& seen) {
  std::int64_t jobs = AddSaturating(seen.waiting, seen.running);
  const bool all_workers_full = seen.workers_current > 0 && seen.open_pulls == 0;
  if (all_workers_full) jobs = AddSaturating(jobs, seen.parked);
  const std::int64_t workers = DivideRoundingUp(jobs, policy.jobs_per_worker);
  if (workers == 0 && seen.parked > 0) return {1, true};
  return {workers, false};
}

}  // namespace

ScalingDecision DecideWorkers(const ScalingPolicy& policy, const Observation& seen,
                              const DemandHistory& history, DemandHistory::Time now) {
  assert(policy.jobs_per_worker > 0);
  assert(0 <= policy.workers_min && policy.workers_min <= policy.workers_max);
  assert(seen.waiting >= 0 && seen.running >= 0 && seen.parked >= 0);
  assert(seen.workers_current >= 0 && seen.workers_busy >= 0);

  const int current = seen.workers_current;
  if (policy.paused) {
    return {current, current, ScalingReason::kPaused, std::nullopt, {{Term::kPaused, current}}};
  }
  if (seen.doubt != Doubt::kNone) {
    const int kept = std::max(current, policy.workers_min);
    return {kept, kept, ScalingReason::kHeldByDoubt, std::nullopt, {{Term::kDoubt, kept}}};
  }

  ScalingDecision decision;
  const auto note = [&decision](Term term, int workers) {
    decision.terms.push_back({term, workers});
  };

  const Demand demand = DemandOf(policy, seen);
  const int needed =
      static_cast<int>(std::min<std::int64_t>(demand.workers, std::numeric_limits<int>::max()));
  note(Term::kDemand, needed);

  // Every worker needs at least one job in flight; more workers than that could only stand by.
  const int consumer_max =
      seen.ack_pending_max > 0
          ? static_cast<int>(std::min<std::int64_t>(seen.ack_pending_max, policy.workers_max))
          : policy.workers_max;
  const int ceiling = std::max(consumer_max, policy.workers_min);
  const int bounded = std::clamp(needed, policy.workers_min, ceiling);
  note(Term::kBounds, bounded);
  decision.demand = bounded;

  // The window may slow a scale-down; it never raises a lane and never lifts it over the maximum.
  int workers = bounded;
  if (bounded < current) {
    const int peak = std::min(history.Peak(now, policy.scale_down_window), ceiling);
    workers = std::min(std::max(bounded, peak), current);
  }
  const bool held_by_window = workers > bounded;
  note(Term::kHold, workers);

  const int busy = std::min(seen.workers_busy, current);
  const bool held_by_busy = workers < busy;
  workers = std::max(workers, busy);
  note(Term::kBusyFloor, workers);
  decision.workers = workers;

  using enum ScalingReason;
  if (needed > ceiling) {
    decision.limited = needed > policy.workers_max ? kCappedAtMax : kCappedByConsumer;
  }
  decision.reason = held_by_busy                  ? kHeldByBusy
                    : held_by_window              ? kHeldByWindow
                    : decision.limited            ? *decision.limited
                    : needed < policy.workers_min ? kFlooredAtMin
                    : demand.for_parked_only      ? kRetriesWaiting
                    : workers > current           ? kBacklogGrew
                    : workers < current           ? kBacklogShrank
                                                  : kOnTarget;
  return decision;
}

std::string_view ToString(ScalingReason reason) {
  switch (reason) {
    case ScalingReason::kOnTarget:
      return "OnTarget";
    case ScalingReason::kBacklogGrew:
      return "BacklogGrew";
    case ScalingReason::kBacklogShrank:
      return "BacklogShrank";
    case ScalingReason::kRetriesWaiting:
      return "RetriesWaiting";
    case ScalingReason::kCappedAtMax:
      return "CappedAtMax";
    case ScalingReason::kCappedByConsumer:
      return "CappedByConsumer";
    case ScalingReason::kFlooredAtMin:
      return "FlooredAtMin";
    case ScalingReason::kHeldByWindow:
      return "HeldByWindow";
    case ScalingReason::kHeldByBusy:
      return "HeldByBusy";
    case ScalingReason::kHeldByDoubt:
      return "HeldByDoubt";
    case ScalingReason::kPaused:
      return "Paused";
  }
  return "Unknown";
}

std::string_view ToString(Term term) {
  switch (term) {
    case Term::kDemand:
      return "demand";
    case Term::kBounds:
      return "bounds";
    case Term::kHold:
      return "hold";
    case Term::kBusyFloor:
      return "busyFloor";
    case Term::kDoubt:
      return "doubt";
    case Term::kPaused:
      return "paused";
  }
  return "unknown";
}

}  // namespace lanekeeper::scaling
