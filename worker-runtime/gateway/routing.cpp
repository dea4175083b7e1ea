#include "worker-runtime/gateway/routing.h"

#include <string>

namespace lanekeeper::gateway {
namespace {

// A job that took as long as nineteen of twenty did, and a quarter more, still ends in time.
constexpr double kRoomForTimeout = 1.25;

// Null: the pool has Gpu lanes only.
const LaneBrief* LearnedLane(const PoolBrief& pool, std::chrono::milliseconds p95) {
  const std::chrono::duration<double, std::milli> needed =
      std::chrono::duration<double, std::milli>(p95) * kRoomForTimeout;
  const LaneBrief* last = nullptr;
  for (const LaneBrief& lane : pool.lanes) {
    if (lane.lane_class == "Gpu") continue;
    last = &lane;
    if (lane.timeout >= needed) break;
  }
  return last;
}

Answer<const LaneBrief*> NamedLane(const PoolBrief& pool, std::string_view name,
                                   std::string_view said_by) {
  if (const LaneBrief* lane = pool.FindLane(name)) return lane;
  std::string known;
  for (const LaneBrief& lane : pool.lanes) {
    known += (known.empty() ? "" : ", ") + lane.name;
  }
  // What a stranger wrote is not repeated at any length.
  return Refuse(ProblemType::kLaneNotFound, std::string(said_by) + " \"" +
                                                std::string(name.substr(0, 63)) +
                                                "\" is no lane of pool " + pool.pool_namespace +
                                                "/" + pool.pool + ". It has: " + known + ".");
}

}  // namespace

Answer<const LaneBrief*> DecideRoute(const PoolBrief& pool, std::string_view lane,
                                     std::string_view type,
                                     std::optional<std::chrono::milliseconds> learned_p95) {
  if (pool.lanes.empty()) {
    return Refuse(ProblemType::kLaneNotFound,
                  "Pool " + pool.pool_namespace + "/" + pool.pool + " has no lanes.");
  }
  if (!lane.empty()) return NamedLane(pool, lane, "lane");
  for (const Route& route : pool.routes) {
    if (route.type == type) return NamedLane(pool, route.lane, "the lane of the type's route");
  }
  if (pool.routing == Routing::kLearned && learned_p95) {
    if (const LaneBrief* learned = LearnedLane(pool, *learned_p95)) return learned;
  }
  return &pool.lanes.front();
}

}  // namespace lanekeeper::gateway
