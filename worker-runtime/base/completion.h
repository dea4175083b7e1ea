// Waits for something that ends on another thread, with a deadline and a stop.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <stop_token>

#include "worker-runtime/base/time.h"

namespace lanekeeper {

// Any thread.
class Completion {
 public:
  void Set() {
    const std::lock_guard lock(mutex_);
    done_ = true;
    changed_.notify_all();
  }
  // False: the deadline passed or the stop came first.
  bool WaitUntil(MonotonicTime deadline, const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    return changed_.wait_until(lock, stop, deadline, [this] { return done_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool done_ = false;
};

// For tasks of pplx, which have no wait with a timeout. False: not done; the caller cancels and
// lets go of the task, which ends by itself.
template <typename Task>
bool WaitForTask(const Task& task, MonotonicTime deadline, const std::stop_token& stop) {
  const auto completion = std::make_shared<Completion>();
  task.then([completion](const Task& done) {
    try {
      done.wait();  // An exception that nobody has looked at would end the process.
    } catch (...) {
    }
    completion->Set();
  });
  return completion->WaitUntil(deadline, stop);
}

}  // namespace lanekeeper
