#include "worker-runtime/base/alarms.h"

namespace lanekeeper {

Alarms::Alarms() : thread_([this](const std::stop_token& stop) { Run(stop); }) {}

void Alarms::Stop() {
  decltype(alarms_) dropped;  // What they hold is let go without the lock.
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    by_id_.clear();
    dropped.swap(alarms_);
  }
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

Alarms::Id Alarms::At(MonotonicTime when, std::function<void()> ring) {
  const std::lock_guard lock(mutex_);
  if (stopped_) return 0;  // `ring` is freed after the lock.
  const Id id = ++last_id_;
  const auto added = alarms_.emplace(when, std::pair(id, std::move(ring)));
  by_id_.emplace(id, added);
  // Not in one expression with the emplace: the order would not be defined.
  const bool first = added == alarms_.begin();
  if (first) changed_.notify_one();
  return id;
}

void Alarms::Cancel(Id id) {
  std::function<void()> dropped;  // What it holds is let go without the lock.
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return;
  dropped = std::move(found->second->second.second);
  alarms_.erase(found->second);
  by_id_.erase(found);
}

void Alarms::Run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    if (alarms_.empty()) {
      changed_.wait(lock, stop, [this] { return !alarms_.empty(); });
      continue;
    }
    const auto first = alarms_.begin();
    const MonotonicTime when = first->first;
    if (when > std::chrono::steady_clock::now()) {
      changed_.wait_until(lock, stop, when, [this, when] {
        return alarms_.empty() || alarms_.begin()->first < when;
      });
      continue;
    }
    std::function<void()> ring = std::move(first->second.second);
    by_id_.erase(first->second.first);
    alarms_.erase(first);
    lock.unlock();
    ring();
    ring = nullptr;
    lock.lock();
  }
}

}  // namespace lanekeeper
