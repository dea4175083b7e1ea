// Lists of jobs, and the reading of whole lanes. Private to the desk. Waits for NATS.
#pragma once

#include <cstdint>
#include <functional>

#include "worker-runtime/gateway/job_desk_core.h"
#include "worker-runtime/gateway/problem.h"
#include "worker-runtime/job/pool_brief.h"
#include "worker-runtime/nats/jetstream_answers.h"

namespace lanekeeper::gateway {

struct LaneVisit {
  std::uint64_t from = 0;  // The first sequence to look at; 0: the first that was never handed out.
  bool started_too = false;  // Also those that were handed out. Not with `from`.
  // Set while visiting: the lane's consumer as it was when it began.
  std::function<void(const nats::ConsumerState&)> on_consumer{};
};

// Calls `visit` for the messages of a lane that are not handed out yet, the oldest first, until it
// says false. Takes the pages it reads from `pages_left`. Returns the sequence after the last
// message that was visited when there were no pages left; 0: it is through. A lane without a stream
// has no messages.
Answer<std::uint64_t> VisitLane(const DeskCore& core, const LaneBrief& lane, const LaneVisit& how,
                                int& pages_left,
                                const std::function<bool(const nats::StoredMessage&)>& visit);

Answer<JobList> ListJobs(const DeskCore& core, const PoolBrief& pool, const JobListQuery& query);

}  // namespace lanekeeper::gateway
