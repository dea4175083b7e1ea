// The WorkerPool as the operator works with it: every default applied, every duration parsed.
// Shapes only. Read from JSON by kubernetes/worker_pool_json.h; the bounds are those of
// crds/workerpools.yaml, checked again by the reader because a local file has no API server.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "operator/scaling/budget.h"
#include "worker-runtime/base/backoff.h"
#include "worker-runtime/job/job_record.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/job/pool_brief.h"

namespace lanekeeper {

struct PoolKey {
  std::string pool_namespace;
  std::string name;
  auto operator<=>(const PoolKey&) const = default;
};

inline std::string ToString(const PoolKey& key) { return key.pool_namespace + "/" + key.name; }

// One value of a Secret of the pool's own namespace.
struct SecretValue {
  std::string secret;  // Empty: none.
  std::string key;
  auto operator<=>(const SecretValue&) const = default;
};

// spec.nats: a NATS server, or an account of one, other than the operator's own.
struct PoolNats {
  std::string url;                 // nats://… or tls://…, without a user.
  SecretValue credentials;         // A .creds file, or the seed of an nkey.
  SecretValue tls_ca;              // Who may have signed the server's certificate.
  std::string tls_certificate_of;  // A Secret of type kubernetes.io/tls. Empty: none.
  auto operator<=>(const PoolNats&) const = default;
};

enum class LaneClass { kShort, kLong, kGpu };
enum class StorageKind { kFile, kMemory };

struct LaneQueue {
  bool external = false;  // The user's own stream and consumer: read, never created or changed.
  std::string stream;     // Always set.
  std::string consumer;   // Always set.
  std::int64_t depth_max = 10000;
  StorageKind storage = StorageKind::kFile;
  int replicas = 1;
  bool operator==(const LaneQueue&) const = default;
};

struct LaneJobs {
  std::chrono::milliseconds timeout{30000};
  int attempts_max = 5;
  int crashes_max = 2;
  Tracking tracking = Tracking::kFull;
  std::string
      overrun_lane;  // onOverrun.moveTo: another lane of the pool. Empty: the job has failed.
  Backoff backoff;
  bool operator==(const LaneJobs&) const = default;
};

struct LaneWorkers {
  int min = 0;
  int max = 10;
  int slots = 8;
  std::chrono::milliseconds grace{40000};  // From SIGTERM to SIGKILL.
  int gpus = 0;  // Of one worker: workers.gpus, or what the template's limits and claims come to.
  // workers.gpus was given: the operator adds the limit to the worker container.
  bool add_gpu_limit = false;
  bool operator==(const LaneWorkers&) const = default;
};

enum class ScalingMode {
  kAct,
  kObserve,  // Decide and record; leave the number of workers alone.
};

struct LaneScaling {
  std::int64_t jobs_per_worker = 8;
  std::optional<std::chrono::milliseconds> target_wait;  // The wait policy.
  std::chrono::milliseconds scale_down_window{15000};
  // The window is at least this many measured cold starts. 10 for Gpu lanes that name no window.
  int window_cold_starts = 1;
  ScalingMode mode = ScalingMode::kAct;
  bool operator==(const LaneScaling&) const = default;
};

struct Lane {
  std::string name;
  LaneClass lane_class = LaneClass::kShort;
  LaneQueue queue;
  LaneJobs jobs;
  LaneWorkers workers;
  LaneScaling scaling;
  AdmissionPolicy admission;     // The gateway's.
  std::string template_json;     // The lane's own PodTemplateSpec or the pool's, untouched.
  std::optional<PoolNats> nats;  // The pool's: part of what its workload is made from.
  bool operator==(const Lane&) const = default;
};

struct WorkerPool {
  PoolKey key;
  std::string uid;
  std::int64_t generation = 0;
  bool deleting = false;       // deletionTimestamp is set.
  bool has_finalizer = false;  // Ours.
  bool paused = false;
  bool delete_queues = false;  // spec.queue.deletePolicy: Delete.
  std::vector<Lane> lanes;     // 1..16, unique names.
  std::vector<Route> routes;   // 0..kRoutesMax, unique types, each to a lane of the pool.
  Routing routing = Routing::kRoutes;
  scaling::PoolBudget budget;
  std::optional<PoolNats> nats;  // Nothing: the operator's own connection.
  bool operator==(const WorkerPool&) const = default;

  LaneKey KeyOf(const Lane& lane) const { return {key.pool_namespace, key.name, lane.name}; }
};

}  // namespace lanekeeper
