// Lets calls of one handler through, one at a time, until it is shut.
#pragma once

#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include "worker-runtime/base/log.h"

namespace lanekeeper::nats {

// Any thread. After Shut has returned no call runs or will run; a call may shut its own gate.
class Gate {
 public:
  template <typename Call>
  void Run(Call call) {
    // Without the lock: a caller that never pauses must not keep Shut from getting it.
    if (shut_) return;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return shut_ || !running_; });
      if (shut_) return;
      running_ = true;
      runner_ = std::this_thread::get_id();
    }
    try {  // The caller is a thread of a C library.
      call();
    } catch (const std::exception& thrown) {
      log::Error("nats", "handler_threw", {{"what", thrown.what()}});
    } catch (...) {
      log::Error("nats", "handler_threw");
    }
    {
      // Notified under the lock: the one who waits in Shut may destroy this right afterwards.
      const std::lock_guard lock(mutex_);
      running_ = false;
      runner_ = {};
      changed_.notify_all();
    }
  }

  void Shut() {
    shut_ = true;
    std::unique_lock lock(mutex_);
    changed_.notify_all();
    if (runner_ == std::this_thread::get_id()) return;
    changed_.wait(lock, [&] { return !running_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<bool> shut_{false};
  bool running_ = false;
  std::thread::id runner_;
};

}  // namespace lanekeeper::nats
