// Jobs that somebody watches. Private to the desk.
//
// The worker's own write of a record, heard on its subject, is the hint; what is told is then read
// from the records' leader. One subscription a job, whoever watches it; one thread for all.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "worker-runtime/base/time.h"
#include "worker-runtime/gateway/job_desk_core.h"
#include "worker-runtime/gateway/job_desk_find.h"
#include "worker-runtime/gateway/job_view.h"
#include "worker-runtime/gateway/problem.h"

namespace lanekeeper::gateway {

class WatchHub : public std::enable_shared_from_this<WatchHub> {
 public:
  using Changed = std::function<void(const JobView&)>;

  // `core` outlives this.
  static std::shared_ptr<WatchHub> Start(DeskCore& core);
  ~WatchHub();
  // No call runs afterwards. Before the end of the core.
  void Stop();

  Answer<std::unique_ptr<JobWatch>> Watch(const JobView& job, std::uint64_t after, Changed changed);
  std::size_t Watches() const;

 private:
  struct Watcher;
  struct Watched;
  class Handle;
  using WatchedHandle = std::shared_ptr<Watched>;
  using Due = std::multimap<MonotonicTime, WatchedHandle>;

  explicit WatchHub(DeskCore& core) : core_(core) {}

  void Run(const std::stop_token& stop);
  // Precondition of all: mutex_ is held.
  WatchedHandle Entry(const JobView& job);
  void SetDue(const WatchedHandle& watched, MonotonicTime time);
  void TakeOff(const WatchedHandle& watched);
  std::vector<WatchedHandle> TakeDue(MonotonicTime now);
  std::vector<std::shared_ptr<Watcher>> Note(const WatchedHandle& watched, Answer<Found> read);
  // When to look again after a look.
  std::chrono::milliseconds NextLook(Watched& watched, bool seen) const;

  Result<void> Listen(const WatchedHandle& watched);
  void Read(const WatchedHandle& watched);
  void Tell(const WatchedHandle& watched, Answer<Found> read);
  void Hinted(const std::weak_ptr<Watched>& hinted, std::uint64_t outdated);
  void LookAgainAtAll();
  void End(const std::string& subject, const std::shared_ptr<Watcher>& watcher);

  DeskCore& core_;
  std::unique_ptr<nats::Registration> changes_;

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<std::string, WatchedHandle> watched_;  // By the subject of its records.
  Due due_;
  std::deque<std::pair<WatchedHandle, Answer<Found>>> answers_;
  std::size_t watches_ = 0;
  int reading_ = 0;
  bool stopped_ = false;
  std::jthread thread_;
};

}  // namespace lanekeeper::gateway
