// A pool by its name, or what to answer whoever asked for it.
#pragma once

#include <memory>
#include <string_view>

#include "worker-runtime/gateway/pool_directory.h"
#include "worker-runtime/gateway/problem.h"

namespace lanekeeper::gateway {

// kQueueUnavailable while the pools have not been read yet: a gateway that has just started must
// not say of a pool that it does not exist. kPoolNotFound afterwards.
Answer<std::shared_ptr<const PoolBrief>> FindPool(const PoolDirectory& pools,
                                                  std::string_view pool_namespace,
                                                  std::string_view pool);
// kLaneNotFound, with the lanes there are.
Problem NoSuchLane(const PoolBrief& pool, std::string_view lane);

}  // namespace lanekeeper::gateway
