// Tells the source what was decided about a job, and does not take no for an answer too soon.
//
// Two rules above all: a job leaves its lane only when it is done, or safely stored elsewhere; and
// the record is written before the queue is told, so that whoever gets the job next knows.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <utility>

#include "worker-runtime/base/clock.h"
#include "worker-runtime/job/settlement.h"
#include "worker-runtime/runner/job_source.h"
#include "worker-runtime/runner/running_job.h"

namespace lanekeeper::runner {

enum class Settled {
  kAcknowledged,
  kGivenBack,
  kDead,       // Stored among the dead letters.
  kMoved,      // Stored in another lane.
  kKept,       // Should be dead or moved, but could not be stored: back in its lane after a while.
  kUntold,     // The source could not be told, or the lease is over.
  kLost,       // Another worker has claimed the job: whatever this one did does not count.
  kCancelled,  // Somebody did not want it any more; so does this not count either.
};

struct SettlerOptions {
  std::chrono::milliseconds kept_retry{30000};  // Delay of a job that is kept.
  std::chrono::milliseconds try_pause{500};     // Between two tries, growing.
  int tries_max = 3;                            // While connected; waiting does not count.
  // Of a record: an election takes seconds, and a record that was given up too soon says "running",
  // which the next worker counts as a crash.
  int record_tries_max = 20;
  int recalled_max = 10000;
};

class Settler {
 public:
  Settler(JobSource& source, SettlerOptions options) : source_(source), options_(options) {}

  // `record`, when there is one, is stored first. While there is no connection it waits: to
  // acknowledge, until StopAt; for everything else until the lease is lost, because then the source
  // delivers the job again by itself.
  Settled Settle(RunningJob& running, const Settlement& settlement,
                 const std::optional<JobRecord>& record);

  // What this worker decided about the message before and could not tell. The caller settles it
  // again instead of running the job a second time. Forgotten when returned.
  std::optional<Settlement> Recall(const JobMessage& message);

  // No try begins after `time`.
  void StopAt(MonotonicTime time) { stop_at_ = time.time_since_epoch().count(); }

 private:
  // A stream that was made anew counts from 1 again; the time tells its messages from the old ones.
  using MessageKey = std::pair<std::uint64_t, WallTime>;

  enum class Told { kYes, kNo, kLeaseLost };
  Told Tell(RunningJob& running, bool needs_lease, const std::function<Result<void>()>& tell);
  // The end of a job whose claim is not ours any more.
  Settled LetGo(RunningJob& running);
  // False: another worker has the job, or it was cancelled. A record that cannot be stored is
  // logged and left as it is.
  bool StoreRecord(RunningJob& running, const Settlement& settlement, const JobRecord& record);
  // `put` stores the job elsewhere; then it is removed from its lane for `reason`.
  Settled PutAndRemove(RunningJob& running, const Settlement& settlement,
                       const std::function<Result<void>()>& put, const std::string& reason,
                       Settled when_stored);
  // For as long as it makes sense to try again; false when it does not.
  bool WaitToTryAgain(RunningJob& running, bool needs_lease, int tries, int tries_max);
  bool Stopping() const;
  void Pause(int tries) const;
  void Remember(const JobMessage& message, const Settlement& settlement);
  std::chrono::milliseconds WithJitter(std::chrono::milliseconds delay);

  JobSource& source_;
  const SettlerOptions options_;
  std::atomic<MonotonicTime::rep> stop_at_{MonotonicTime::max().time_since_epoch().count()};

  std::mutex mutex_;
  std::map<MessageKey, Settlement> untold_;
  std::deque<MessageKey> untold_order_;  // The oldest first; may name ones that were recalled.
  std::mt19937_64 random_{std::random_device{}()};
};

}  // namespace lanekeeper::runner
