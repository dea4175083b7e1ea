// The newest version of every pool. The source's thread writes, the reconcile thread reads.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "operator/control/worker_pool.h"
#include "worker-runtime/base/result.h"

namespace lanekeeper {

class PoolStore {
 public:
  // A pool, or why the object of that name cannot be worked with.
  using Entry = std::variant<std::shared_ptr<const WorkerPool>, Error>;

  void Put(std::shared_ptr<const WorkerPool> pool) {
    const PoolKey key = pool->key;
    const std::lock_guard lock(mutex_);
    entries_.insert_or_assign(key, Entry(std::move(pool)));
  }
  void PutInvalid(const PoolKey& key, Error error) {
    const std::lock_guard lock(mutex_);
    entries_.insert_or_assign(key, Entry(std::move(error)));
  }
  void Erase(const PoolKey& key) {
    const std::lock_guard lock(mutex_);
    entries_.erase(key);
  }
  // Nothing: there is no such pool (any more).
  std::optional<Entry> Get(const PoolKey& key) const {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(key);
    if (found == entries_.end()) return std::nullopt;
    return found->second;
  }
  // Of all pools there are, also those that cannot be worked with.
  std::vector<PoolKey> Keys() const {
    const std::lock_guard lock(mutex_);
    std::vector<PoolKey> keys;
    keys.reserve(entries_.size());
    for (const auto& [key, entry] : entries_) keys.push_back(key);
    return keys;
  }

 private:
  mutable std::mutex mutex_;
  std::map<PoolKey, Entry> entries_;
};

}  // namespace lanekeeper
