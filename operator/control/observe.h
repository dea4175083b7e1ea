// From what the queue, the workers and the platform said to what DecideWorkers works with. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "operator/control/ports.h"
#include "operator/control/worker_pool.h"
#include "operator/scaling/observation.h"
#include "operator/scaling/release.h"

namespace lanekeeper {

scaling::ScalingPolicy PolicyOf(const WorkerPool& pool, const Lane& lane);

// How long a drained worker may stay ready before its readiness is not waited for any more.
inline constexpr std::chrono::seconds kReadinessLag{6};

// How far the platform's word that a worker runs may be behind the worker's own.
inline constexpr std::chrono::seconds kPlacedLag{2};

// Platform and reports, joined by name. Workers that only report are not in it: the platform has
// told them to end, or does not know them yet. One that has reported for a while is not starting
// any more. `listening_since`: from when on reports were heard. `drained_since`: when a worker was
// first seen drained, if it is.
std::vector<scaling::CrewMember> CrewOf(const Crew& crew,
                                        const std::vector<ReportedWorker>& reported,
                                        const std::map<std::string, MonotonicTime>& drained_since,
                                        MonotonicTime listening_since, MonotonicTime now);

// JetStream's num_ack_pending cannot tell a running job from one that waits out a retry delay; the
// workers' reports can. Jobs that no report accounts for are running as long as there are workers
// that do not report (they may be anybody's), and parked otherwise. The same rule makes every
// silent worker busy while such jobs exist: better one worker too many than a job cut.
scaling::Observation ObservationOf(const LaneSample& sample, const WorkloadState& workload,
                                   const Crew& crew,
                                   const std::vector<scaling::CrewMember>& members,
                                   MonotonicTime now);

// Unacknowledged jobs that no worker says it has.
std::int64_t JobsUnaccountedFor(const LaneSample& sample);

}  // namespace lanekeeper
