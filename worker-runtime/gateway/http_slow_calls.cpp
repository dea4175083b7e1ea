#include "worker-runtime/gateway/http_slow_calls.h"

#include <utility>

namespace lanekeeper::gateway {

HttpSlowCalls::HttpSlowCalls(int threads, std::size_t queue_max) : queue_max_(queue_max) {
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([this](const std::stop_token& stop) { Work(stop); });
  }
}

HttpSlowCalls::~HttpSlowCalls() {
  std::deque<Call> dropped;
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    dropped.swap(queue_);
  }
  Hurry();
  for (std::jthread& thread : threads_) thread.request_stop();
  threads_.clear();
}

bool HttpSlowCalls::Run(Call call) {
  const std::lock_guard lock(mutex_);
  if (ended_ || queue_.size() >= queue_max_) return false;
  queue_.push_back(std::move(call));
  changed_.notify_one();
  return true;
}

void HttpSlowCalls::Work(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [this] { return !queue_.empty(); })) {
    Call call = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    call(hurry_.get_token());
    call = nullptr;
    lock.lock();
  }
}

}  // namespace lanekeeper::gateway
