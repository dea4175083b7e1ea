#include "operator/control/work_queue.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace lanekeeper {

void WorkQueue::AddAt(const PoolKey& key, MonotonicTime due) {
  {
    const std::lock_guard lock(mutex_);
    const auto [entry, added] = places_.try_emplace(key);
    if (!added) {
      if (due >= entry->second.first) return;
      line_.erase(entry->second);
    }
    entry->second = {due, ++added_};
    line_.emplace(entry->second, key);
  }
  changed_.notify_one();
}

std::map<WorkQueue::Place, PoolKey>::iterator WorkQueue::Next(MonotonicTime now) {
  const auto first = line_.begin();
  if (first == line_.end() || first->first.first != kChanged || !took_change_) return first;
  const auto timed = line_.upper_bound({kChanged, std::numeric_limits<std::uint64_t>::max()});
  return timed != line_.end() && timed->first.first <= now ? timed : first;
}

std::optional<PoolKey> WorkQueue::Take(std::chrono::milliseconds patience) {
  const MonotonicTime give_up = std::chrono::steady_clock::now() + patience;
  std::unique_lock lock(mutex_);
  while (!closed_) {
    if (std::exchange(woken_, false)) return std::nullopt;
    const MonotonicTime now = std::chrono::steady_clock::now();
    const auto next = Next(now);
    if (next != line_.end() && next->first.first <= now) {
      took_change_ = next->first.first == kChanged;
      PoolKey key = std::move(next->second);
      line_.erase(next);
      places_.erase(key);
      return key;
    }
    if (now >= give_up) return std::nullopt;
    // A copy: while this waits, the entry may go, and the end is looked at again after the wait.
    const MonotonicTime until =
        next == line_.end() ? give_up : std::min(give_up, next->first.first);
    changed_.wait_until(lock, until);
  }
  return std::nullopt;
}

void WorkQueue::Wake() {
  {
    const std::lock_guard lock(mutex_);
    woken_ = true;
  }
  changed_.notify_one();
}

void WorkQueue::Close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  changed_.notify_all();
}

bool WorkQueue::closed() const {
  const std::lock_guard lock(mutex_);
  return closed_;
}

std::size_t WorkQueue::size() const {
  const std::lock_guard lock(mutex_);
  return places_.size();
}

}  // namespace lanekeeper
