#include "operator/scaling/decide_workers.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

#include "operator/scaling/wait_policy.h"

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

// Whether parked jobs may be due: every worker is full, so that a due one would not be running yet.
bool ParkedCount(const Observation& seen) {
  return seen.workers_current > 0 && seen.open_pulls == 0;
}

std::int64_t WorkersByDepth(const ScalingPolicy& policy, const Observation& seen) {
  std::int64_t jobs = AddSaturating(seen.waiting, seen.running);
  if (ParkedCount(seen)) jobs = AddSaturating(jobs, seen.parked);
  return DivideRoundingUp(jobs, policy.jobs_per_worker);
}

std::int64_t WorkersNeeded(const ScalingPolicy& policy, const Observation& seen) {
  if (!policy.target_wait) return WorkersByDepth(policy, seen);
  Observation counted = seen;
  if (ParkedCount(seen)) counted.waiting = AddSaturating(seen.waiting, seen.parked);
  const std::optional<double> slots = SlotsByWait(policy, counted);
  if (!slots) return WorkersByDepth(policy, seen);
  constexpr double kMax = 1e9;
  return static_cast<std::int64_t>(std::ceil(std::clamp(*slots, 0.0, kMax) / policy.slots));
}

Demand DemandOf(const ScalingPolicy& policy, const Observation& seen) {
  const std::int64_t workers = WorkersNeeded(policy, seen);
  if (workers == 0 && seen.parked > 0) return {1, true};
  return {workers, false};
}

// What is left of `seen` in a lane that hands out no jobs. Nobody is started for those that come
// meanwhile either.
Observation Undelivered(Observation seen) {
  seen.waiting = 0;
  seen.parked = 0;
  seen.estimate.arrivals_per_second = 0;
  seen.estimate.arrivals_per_second_high = 0;
  seen.estimate.slots_next = 0;
  return seen;
}

int Narrowed(std::int64_t workers) {
  return static_cast<int>(std::min<std::int64_t>(workers, std::numeric_limits<int>::max()));
}

}  // namespace

ScalingDecision DecideWorkers(const ScalingPolicy& policy, const Observation& seen) {
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

  Demand demand = DemandOf(policy, seen);
  note(Term::kDemand, Narrowed(demand.workers));
  bool held_by_pause = false;
  if (seen.lane_paused) {
    const Demand running = DemandOf(policy, Undelivered(seen));
    held_by_pause = running.workers < demand.workers;
    demand = running;
    note(Term::kLanePaused, Narrowed(demand.workers));
  }
  const int needed = Narrowed(demand.workers);

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
    workers = std::min(std::max(bounded, std::min(seen.peak_demand, ceiling)), current);
  }
  const bool held_by_window = workers > bounded;
  note(Term::kHold, workers);

  // Asking for more than there is room for makes no room. Those that wait already have told the
  // cluster's autoscaler.
  const bool held_by_capacity = seen.workers_stuck > 0 && workers > current;
  if (held_by_capacity) {
    workers = std::max(current, policy.workers_min);
    note(Term::kCapacity, workers);
  }
  decision.workers = workers;

  using enum ScalingReason;
  if (needed > ceiling) {
    decision.limited = needed > policy.workers_max ? kCappedAtMax : kCappedByConsumer;
  }
  decision.reason = held_by_capacity              ? kHeldByCapacity
                    : held_by_window              ? kHeldByWindow
                    : decision.limited            ? *decision.limited
                    : held_by_pause               ? kLanePaused
                    : needed < policy.workers_min ? kFlooredAtMin
                    : demand.for_parked_only      ? kRetriesWaiting
                    : workers > current           ? kBacklogGrew
                    : workers < current           ? kBacklogShrank
                                                  : kOnTarget;
  return decision;
}

ScalingDecision ApplyBudget(ScalingDecision decision, int allowed) {
  if (allowed >= decision.workers) return decision;
  decision.workers = allowed;
  decision.terms.push_back({Term::kBudget, allowed});
  decision.limited = ScalingReason::kCappedByBudget;
  decision.reason = ScalingReason::kCappedByBudget;
  return decision;
}

ScalingDecision ApplyRelease(ScalingDecision decision, int replicas, bool held_by_busy) {
  if (replicas <= decision.workers) return decision;
  decision.workers = replicas;
  decision.terms.push_back({Term::kBusyFloor, replicas});
  if (held_by_busy) decision.reason = ScalingReason::kHeldByBusy;
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
    case ScalingReason::kCappedByBudget:
      return "CappedByBudget";
    case ScalingReason::kHeldByCapacity:
      return "HeldByCapacity";
    case ScalingReason::kHeldByWindow:
      return "HeldByWindow";
    case ScalingReason::kHeldByBusy:
      return "HeldByBusy";
    case ScalingReason::kHeldByDoubt:
      return "HeldByDoubt";
    case ScalingReason::kLanePaused:
      return "LanePaused";
    case ScalingReason::kPaused:
      return "Paused";
  }
  return "Unknown";
}

std::string_view ToString(Term term) {
  switch (term) {
    case Term::kDemand:
      return "demand";
    case Term::kLanePaused:
      return "lanePaused";
    case Term::kBounds:
      return "bounds";
    case Term::kHold:
      return "hold";
    case Term::kCapacity:
      return "capacity";
    case Term::kBudget:
      return "budget";
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
