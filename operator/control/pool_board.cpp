#include "operator/control/pool_board.h"

namespace lanekeeper {
namespace {

const char* NameOf(LaneClass lane_class) {
  switch (lane_class) {
    case LaneClass::kShort:
      return "Short";
    case LaneClass::kLong:
      return "Long";
    case LaneClass::kGpu:
      break;
  }
  return "Gpu";
}

}  // namespace

PoolBrief BriefOf(const WorkerPool& pool) {
  PoolBrief brief{.pool_namespace = pool.key.pool_namespace,
                  .pool = pool.key.name,
                  .routes = pool.routes,
                  .routing = pool.routing,
                  .paused = pool.paused};
  for (const Lane& lane : pool.lanes) {
    brief.lanes.push_back({.name = lane.name,
                           .lane_class = NameOf(lane.lane_class),
                           .stream = lane.queue.stream,
                           .consumer = lane.queue.consumer,
                           .external = lane.queue.external,
                           .depth_max = lane.queue.depth_max,
                           .tracking = lane.jobs.tracking,
                           .timeout = lane.jobs.timeout,
                           .admission = lane.admission});
  }
  return brief;
}

}  // namespace lanekeeper
