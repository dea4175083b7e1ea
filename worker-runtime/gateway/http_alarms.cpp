#include "worker-runtime/gateway/http_alarms.h"

#include <utility>

namespace lanekeeper::gateway {

HttpAlarms::HttpAlarms() : thread_([this](const std::stop_token& stop) { Run(stop); }) {}

HttpAlarms::~HttpAlarms() {
  thread_.request_stop();
  thread_.join();
}

HttpAlarms::Id HttpAlarms::At(MonotonicTime when, std::function<void()> ring) {
  const std::lock_guard lock(mutex_);
  const Id id = ++last_id_;
  const auto added = alarms_.emplace(when, std::pair(id, std::move(ring)));
  by_id_.emplace(id, added);
  if (added == alarms_.begin()) changed_.notify_one();
  return id;
}

HttpAlarms::Id HttpAlarms::Soon(std::function<void()> ring) {
  return At(MonotonicTime{}, std::move(ring));
}

void HttpAlarms::Cancel(Id id) {
  std::function<void()> dropped;  // What it holds is let go without the lock.
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return;
  dropped = std::move(found->second->second.second);
  alarms_.erase(found->second);
  by_id_.erase(found);
}

void HttpAlarms::Run(const std::stop_token& stop) {
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

}  // namespace lanekeeper::gateway
