// A PoolDirectory that says what it was told. For tests.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "worker-runtime/gateway/pool_directory.h"

namespace lanekeeper::gateway {

// Any thread.
class FakePools final : public PoolDirectory {
 public:
  void Put(PoolBrief pool) {
    const std::lock_guard lock(mutex_);
    const std::string name = pool.pool_namespace + "/" + pool.pool;
    pools_[name] = std::make_shared<const PoolBrief>(std::move(pool));
  }
  // Until then, as a gateway that has just started.
  void SetReady(bool ready) { ready_ = ready; }
  void Predict(const LaneKey& lane, std::chrono::milliseconds wait) {
    const std::lock_guard lock(mutex_);
    waits_[lane] = wait;
  }

  std::shared_ptr<const PoolBrief> Find(std::string_view pool_namespace,
                                        std::string_view pool) const override {
    const std::lock_guard lock(mutex_);
    const auto found = pools_.find(std::string(pool_namespace) + "/" + std::string(pool));
    return found == pools_.end() ? nullptr : found->second;
  }
  std::vector<std::shared_ptr<const PoolBrief>> List(
      std::string_view pool_namespace) const override {
    const std::lock_guard lock(mutex_);
    std::vector<std::shared_ptr<const PoolBrief>> list;
    for (const auto& [name, pool] : pools_) {
      if (pool_namespace.empty() || pool->pool_namespace == pool_namespace) list.push_back(pool);
    }
    return list;
  }
  PoolStatusText Status(std::string_view, std::string_view) const override { return {}; }
  std::optional<std::chrono::milliseconds> PredictedWait(const LaneKey& lane) const override {
    const std::lock_guard lock(mutex_);
    const auto found = waits_.find(lane);
    return found == waits_.end() ? std::nullopt : std::optional(found->second);
  }
  std::optional<LanePause> PauseOf(const LaneKey&) const override { return std::nullopt; }
  bool Ready() const override { return ready_; }

 private:
  std::atomic<bool> ready_{true};
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const PoolBrief>> pools_;
  std::map<LaneKey, std::chrono::milliseconds> waits_;
};

}  // namespace lanekeeper::gateway
