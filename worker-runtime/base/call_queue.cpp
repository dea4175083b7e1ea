#include "worker-runtime/base/call_queue.h"

#include <utility>

namespace lanekeeper {

CallQueue::CallQueue(int threads, std::size_t calls_max) : calls_max_(calls_max) {
  for (int n = 0; n < threads; ++n) {
    threads_.emplace_back([this](const std::stop_token& stop) { Run(stop); });
  }
}

bool CallQueue::Add(Call call) {
  {
    const std::lock_guard lock(mutex_);
    if (stopped_ || calls_.size() >= calls_max_) return false;
    calls_.push_back(std::move(call));
  }
  changed_.notify_one();
  return true;
}

void CallQueue::Stop() {
  std::deque<Call> dropped;
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    dropped.swap(calls_);
  }
  Hurry();
  for (std::jthread& thread : threads_) thread.request_stop();
  threads_.clear();
}

void CallQueue::Run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    if (!changed_.wait(lock, stop, [this] { return !calls_.empty(); })) return;
    Call call = std::move(calls_.front());
    calls_.pop_front();
    lock.unlock();
    call(hurry_.get_token());
    call = nullptr;  // What it holds is freed without the lock.
    lock.lock();
  }
}

}  // namespace lanekeeper
