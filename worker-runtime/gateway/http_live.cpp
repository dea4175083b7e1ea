#include "worker-runtime/gateway/http_live.h"

#include <utility>

namespace lanekeeper::gateway {

HttpLive::Id HttpLive::Add(std::function<void()> end) {
  Id id = 0;
  {
    const std::lock_guard lock(mutex_);
    id = ++last_id_;
    if (!ended_) {
      open_.emplace(id, std::move(end));
      return id;
    }
  }
  end();
  return id;
}

void HttpLive::Remove(Id id) {
  std::function<void()> dropped;  // What it holds is let go without the lock.
  const std::lock_guard lock(mutex_);
  const auto found = open_.find(id);
  if (found == open_.end()) return;
  dropped = std::move(found->second);
  open_.erase(found);
}

void HttpLive::EndAll() {
  std::unordered_map<Id, std::function<void()>> open;
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    open.swap(open_);
  }
  for (const auto& [id, end] : open) end();
}

std::size_t HttpLive::Count() const {
  const std::lock_guard lock(mutex_);
  return open_.size();
}

}  // namespace lanekeeper::gateway
