// A queue that many threads take from, and that keeps as few of them awake as it needs.
//
// Waking a thread costs more than a short task. While tasks are short, two threads take them all,
// and one more looks now and then whether they keep up; as soon as they do not, or tasks are long,
// every task wakes a thread of its own. While short tasks come fast, a thread that finds none naps
// instead of waiting to be woken, so that one wake-up serves several; and of the threads that wait
// the last to lie down is woken first: its stack and its memory are still in the cache.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "worker-runtime/base/clock.h"

namespace lanekeeper::runner {

// Any thread.
template <typename Task>
class TaskQueue {
 public:
  void Push(Task task) {
    Sleepers told;
    {
      const std::lock_guard lock(mutex_);
      tasks_.push_back(std::move(task));
      told = Wake();
    }
    Notify(told);
  }
  void Push(std::vector<Task> tasks) {
    Sleepers told;
    {
      const std::lock_guard lock(mutex_);
      for (Task& task : tasks) tasks_.push_back(std::move(task));
      told = Wake();
    }
    Notify(told);
  }

  // The next task; nothing once the queue is closed and empty. `took`: how long the last task of
  // this thread took; nothing on its first call.
  std::optional<Task> Pop(std::optional<std::chrono::nanoseconds> took) {
    std::unique_lock lock(mutex_);
    if (took) {
      --active_;
      usual_ += (*took - usual_) / kUsualOver;
    }
    bool napped = false;
    while (tasks_.empty() || !MayTake()) {
      if (tasks_.empty()) {
        catching_up_ = false;
        if (closed_) return std::nullopt;
        if (!std::exchange(napped, true) && NapPays()) {
          Nap(lock);
          continue;
        }
      } else if (!standby_) {
        StandBy(lock);
        continue;
      }
      Sleep(lock);
    }
    std::optional<Task> task = std::move(tasks_.front());
    tasks_.pop_front();
    ++taken_;
    ++active_;
    const Sleepers told = Wake();
    lock.unlock();
    Notify(told);
    return task;
  }

  // Everything that is in it is still handed out.
  void Close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    for (Sleeper* sleeper : sleeping_) Tell(*sleeper);
    sleeping_.clear();
    for (const auto& sleeper : sleepers_) sleeper->wake.notify_one();
  }

 private:
  // Where one thread waits to be told. Lives as long as the queue: a notification may come late.
  struct Sleeper {
    std::condition_variable wake;
    bool told = false;
  };
  using Sleepers = std::vector<Sleeper*>;

  static constexpr int kActiveMax = 2;
  static constexpr std::chrono::microseconds kShort{100};
  static constexpr std::chrono::microseconds kLook{200};
  static constexpr int kUsualOver = 8;  // Tasks that `usual_` looks back on.
  static constexpr std::chrono::microseconds kNap{200};
  static constexpr std::chrono::milliseconds kWindow{2};
  static constexpr double kFastRate = 10'000;  // Tasks a second.
  // Tasks that come faster still are over before a nap is: it would be a gap.
  static constexpr double kFasterRate = 60'000;

  // Precondition of all: mutex_ is held.
  bool Eager() const { return closed_ || catching_up_ || usual_ >= kShort; }
  bool MayTake() const { return Eager() || active_ < kActiveMax; }
  // The threads to wake now; counts them as waking.
  Sleepers Wake() {
    Sleepers told;
    if (tasks_.empty()) return told;
    int wanted = static_cast<int>(tasks_.size()) - waking_;
    if (!Eager()) {
      if (napping_ > 0) return told;  // It is about to look by itself, and wakes others then.
      // One that stands by, unless there is one, beside those that may be active.
      wanted = std::min(wanted, kActiveMax - active_ - waking_);
      if (wanted <= 0 && !standby_ && waking_ == 0) wanted = 1;
    }
    for (; wanted > 0 && !sleeping_.empty(); --wanted) {
      told.push_back(sleeping_.back());
      Tell(*sleeping_.back());
      sleeping_.pop_back();
    }
    return told;
  }
  void Tell(Sleeper& sleeper) {
    sleeper.told = true;
    ++waking_;
  }
  static void Notify(const Sleepers& told) {
    for (Sleeper* sleeper : told) sleeper->wake.notify_one();
  }
  void Sleep(std::unique_lock<std::mutex>& lock) {
    if (spare_.empty()) {
      sleepers_.push_back(std::make_unique<Sleeper>());
      spare_.push_back(sleepers_.back().get());
    }
    Sleeper* const sleeper = spare_.back();
    spare_.pop_back();
    sleeper->told = false;
    sleeping_.push_back(sleeper);
    sleeper->wake.wait(lock, [sleeper] { return sleeper->told; });
    --waking_;
    spare_.push_back(sleeper);
  }
  bool NapPays() {
    const auto now = std::chrono::steady_clock::now();
    if (now - window_began_ >= kWindow) {
      const std::chrono::duration<double> window = now - window_began_;
      const double rate = static_cast<double>(taken_ - window_taken_) / window.count();
      fast_ = rate >= kFastRate && rate < kFasterRate;
      window_began_ = now;
      window_taken_ = taken_;
    }
    return fast_ && !Eager() && active_ + napping_ < kActiveMax;
  }
  void Nap(std::unique_lock<std::mutex>& lock) {
    ++napping_;
    lock.unlock();
    std::this_thread::sleep_for(kNap);
    lock.lock();
    --napping_;
  }
  void StandBy(std::unique_lock<std::mutex>& lock) {
    standby_ = true;
    const std::uint64_t before = taken_;
    look_.wait_for(lock, kLook);
    standby_ = false;
    if (!tasks_.empty() && taken_ == before) catching_up_ = true;
  }

  std::mutex mutex_;
  std::condition_variable look_;  // The one that stands by; only ever times out.
  std::deque<Task> tasks_;
  std::uint64_t taken_ = 0;
  std::vector<std::unique_ptr<Sleeper>> sleepers_;
  Sleepers sleeping_;  // Threads that wait; the last to lie down last.
  Sleepers spare_;
  int waking_ = 0;   // Told, and not awake yet.
  int active_ = 0;   // With a task.
  int napping_ = 0;  // Look again by themselves.
  MonotonicTime window_began_{};
  std::uint64_t window_taken_ = 0;
  bool fast_ = false;
  bool standby_ = false;
  bool catching_up_ = false;  // Until the queue is empty.
  bool closed_ = false;
  std::chrono::nanoseconds usual_ = std::chrono::seconds(1);  // Until the tasks say otherwise.
};

}  // namespace lanekeeper::runner
