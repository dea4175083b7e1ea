// Things to do at a time: heartbeats, ends of waits, tries that come later. One thread for all of
// them.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <stop_token>
#include <thread>
#include <unordered_map>
#include <utility>

#include "worker-runtime/base/time.h"

namespace lanekeeper {

class Alarms {
 public:
  using Id = std::uint64_t;  // 0 is none.

  Alarms();
  ~Alarms() { Stop(); }
  Alarms(const Alarms&) = delete;
  Alarms& operator=(const Alarms&) = delete;

  // `ring` is short, never waits, and runs on the thread of this. Any thread may call. Dropped, and
  // what it holds freed, when this is stopped.
  Id At(MonotonicTime when, std::function<void()> ring);
  Id In(std::chrono::milliseconds delay, std::function<void()> ring) {
    return At(std::chrono::steady_clock::now() + delay, std::move(ring));
  }
  // For things that must not be done where one is: as soon as the thread is free.
  Id Soon(std::function<void()> ring) { return At(MonotonicTime{}, std::move(ring)); }
  // It may be ringing at this moment.
  void Cancel(Id id);
  // What has not rung does not ring any more. Joins the thread: not from one of its calls.
  void Stop();

 private:
  void Run(const std::stop_token& stop);

  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool stopped_ = false;
  Id last_id_ = 0;
  std::multimap<MonotonicTime, std::pair<Id, std::function<void()>>> alarms_;
  std::unordered_map<Id, decltype(alarms_)::iterator> by_id_;
  std::jthread thread_;
};

}  // namespace lanekeeper
