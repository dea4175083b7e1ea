#include "operator/control/lane_settings.h"

#include "worker-runtime/base/duration.h"
#include "worker-runtime/job/names.h"

namespace lanekeeper {

std::vector<LaneSetting> LaneSettings(const WorkerPool& pool, const Lane& lane,
                                      const std::string& nats_url) {
  const LaneKey key = pool.KeyOf(lane);
  std::vector<LaneSetting> settings;
  if (!nats_url.empty()) settings.push_back({kEnvNatsUrl, nats_url});
  settings.push_back({kEnvNamespace, key.pool_namespace});
  settings.push_back({kEnvPool, key.pool});
  settings.push_back({kEnvLane, key.lane});
  settings.push_back({kEnvStream, lane.queue.stream});
  settings.push_back({kEnvConsumer, lane.queue.consumer});
  settings.push_back({kEnvDeadSubject, DeadSubject(key)});
  settings.push_back({kEnvSlots, std::to_string(lane.workers.slots)});
  settings.push_back({kEnvTimeout, FormatDuration(lane.jobs.timeout)});
  settings.push_back({kEnvGrace, FormatDuration(lane.workers.grace)});
  settings.push_back({kEnvAttempts, std::to_string(lane.jobs.attempts_max)});
  settings.push_back({kEnvCrashes, std::to_string(lane.jobs.crashes_max)});
  settings.push_back({kEnvTracking, std::string(NameOf(lane.jobs.tracking))});
  if (!lane.jobs.overrun_lane.empty()) {
    settings.push_back({kEnvOverrunLane, lane.jobs.overrun_lane});
  }
  settings.push_back({kEnvBackoffInitial, FormatDuration(lane.jobs.backoff.initial)});
  settings.push_back({kEnvBackoffMax, FormatDuration(lane.jobs.backoff.max)});
  return settings;
}

}  // namespace lanekeeper
