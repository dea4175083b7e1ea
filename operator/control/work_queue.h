// Pools to look at: a set of keys, each with the moment it is due. Adding a key that is there keeps
// the earlier moment, so any number of changes is one pass. Any thread adds; one thread takes.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>

#include "operator/control/worker_pool.h"
#include "worker-runtime/base/clock.h"

namespace lanekeeper {

class WorkQueue {
 public:
  void Add(const PoolKey& key) { AddAt(key, MonotonicTime::min()); }
  void AddAt(const PoolKey& key, MonotonicTime due);

  // Waits for a key that is due, removes and returns it. Nothing: Close was called, or `patience`
  // passed. The one thread that works on keys calls this, so a key is never worked on twice at
  // once.
  std::optional<PoolKey> Take(std::chrono::milliseconds patience);

  void Close();  // Take returns nothing from now on.
  bool closed() const;
  std::size_t size() const;

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<PoolKey, MonotonicTime> due_;
  bool closed_ = false;
};

}  // namespace lanekeeper
