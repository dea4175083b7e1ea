#include "worker-runtime/gateway/find_pool.h"

#include <string>
#include <utility>

namespace lanekeeper::gateway {
namespace {

// What a stranger wrote is not repeated at any length.
std::string Shortened(std::string_view name) { return std::string(name.substr(0, 63)); }

}  // namespace

Answer<std::shared_ptr<const PoolBrief>> FindPool(const PoolDirectory& pools,
                                                  std::string_view pool_namespace,
                                                  std::string_view pool) {
  // Asked before the look: they may be read in between.
  const bool all_read = pools.Ready();
  auto found = pools.Find(pool_namespace, pool);
  if (found) return found;
  if (!all_read) {
    return Refuse(ProblemType::kQueueUnavailable,
                  "The pools have not been read from NATS yet; try again in a second.",
                  std::chrono::seconds(1));
  }
  return Refuse(ProblemType::kPoolNotFound,
                "There is no pool \"" + Shortened(pool) + "\" in namespace \"" +
                    Shortened(pool_namespace) +
                    "\", as far as the operator has told this gateway; GET /v1/pools lists those "
                    "there are.");
}

Problem NoSuchLane(const PoolBrief& pool, std::string_view lane) {
  std::string lanes;
  for (const LaneBrief& each : pool.lanes) lanes += (lanes.empty() ? "" : ", ") + each.name;
  return {.type = ProblemType::kLaneNotFound,
          .detail = "pool " + pool.pool_namespace + "/" + pool.pool + " has no lane " +
                    Shortened(lane) + "; its lanes are " + lanes};
}

}  // namespace lanekeeper::gateway
