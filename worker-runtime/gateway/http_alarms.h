// Things to do at a time: heartbeats, ends of waits. One thread for all of them.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <stop_token>
#include <thread>
#include <unordered_map>

#include "worker-runtime/base/time.h"

namespace lanekeeper::gateway {

class HttpAlarms {
 public:
  using Id = std::uint64_t;  // 0 is none.

  HttpAlarms();
  ~HttpAlarms();  // What has not rung does not ring any more.
  HttpAlarms(const HttpAlarms&) = delete;
  HttpAlarms& operator=(const HttpAlarms&) = delete;

  // `ring` is short, and runs on the thread of this. Any thread may call.
  Id At(MonotonicTime when, std::function<void()> ring);
  // For things that must not be done where one is: as soon as the thread is free.
  Id Soon(std::function<void()> ring);
  // It may be ringing at this moment.
  void Cancel(Id id);

 private:
  void Run(const std::stop_token& stop);

  std::mutex mutex_;
  std::condition_variable_any changed_;
  Id last_id_ = 0;
  std::multimap<MonotonicTime, std::pair<Id, std::function<void()>>> alarms_;
  std::unordered_map<Id, decltype(alarms_)::iterator> by_id_;
  std::jthread thread_;
};

}  // namespace lanekeeper::gateway
