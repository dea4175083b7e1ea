// Pools to look at: a set of keys, each with the moment it is due. Adding a key that is there keeps
// the earlier moment, so any number of changes is one pass. Any thread adds; one thread takes.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "operator/control/worker_pool.h"
#include "worker-runtime/base/clock.h"

namespace lanekeeper {

class WorkQueue {
 public:
  // A change: first come, first served.
  void Add(const PoolKey& key) { AddAt(key, kChanged); }
  void AddAt(const PoolKey& key, MonotonicTime due);

  // Waits for a key that is due, removes and returns it. Changes and moments that have come take
  // turns: neither many of the one nor many of the other keep a pool waiting behind them all.
  // Nothing: Close or Wake was called, or `patience` passed. The one thread that works on keys
  // calls this, so a key is never worked on twice at once.
  std::optional<PoolKey> Take(std::chrono::milliseconds patience);

  // The Take that waits, or the next one, returns nothing.
  void Wake();
  void Close();  // Take returns nothing from now on.
  bool closed() const;
  std::size_t size() const;

 private:
  static constexpr MonotonicTime kChanged = MonotonicTime::min();
  // When, and of those of one moment, which came first.
  using Place = std::pair<MonotonicTime, std::uint64_t>;

  // The place of what is to be taken at `now`, or of what is due next; end: nothing waits.
  std::map<Place, PoolKey>::iterator Next(MonotonicTime now);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<PoolKey, Place> places_;
  std::map<Place, PoolKey> line_;
  std::uint64_t added_ = 0;
  bool took_change_ = false;
  bool closed_ = false;
  bool woken_ = false;
};

}  // namespace lanekeeper
