// Drives a WatchState against the API server, on a thread of its own.
#pragma once

#include <atomic>
#include <mutex>
#include <stop_token>
#include <thread>

#include "operator/kubernetes/api.h"
#include "operator/kubernetes/watch_state.h"

namespace lanekeeper::kubernetes {

// A connection over which nothing came for this much longer than the server's own end of the watch
// is dead.
inline constexpr std::chrono::seconds kWatchSilence{15};

// Start and Stop: by one thread. Stop may be called twice, waits for the thread (well under a
// second) and no callback runs after it.
class WatchLoop {
 public:
  // `api` must outlive this.
  WatchLoop(Api& api, WatchTarget target, WatchCallbacks callbacks);
  ~WatchLoop() { Stop(); }
  WatchLoop(const WatchLoop&) = delete;
  WatchLoop& operator=(const WatchLoop&) = delete;

  void Start();
  void Stop();

  // Every object that existed at the start, or at the last Relist, has been reported. Any thread.
  bool synced() const { return synced_; }

  // Ends the watch, which may have gone silent, and lists at once. Not synced from now on until
  // that is done. Any thread, never waits.
  void Relist();

 private:
  void Run(std::stop_token stop);
  std::stop_source BeginTurn();
  void EndTurn();
  void List(const Request& request, std::stop_token stop);
  void Stream(const Request& request, std::stop_token stop);

  Api& api_;
  const WatchTarget target_;
  WatchState state_;
  std::atomic<bool> synced_{false};

  std::mutex mutex_;
  bool relist_ = false;
  std::stop_source turn_;  // Of the request that is under way, and the wait before it.
  std::jthread thread_;
};

}  // namespace lanekeeper::kubernetes
