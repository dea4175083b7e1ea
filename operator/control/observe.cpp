#include "operator/control/observe.h"

#include <algorithm>

namespace lanekeeper {

scaling::ScalingPolicy PolicyOf(const WorkerPool& pool, const Lane& lane) {
  return {.workers_min = lane.workers.min,
          .workers_max = lane.workers.max,
          .jobs_per_worker = lane.scaling.jobs_per_worker,
          .scale_down_window = lane.scaling.scale_down_window,
          .window_cold_starts = static_cast<double>(lane.scaling.window_cold_starts),
          .slots = lane.workers.slots,
          .target_wait = lane.scaling.target_wait,
          .paused = pool.paused};
}

std::vector<scaling::CrewMember> CrewOf(const Crew& crew,
                                        const std::vector<ReportedWorker>& reported,
                                        const std::map<std::string, MonotonicTime>& drained_since,
                                        MonotonicTime listening_since, MonotonicTime now) {
  std::vector<scaling::CrewMember> members;
  members.reserve(crew.placed.size());
  for (const PlacedWorker& placed : crew.placed) {
    scaling::CrewMember member{
        .name = placed.name, .phase = placed.phase, .first_to_go = placed.marks.first_to_go};
    if (const ReportedWorker* said = FindWorker(reported, placed.name)) {
      member.state = said->state;
      member.ending = said->ending;
      member.running = said->running;
      member.oldest_running = said->oldest_running;
      if (said->running > 0) {
        member.oldest_running +=
            std::chrono::duration_cast<std::chrono::seconds>(now - said->heard_at);
      }
    } else {
      member.silent = now - std::max(placed.since, listening_since) >= kWorkerReportExpiry;
    }
    const auto drained = drained_since.find(placed.name);
    const auto drained_for =
        drained == drained_since.end() ? MonotonicTime::duration{} : now - drained->second;
    member.keeps_ready = drained_for >= kReadinessLag;
    // It has run or been drained for a while, whatever the platform's check has yet to find out, or
    // never will: it may have been drained before it was ever ready.
    if (member.state && member.phase == scaling::CrewMember::Phase::kStarting &&
        (member.oldest_running >= kPlacedLag || drained_for >= kPlacedLag)) {
      member.phase = scaling::CrewMember::Phase::kNotReady;
    }
    members.push_back(std::move(member));
  }
  return members;
}

std::int64_t JobsUnaccountedFor(const LaneSample& sample) {
  return sample.ack_pending - std::min(sample.jobs_running, sample.ack_pending);
}

scaling::Observation ObservationOf(const LaneSample& sample, const WorkloadState& workload,
                                   const Crew& crew,
                                   const std::vector<scaling::CrewMember>& members,
                                   MonotonicTime now) {
  const std::int64_t unaccounted = JobsUnaccountedFor(sample);
  const auto starting =
      static_cast<int>(std::ranges::count_if(members, [](const scaling::CrewMember& member) {
        using Phase = scaling::CrewMember::Phase;
        return member.phase == Phase::kNoRoom || member.phase == Phase::kStarting;
      }));
  const int silent_workers = std::max(0, workload.replicas - sample.workers_reporting - starting);
  const bool may_be_running = silent_workers > 0 || sample.workers_reporting == 0;

  scaling::Observation seen;
  seen.doubt = sample.doubt;
  seen.waiting = sample.waiting;
  // A job that nobody accounts for may be a silent worker's. With no workers at all nothing runs:
  // what is unacknowledged waits for somebody to fetch it.
  const bool may_run_unseen = may_be_running && workload.replicas > 0;
  seen.parked = may_run_unseen ? 0 : std::max<std::int64_t>(0, unaccounted - sample.jobs_passing);
  // One that passes by has just been handed out, or its end has just been told: until the queue's
  // next answer it runs. It is somebody's, so it is demand.
  seen.running = sample.ack_pending - seen.parked;
  seen.open_pulls = sample.open_pulls;
  seen.ack_pending_max = sample.ack_pending_max;
  seen.lane_paused = sample.paused;
  seen.workers_current = workload.replicas;
  seen.workers_busy =
      sample.workers_busy + static_cast<int>(std::min<std::int64_t>(silent_workers, unaccounted));
  seen.workers_starting = starting;
  seen.workers_stuck =
      static_cast<int>(std::ranges::count_if(crew.placed, [&](const PlacedWorker& worker) {
        return worker.phase == PlacedWorker::Phase::kNoRoom &&
               now - worker.since >= scaling::kStuckAfter;
      }));
  return seen;
}

}  // namespace lanekeeper
