// What a decision is made from: the shapes that go into DecideWorkers. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "operator/scaling/estimate.h"

namespace lanekeeper::scaling {

// Why there are no numbers. Each is its own reason in a decision and in a condition, because a
// person does something different about each.
enum class Doubt {
  kNone,
  kNoSampleYet,      // Just started; the first answer is on its way.
  kStale,            // Answers stopped coming.
  kDisconnected,     // No connection to NATS.
  kJetStreamOff,     // No responders: JetStream is off, or this account has none.
  kConsumerMissing,  // Stream or consumer does not exist.
  kRefused,          // The account or user may not ask.
  kUnreadable,       // An answer that could not be understood.
};

// A worker without room waits this long before the lane stops asking for more of them. Shorter than
// any cluster autoscaler needs for a node: that one has seen the others by then.
inline constexpr std::chrono::seconds kStuckAfter{30};

// From WorkerPool.spec.lanes[]; bounds are enforced by crds/workerpools.yaml.
struct ScalingPolicy {
  int workers_min = 0;               // >= 0. Zero lets an idle lane go to sleep.
  int workers_max = 10;              // >= 1, >= workers_min.
  std::int64_t jobs_per_worker = 8;  // > 0. Backlog one worker is expected to carry.
  std::chrono::milliseconds scale_down_window{15000};  // >= 0.
  // The window is at least this many cold starts long: a worker that is dear to start is kept.
  double window_cold_starts = 1.0;  // >= 0.
  int slots = 1;                    // >= 1. Jobs that one worker runs at once.
  // Wait policy: how long a job may wait before it starts. Nothing: the depth policy above.
  std::optional<std::chrono::milliseconds> target_wait;
  bool paused = false;  // Change nothing.
  bool operator==(const ScalingPolicy&) const = default;
};

// One lane at one moment. Counts are >= 0.
struct Observation {
  Doubt doubt = Doubt::kNone;
  std::int64_t waiting = 0;     // Never delivered.
  std::int64_t running = 0;     // A handler has it.
  std::int64_t parked = 0;      // Delivered, not running: waits out a retry delay, or a lease that
                                // ran out and that nobody has fetched again.
  std::int64_t open_pulls = 0;  // Workers that ask for a job and get none.
  std::int64_t ack_pending_max = 0;  // The consumer's own limit on running + parked; 0 = none.
  int workers_current = 0;           // What the platform is asked for now.
  int workers_busy = 0;              // Known, or not known not, to have a running job.
  int workers_starting = 0;          // Asked for and not yet able to take a job.
  int workers_stuck = 0;     // Of those: the platform has had no room for them for kStuckAfter.
  bool lane_paused = false;  // The queue hands out no jobs, whoever asks; running ones go on.
  Estimate estimate;         // What the lane's past says.
  int peak_demand = 0;       // The highest demand inside the window (HoldWindow).
  bool operator==(const Observation&) const = default;
};

}  // namespace lanekeeper::scaling
