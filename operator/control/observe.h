// From what the queue, the workers and the platform said to what DecideWorkers works with. Pure.
#pragma once

#include "operator/control/ports.h"
#include "operator/control/worker_pool.h"
#include "operator/scaling/observation.h"

namespace lanekeeper {

scaling::ScalingPolicy PolicyOf(const WorkerPool& pool, const Lane& lane);

// JetStream's num_ack_pending cannot tell a running job from one that waits out a retry delay; the
// workers' reports can. Jobs that no report accounts for are running as long as there are workers
// that do not report (they may be anybody's), and parked otherwise. The same rule makes every
// silent worker busy while such jobs exist: better one worker too many than a job cut.
scaling::Observation ObservationOf(const LaneSample& sample, const WorkloadState& workload);

}  // namespace lanekeeper
