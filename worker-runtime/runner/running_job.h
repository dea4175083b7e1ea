// A job between its arrival and its settlement: its lease, its timeout, its order to stop.
//
// The slot that runs it, the lease keeper and the runner share it; every call from any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <string>

#include "worker-runtime/base/clock.h"
#include "worker-runtime/runner/job_source.h"

namespace lanekeeper::runner {

struct RunningJobLimits {
  std::chrono::milliseconds timeout{30000};
  // How long a handler may go on after it was told that its time is over. Then it counts as stuck:
  // its lease is left to run out, as if its worker had died.
  std::chrono::milliseconds patience{15000};
};

class RunningJob {
 public:
  // `source` outlives this. `id` is for the log.
  RunningJob(JobSource& source, std::string id, std::string lease, RunningJobLimits limits,
             MonotonicTime now);

  const std::string& id() const { return id_; }
  const std::string& lease() const { return lease_; }

  // Renews the lease when a third of it is over, and gives the order to stop when the timeout is.
  // Returns when it wants to be called again.
  MonotonicTime Watch(MonotonicTime now);

  void RequestStop() { stop_ = true; }
  bool StopRequested() const { return stop_; }
  bool TimedOut() const { return timed_out_; }
  bool Stuck() const { return stuck_; }

  // From here on Watch renews nothing: a renewal after the settlement would undo its delay.
  void StopRenewing();
  // The one way to renew afterwards, between two tries to settle.
  void RenewNow(MonotonicTime now);
  // True when the last renewal is so long ago that somebody else may have the job.
  bool LeaseLost(MonotonicTime now) const;

 private:
  // Precondition: mutex_ is held.
  void Renew(MonotonicTime now);

  JobSource& source_;
  const std::string id_;
  const std::string lease_;
  const MonotonicTime timeout_at_;
  const MonotonicTime stuck_at_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> timed_out_{false};
  std::atomic<bool> stuck_{false};

  mutable std::mutex mutex_;
  bool renewing_ = true;
  MonotonicTime renewed_at_;
  MonotonicTime tried_at_;
};

}  // namespace lanekeeper::runner
