// The two threads of the gateway: one for what is due later, one for what waits for NATS.
//
// Calls are taken from any thread and dropped once stopped; what they hold is freed then.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include "worker-runtime/base/time.h"

namespace lanekeeper::gateway {

using Call = std::function<void()>;

// Calls are short and never wait.
class DelayedCalls {
 public:
  DelayedCalls();
  ~DelayedCalls() { Stop(); }
  void Add(std::chrono::milliseconds delay, Call call);
  // Joins the thread. Not from one of its calls.
  void Stop();

 private:
  void Run(const std::stop_token& stop);

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::multimap<MonotonicTime, Call> calls_;  // By when they are due.
  bool stopped_ = false;
  std::jthread thread_;
};

// Calls may wait for NATS; one after the other.
class WaitingCalls {
 public:
  explicit WaitingCalls(std::size_t calls_max);
  ~WaitingCalls() { Stop(); }
  // False: so many are waiting already, or it is stopped.
  bool Add(Call call);
  // Lets the one that runs end, and joins. Not from one of its calls.
  void Stop();

 private:
  void Run(const std::stop_token& stop);

  const std::size_t calls_max_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Call> calls_;
  bool stopped_ = false;
  std::jthread thread_;
};

}  // namespace lanekeeper::gateway
