// What this room reads from a pool or a lane in more than one place. Pure.
#pragma once

#include <algorithm>

#include "operator/control/worker_pool.h"

namespace lanekeeper {

inline PoolKey PoolOf(const LaneKey& key) { return {key.pool_namespace, key.pool}; }

// Of what lanes or pools have in common: dead letters, records, the pools' bucket. It is as safe as
// the safest queue of the pool: one setting for all its lanes, or each would undo the other's.
inline int ReplicasOf(const WorkerPool& pool) {
  int replicas = 1;
  for (const Lane& lane : pool.lanes) {
    if (!lane.queue.external) replicas = std::max(replicas, lane.queue.replicas);
  }
  return replicas;
}

}  // namespace lanekeeper
