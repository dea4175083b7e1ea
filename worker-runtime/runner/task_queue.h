// A queue that many threads take from, and that keeps as few of them awake as it needs.
//
// Waking a thread costs more than a short task. While tasks are short, two threads take them all,
// and one more looks now and then whether they keep up; as soon as they do not, or tasks are long,
// every task wakes a thread of its own.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace lanekeeper::runner {

// Any thread.
template <typename Task>
class TaskQueue {
 public:
  void Push(Task task) {
    int wake = 0;
    {
      const std::lock_guard lock(mutex_);
      tasks_.push_back(std::move(task));
      wake = Wake();
    }
    for (; wake > 0; --wake) work_.notify_one();
  }
  void Push(std::vector<Task> tasks) {
    int wake = 0;
    {
      const std::lock_guard lock(mutex_);
      for (Task& task : tasks) tasks_.push_back(std::move(task));
      wake = Wake();
    }
    for (; wake > 0; --wake) work_.notify_one();
  }

  // The next task; nothing once the queue is closed and empty. `took`: how long the last task of
  // this thread took; nothing on its first call.
  std::optional<Task> Pop(std::optional<std::chrono::nanoseconds> took) {
    std::unique_lock lock(mutex_);
    if (took) {
      --active_;
      usual_ += (*took - usual_) / kUsualOver;
    }
    while (tasks_.empty() || !MayTake()) {
      if (tasks_.empty()) {
        catching_up_ = false;
        if (closed_) return std::nullopt;
      } else if (!standby_) {
        StandBy(lock);
        continue;
      }
      ++idle_;
      work_.wait(lock);
      --idle_;
      if (waking_ > 0) --waking_;
    }
    std::optional<Task> task = std::move(tasks_.front());
    tasks_.pop_front();
    ++taken_;
    ++active_;
    for (int wake = Wake(); wake > 0; --wake) work_.notify_one();
    return task;
  }

  // Everything that is in it is still handed out.
  void Close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    work_.notify_all();
  }

 private:
  static constexpr int kActiveMax = 2;
  static constexpr std::chrono::microseconds kShort{100};
  static constexpr std::chrono::microseconds kLook{200};
  static constexpr int kUsualOver = 8;  // Tasks that `usual_` looks back on.

  // Precondition of all: mutex_ is held.
  bool Eager() const { return closed_ || catching_up_ || usual_ >= kShort; }
  bool MayTake() const { return Eager() || active_ < kActiveMax; }
  // How many threads to wake now; counts them as waking.
  int Wake() {
    if (tasks_.empty()) return 0;
    const int tasks = static_cast<int>(tasks_.size());
    int wanted = tasks - waking_;
    if (!Eager()) {
      // One that stands by, unless there is one, beside those that may be active.
      wanted = std::min(wanted, kActiveMax - active_ - waking_);
      if (wanted <= 0 && !standby_ && waking_ == 0) wanted = 1;
    }
    const int wake = std::clamp(wanted, 0, std::max(0, idle_ - waking_));
    waking_ += wake;
    return wake;
  }
  void StandBy(std::unique_lock<std::mutex>& lock) {
    standby_ = true;
    const std::uint64_t before = taken_;
    look_.wait_for(lock, kLook);
    standby_ = false;
    if (!tasks_.empty() && taken_ == before) catching_up_ = true;
  }

  std::mutex mutex_;
  std::condition_variable work_;  // Idle threads.
  std::condition_variable look_;  // The one that stands by; only ever times out.
  std::deque<Task> tasks_;
  std::uint64_t taken_ = 0;
  int idle_ = 0;    // Threads in work_.
  int waking_ = 0;  // Of these, told to wake and not awake yet.
  int active_ = 0;  // Threads with a task.
  bool standby_ = false;
  bool catching_up_ = false;  // Until the queue is empty.
  bool closed_ = false;
  std::chrono::nanoseconds usual_ = std::chrono::seconds(1);  // Until the tasks say otherwise.
};

}  // namespace lanekeeper::runner
