#include "operator/control/work_queue.h"

#include <algorithm>

namespace lanekeeper {

void WorkQueue::AddAt(const PoolKey& key, MonotonicTime due) {
  {
    const std::lock_guard lock(mutex_);
    const auto [entry, added] = due_.try_emplace(key, due);
    if (!added) {
      if (due >= entry->second) return;
      entry->second = due;
    }
  }
  changed_.notify_one();
}

std::optional<PoolKey> WorkQueue::Take(std::chrono::milliseconds patience) {
  const MonotonicTime give_up = std::chrono::steady_clock::now() + patience;
  std::unique_lock lock(mutex_);
  while (!closed_) {
    const auto first = std::min_element(
        due_.begin(), due_.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    const MonotonicTime now = std::chrono::steady_clock::now();
    if (first != due_.end() && first->second <= now) {
      PoolKey key = first->first;
      due_.erase(first);
      return key;
    }
    if (now >= give_up) return std::nullopt;
    const MonotonicTime wake = first == due_.end() ? give_up : std::min(give_up, first->second);
    changed_.wait_until(lock, wake);
  }
  return std::nullopt;
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
  return due_.size();
}

}  // namespace lanekeeper
