#include "operator/control/observe.h"

#include <algorithm>

namespace lanekeeper {

scaling::ScalingPolicy PolicyOf(const WorkerPool& pool, const Lane& lane) {
  return {.workers_min = lane.workers.min,
          .workers_max = lane.workers.max,
          .jobs_per_worker = lane.scaling.jobs_per_worker,
          .scale_down_window = lane.scaling.scale_down_window,
          .paused = pool.paused};
}

scaling::Observation ObservationOf(const LaneSample& sample, const WorkloadState& workload) {
  const std::int64_t reported = std::min(sample.jobs_running, sample.ack_pending);
  const std::int64_t unaccounted = sample.ack_pending - reported;
  const int silent_workers = std::max(0, workload.replicas - sample.workers_reporting);
  const bool nobody_reports = sample.workers_reporting == 0;
  const bool may_be_running = silent_workers > 0 || nobody_reports;

  scaling::Observation seen;
  seen.doubt = sample.doubt;
  seen.waiting = sample.waiting;
  // With no workers at all nothing runs: what is unacknowledged waits for somebody to fetch it.
  const bool running = may_be_running && workload.replicas > 0;
  seen.running = reported + (running ? unaccounted : 0);
  seen.parked = running ? 0 : unaccounted;
  seen.open_pulls = sample.open_pulls;
  seen.ack_pending_max = sample.ack_pending_max;
  seen.workers_current = workload.replicas;
  seen.workers_busy =
      sample.workers_busy + static_cast<int>(std::min<std::int64_t>(silent_workers, unaccounted));
  return seen;
}

}  // namespace lanekeeper
