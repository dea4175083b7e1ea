// Numbers that stand for objects in the closures of a C library.
//
// libnats may call back after the object is gone (its callbacks are queued on threads of its own).
// A closure that is a number looked up here can be late, but never dangle.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace lanekeeper::nats {

// Any thread.
template <typename T>
class CallbackIds {
 public:
  // Never zero, never used twice.
  std::uintptr_t Add(std::weak_ptr<T> object) {
    const std::lock_guard lock(mutex_);
    const std::uintptr_t id = ++last_;
    objects_.emplace(id, std::move(object));
    return id;
  }
  void Remove(std::uintptr_t id) {
    const std::lock_guard lock(mutex_);
    objects_.erase(id);
  }
  std::shared_ptr<T> Find(const void* closure) const {
    const std::lock_guard lock(mutex_);
    const auto found = objects_.find(reinterpret_cast<std::uintptr_t>(closure));
    return found == objects_.end() ? nullptr : found->second.lock();
  }
  static void* ToClosure(std::uintptr_t id) { return reinterpret_cast<void*>(id); }

 private:
  mutable std::mutex mutex_;
  std::uintptr_t last_ = 0;
  std::unordered_map<std::uintptr_t, std::weak_ptr<T>> objects_;
};

}  // namespace lanekeeper::nats
