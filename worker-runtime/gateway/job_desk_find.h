// Where a job is: one look at its records and its message. Private to the desk.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "worker-runtime/gateway/job_desk_core.h"
#include "worker-runtime/gateway/job_view.h"
#include "worker-runtime/gateway/problem.h"
#include "worker-runtime/job/pool_brief.h"

namespace lanekeeper::gateway {

struct FindOptions {
  // Where it was seen last; empty, 0: not known.
  std::string lane;
  std::uint64_t sequence = 0;
  bool scan = true;      // Read the lanes for a message whose place nobody knows.
  bool position = true;  // Say when its turn comes.
};

struct Found {
  JobView view;
  LaneBrief lane;              // Of view.lane; when the pool has it no more, what its name says.
  std::uint64_t based_on = 0;  // The revision of whatever record has the job's key in view.lane.
  // "short.17": it left that place for view.lane, where no record says yet that it has arrived;
  // view.record is the one it left behind.
  std::string moved_from;
};

// Calls `then` once, on a thread of the connection or the core's. kJobNotFound, kPoolNotFound,
// kQueueUnavailable, kTooManyRequests. A record has the last word; without one, a message that is
// in its lane still is a job that waits, or, in a lane that records no starts and once it was
// handed out, one that runs.
void FindJob(DeskCore& core, std::string_view pool_namespace, std::string_view pool,
             std::string_view id, FindOptions options, Then<Found> then);

// The lane as the pool has it, or as its name alone says.
LaneBrief BriefOf(const PoolBrief& pool, std::string_view lane);

// Of a job that waits at `sequence`: how many stand before it, and how long that takes at the rate
// that is predicted for the end of the queue.
void SetPosition(JobView& view, const nats::ConsumerState& consumer,
                 std::optional<std::chrono::milliseconds> predicted_wait);

// A job that has no record, from its message.
JobView ViewOfMessage(const LaneKey& lane, const JobMessage& message);

}  // namespace lanekeeper::gateway
