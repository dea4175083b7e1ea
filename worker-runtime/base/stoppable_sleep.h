#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>

namespace lanekeeper {

// Waits `time`, or until `stop` is requested. False: it is.
inline bool SleepUnlessStopped(std::chrono::nanoseconds time, const std::stop_token& stop) {
  if (time.count() > 0) {
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock lock(mutex);
    never.wait_for(lock, stop, time, [] { return false; });
  }
  return !stop.stop_requested();
}

}  // namespace lanekeeper
