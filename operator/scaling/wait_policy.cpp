#include "operator/scaling/wait_policy.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace lanekeeper::scaling {
namespace {

// A service time that rests on few jobs is taken for longer than it is: the first to end are the
// short ones.
constexpr double kUnsureJobs = 4;
// The reserve of the steady part, in standard deviations of what will be running.
constexpr double kReserve = 0.5;
// Of the jobs that the slots there are will get through, how many are counted on.
constexpr double kProgress = 0.5;
// What waited for a cold start anyway is got through in this share of another one, unless the
// target leaves more time.
constexpr double kCatchUp = 0.25;
// Longer predictions say no more than "very long".
constexpr double kWaitSecondsMax = 10.0 * 86400;

struct Load {
  double service_seconds;
  double cold_start_seconds;
  double target_seconds;
  double waiting;
  double running;
  double ready;     // Slots that take jobs.
  double starting;  // Slots on their way.
  double jobs() const { return waiting + running; }
  double slots() const { return ready + starting; }
};

Load LoadOf(const ScalingPolicy& policy, const Observation& seen) {
  const Estimate& estimate = seen.estimate;
  const int starting = std::min(seen.workers_starting, seen.workers_current);
  return {
      .service_seconds = estimate.service_seconds_mean,
      .cold_start_seconds = estimate.cold_start_seconds,
      .target_seconds =
          policy.target_wait ? std::chrono::duration<double>(*policy.target_wait).count() : 0.0,
      .waiting = static_cast<double>(seen.waiting),
      .running = static_cast<double>(seen.running),
      .ready = static_cast<double>(seen.workers_current - starting) * policy.slots,
      .starting = static_cast<double>(starting) * policy.slots,
  };
}

// For when there are fewer slots than enough: those that are ready, and as many new ones as it
// takes to get through what the ready ones will have left. It does not matter how many of the new
// ones are on their way already, so once they are, no more are asked for.
double Raised(const Load& load, const Estimate& estimate) {
  const double cold_start = load.cold_start_seconds;
  const double catch_up = std::max(load.target_seconds - cold_start, kCatchUp * cold_start);
  const double free = std::max(0.0, load.ready - load.running);
  // Beyond the job that each has, or is about to get: when that one ends nobody knows.
  const double rounds = std::max(0.0, (cold_start + catch_up) / load.service_seconds - 1.0);
  const double left = load.waiting + estimate.arrivals_per_second_high * cold_start - free -
                      kProgress * rounds * load.ready;
  const double fresh = std::max(0.0, left) / (1.0 + catch_up / load.service_seconds);
  return std::min(load.jobs(), load.ready + std::max(load.starting, fresh));
}

// Each job still runs a cold start from now with the chance `still`, and those that come by then
// are as many as the rate says, give or take.
double Steady(const Load& load, const Estimate& estimate) {
  const double still = std::exp(-load.cold_start_seconds / load.service_seconds);
  const double later = estimate.arrivals_per_second * load.service_seconds;
  const double expected = load.jobs() * still + later * (1.0 - still);
  const double variance = load.jobs() * still * (1.0 - still) + later * (1.0 - still);
  return expected + kReserve * std::sqrt(variance);
}

}  // namespace

std::optional<double> SlotsByWait(const ScalingPolicy& policy, const Observation& seen) {
  assert(policy.target_wait);
  const Estimate& estimate = seen.estimate;
  if (!(estimate.service_seconds_mean > 0)) return std::nullopt;
  Load load = LoadOf(policy, seen);
  load.service_seconds *= 1.0 + kUnsureJobs / std::max(1.0, estimate.service_jobs);

  const double waits = load.service_seconds / (load.service_seconds + load.target_seconds);
  const double enough = load.jobs() * waits;
  double slots = enough > load.slots() ? Raised(load, estimate) : enough;
  // To the nearest, not up: the rate of a lane that sleeps fades, and never quite to nothing.
  slots = std::max(slots, std::round(Steady(load, estimate)));
  if (load.target_seconds < load.cold_start_seconds) {
    slots = std::max(slots, std::round(estimate.slots_next * waits));
  }
  if (load.jobs() > 0) slots = std::max(slots, 1.0);
  return std::max(slots, load.running);
}

std::optional<std::chrono::milliseconds> PredictWait(const ScalingPolicy& policy,
                                                     const Observation& seen) {
  if (seen.lane_paused || !(seen.estimate.service_seconds_mean > 0)) return std::nullopt;
  const Load load = LoadOf(policy, seen);
  const double free = load.ready - load.running;
  if (load.waiting < free) return std::chrono::milliseconds(0);

  // Those that have to start before the new one has, and it.
  const double ahead = load.waiting - std::max(0.0, free) + 1;
  const double slots_max = static_cast<double>(policy.workers_max) * policy.slots;
  const double asked =
      policy.target_wait ? std::min(*SlotsByWait(policy, seen), slots_max) : load.slots();
  const double slots = std::max({load.slots(), asked, std::min(slots_max, 1.0)});
  const double wait_now =
      load.ready > 0 ? ahead * load.service_seconds / load.ready : kWaitSecondsMax;
  const double cold_start = load.cold_start_seconds;
  const double left = ahead - load.ready * cold_start / load.service_seconds - (slots - load.ready);
  const double wait_for_more = slots > load.ready
                                   ? cold_start + std::max(0.0, left) * load.service_seconds / slots
                                   : kWaitSecondsMax;
  const double wait = std::min({wait_now, wait_for_more, kWaitSecondsMax});
  return std::chrono::milliseconds(static_cast<std::int64_t>(wait * 1000.0));
}

}  // namespace lanekeeper::scaling
