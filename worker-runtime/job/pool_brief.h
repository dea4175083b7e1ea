// What a gateway has to know of a pool: what the operator tells it through the bucket LK_pools
// (names.h; JSON by nats/pool_brief_json.h). Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "worker-runtime/job/job_record.h"
#include "worker-runtime/job/names.h"

namespace lanekeeper {

// From WorkerPool.spec.lanes[].admission: when a job is refused though the lane still has room.
struct AdmissionPolicy {
  // A job that would wait longer than this before it starts is refused. Nothing: no such limit.
  std::optional<std::chrono::milliseconds> wait_max;
  // Jobs of one caller that wait in the lane at once; 0 = as many as the lane takes.
  std::int64_t caller_depth_max = 0;
  bool operator==(const AdmissionPolicy&) const = default;
};

struct LaneBrief {
  std::string name;
  std::string lane_class = "Short";  // Short, Long, Gpu.
  std::string stream;                // Always set.
  std::string consumer;              // Always set.
  bool external = false;             // The user's own stream: it may have any subject and limit.
  std::int64_t depth_max = 10000;    // Jobs in the stream, whatever their state.
  Tracking tracking = Tracking::kFull;
  std::chrono::milliseconds timeout{30000};
  AdmissionPolicy admission;
  bool operator==(const LaneBrief&) const = default;
};

struct Route {
  std::string type;  // Of the job, exactly.
  std::string lane;  // One of the pool's.
  bool operator==(const Route&) const = default;
};

enum class Routing {
  kRoutes,   // By lane, else by route, else the first lane.
  kLearned,  // By lane, else by route, else by how long jobs of this type took, else the first.
};
std::string_view NameOf(Routing routing);  // "Routes", "Learned"
std::optional<Routing> RoutingFromName(std::string_view name);

struct PoolBrief {
  std::string pool_namespace;
  std::string pool;
  std::vector<LaneBrief> lanes;  // 1..16, in the order of the manifest.
  std::vector<Route> routes;
  Routing routing = Routing::kRoutes;
  bool paused = false;  // The pool's workers are not scaled; jobs are taken.
  bool operator==(const PoolBrief&) const = default;

  LaneKey KeyOf(const LaneBrief& lane) const { return {pool_namespace, pool, lane.name}; }
  const LaneBrief* FindLane(std::string_view name) const {
    for (const LaneBrief& lane : lanes) {
      if (lane.name == name) return &lane;
    }
    return nullptr;
  }
};

// A lane that hands out no jobs for a while: JetStream's own pause of the consumer, and beside it
// in LK_pools why. Jobs are taken, running ones go on.
struct LanePause {
  WallTime until{};
  std::string reason;  // For people; at most 256 bytes.
  std::string by;      // The caller who paused it.
  bool operator==(const LanePause&) const = default;
};

}  // namespace lanekeeper
