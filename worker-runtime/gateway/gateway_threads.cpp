#include "worker-runtime/gateway/gateway_threads.h"

#include <utility>

namespace lanekeeper::gateway {

DelayedCalls::DelayedCalls() : thread_([this](const std::stop_token& stop) { Run(stop); }) {}

void DelayedCalls::Add(std::chrono::milliseconds delay, Call call) {
  const MonotonicTime due = std::chrono::steady_clock::now() + delay;
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    if (stopped_) return;  // `call` is freed after the lock.
    const auto added = calls_.emplace(due, std::move(call));
    first = added == calls_.begin();  // Not in one expression: its order is not defined.
  }
  if (first) changed_.notify_one();
}

void DelayedCalls::Stop() {
  std::multimap<MonotonicTime, Call> dropped;
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    dropped.swap(calls_);
  }
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void DelayedCalls::Run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    if (calls_.empty()) {
      changed_.wait(lock, stop, [this] { return !calls_.empty(); });
      continue;
    }
    const MonotonicTime due = calls_.begin()->first;
    if (due > std::chrono::steady_clock::now()) {
      changed_.wait_until(lock, stop, due,
                          [&] { return calls_.empty() || calls_.begin()->first < due; });
      continue;
    }
    Call call = std::move(calls_.extract(calls_.begin()).mapped());
    lock.unlock();
    call();
    call = nullptr;  // What it holds is freed without the lock.
    lock.lock();
  }
}

WaitingCalls::WaitingCalls(std::size_t calls_max)
    : calls_max_(calls_max), thread_([this](const std::stop_token& stop) { Run(stop); }) {}

bool WaitingCalls::Add(Call call) {
  {
    const std::lock_guard lock(mutex_);
    if (stopped_ || calls_.size() >= calls_max_) return false;
    calls_.push_back(std::move(call));
  }
  changed_.notify_one();
  return true;
}

void WaitingCalls::Stop() {
  std::deque<Call> dropped;
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    dropped.swap(calls_);
  }
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void WaitingCalls::Run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    if (!changed_.wait(lock, stop, [this] { return !calls_.empty(); })) return;
    Call call = std::move(calls_.front());
    calls_.pop_front();
    lock.unlock();
    call();
    call = nullptr;
    lock.lock();
  }
}

}  // namespace lanekeeper::gateway
