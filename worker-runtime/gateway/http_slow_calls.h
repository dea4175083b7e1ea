// A few threads for calls that wait for NATS, with a bounded queue before them.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

namespace lanekeeper::gateway {

class HttpSlowCalls {
 public:
  HttpSlowCalls(int threads, std::size_t queue_max);
  ~HttpSlowCalls();  // Hurries; waits for those that run, the others do not run any more.
  HttpSlowCalls(const HttpSlowCalls&) = delete;
  HttpSlowCalls& operator=(const HttpSlowCalls&) = delete;

  using Call = std::function<void(const std::stop_token& stop)>;
  // Asks the calls that run, and those that come, to be short: their `stop`.
  void Hurry() { hurry_.request_stop(); }
  // False: the queue is full, or this ends. Any thread.
  bool Run(Call call);

 private:
  void Work(const std::stop_token& stop);

  const std::size_t queue_max_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Call> queue_;
  bool ended_ = false;
  std::stop_source hurry_;
  std::vector<std::jthread> threads_;
};

}  // namespace lanekeeper::gateway
