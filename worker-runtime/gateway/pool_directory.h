// The pools there are, as the operator tells them through the bucket LK_pools; always current.
//
// Holds a watch on the bucket. What was known stays known while NATS is away. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "worker-runtime/base/time.h"
#include "worker-runtime/job/pool_brief.h"
#include "worker-runtime/nats/connection.h"

namespace lanekeeper::gateway {

struct PoolStatusText {
  std::string json;  // The value of WorkerPool.status, as the operator wrote it; empty: none yet.
  WallTime written_at{};
};

class PoolDirectory {
 public:
  virtual ~PoolDirectory() = default;

  // Null: no such pool. Never changes after it was handed out.
  virtual std::shared_ptr<const PoolBrief> Find(std::string_view pool_namespace,
                                                std::string_view pool) const = 0;
  // All, sorted by namespace and name; with a namespace, those in it.
  virtual std::vector<std::shared_ptr<const PoolBrief>> List(
      std::string_view pool_namespace = {}) const = 0;
  virtual PoolStatusText Status(std::string_view pool_namespace, std::string_view pool) const = 0;
  // predictedWaitSeconds of the lane's status when the operator wrote it less than 15 s ago.
  virtual std::optional<std::chrono::milliseconds> PredictedWait(const LaneKey& lane) const = 0;
  // Nothing: not paused, as far as the bucket says.
  virtual std::optional<LanePause> PauseOf(const LaneKey& lane) const = 0;
  // True once the bucket has been read to its end.
  virtual bool Ready() const = 0;
};

// `connection` outlives it. The bucket may not exist yet: there are no pools then. Starts a thread.
std::unique_ptr<PoolDirectory> StartPoolDirectory(nats::Connection& connection);

}  // namespace lanekeeper::gateway
