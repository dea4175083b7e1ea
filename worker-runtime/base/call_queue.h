// A few threads for calls that may wait, with a bounded queue before them.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

namespace lanekeeper {

// Any thread.
class CallQueue {
 public:
  // In the order they were added; with one thread one after the other.
  CallQueue(int threads, std::size_t calls_max);
  ~CallQueue() { Stop(); }
  CallQueue(const CallQueue&) = delete;
  CallQueue& operator=(const CallQueue&) = delete;

  using Call = std::function<void(const std::stop_token& stop)>;
  // False: so many are waiting already, or it is stopped.
  bool Add(Call call);
  // Asks the calls that run, and those that come, to be short: their `stop`.
  void Hurry() { hurry_.request_stop(); }
  // Hurries, lets those that run end, and joins; the others do not run any more, and what they hold
  // is freed. Not from one of the calls.
  void Stop();

 private:
  void Run(const std::stop_token& stop);

  const std::size_t calls_max_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Call> calls_;
  bool stopped_ = false;
  std::stop_source hurry_;
  std::vector<std::jthread> threads_;
};

}  // namespace lanekeeper
