// A job between its arrival and its settlement: its lease, its timeout, its order to stop, and its
// claim on the record.
//
// The slot that runs it, the lease keeper and the runner share it; every call from any thread
// unless it says otherwise.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "worker-runtime/base/clock.h"
#include "worker-runtime/base/result.h"
#include "worker-runtime/job/job.h"
#include "worker-runtime/job/job_record.h"
#include "worker-runtime/runner/job_source.h"
#include "worker-runtime/runner/record_store.h"

namespace lanekeeper::runner {

struct RunningJobLimits {
  std::chrono::milliseconds timeout{30000};
  // How long a handler may go on after it was told that its time is over. Then it counts as stuck:
  // its lease is left to run out, as if its worker had died.
  std::chrono::milliseconds patience{15000};
  // Progress is written at most this often.
  std::chrono::milliseconds progress_pause{1000};
};

class RunningJob final : public JobContext, public std::enable_shared_from_this<RunningJob> {
 public:
  // `source` and `records` outlive this; `records` null: the lane keeps none.
  RunningJob(JobSource& source, RecordStore* records, Received received, RunningJobLimits limits,
             MonotonicTime now);

  const std::string& id() const { return id_; }
  const std::string& lease() const { return lease_; }
  const Result<JobHead>& head() const { return head_; }
  const JobMessage& message() const { return message_; }
  std::shared_ptr<const JobMessage> SharedMessage() { return {shared_from_this(), &message_}; }

  std::size_t place = 0;  // In the runner's list of jobs; guarded by the runner.
  // Of the time its handler took, once that has come to its own end; set before it is settled.
  std::optional<std::size_t> service_bucket;

  // ---- Its claim ----

  // `record` is stored as `revision`, and from here on ours to change.
  void Claimed(std::shared_ptr<const JobRecord> record, std::uint64_t revision);
  void Claimed(JobRecord record, std::uint64_t revision);
  // Its record has to be looked at before it can be claimed.
  void Ask() { asks_ = true; }
  // That is so, and it is not claimed yet: nobody's hand has it, this one neither.
  bool Asks() const { return asks_ && !recorded(); }
  // The job runs without a stored record: the lane keeps none, or none of a first delivery.
  void Unrecorded(JobRecord record);
  // As of the last write that succeeded.
  JobRecord record() const;
  bool recorded() const;
  // What its handler is told of earlier runs; attempts_max and timeout are the caller's to set.
  JobStart StartOfRun() const;

  // The next version of the record; see RecordStore::WriteSurely. Waits for a write under way.
  Written Store(JobRecord record, const std::function<bool(int tries)>& pause);
  // The same without waiting and with one try. False, and nothing begun, while another write is
  // under way.
  bool StoreAsync(std::shared_ptr<const JobRecord> record, RecordStore::WriteHandler handler);
  // Another worker has claimed the job, or it was cancelled: nothing this one says about it counts
  // any more.
  bool FenceLost() const { return fence_lost_; }
  bool Cancelled() const { return cancelled_; }
  // Asks the record whether that is so. Returns at once; harmless at any time.
  void CheckFence();

  // ---- Its run ----

  // The handler is called next, with `timeout` to go. Once.
  void HandlerStarts(MonotonicTime now, std::chrono::milliseconds timeout);
  // When that was; MonotonicTime::max() before.
  MonotonicTime HandlerStartedAt() const { return handler_started_at_; }
  // Renews the lease when a third of it is over and asks whether the claim still holds, gives the
  // order to stop when the timeout is over, writes progress. Returns when it wants to be called
  // again.
  MonotonicTime Watch(MonotonicTime now);

  void RequestStop() { stop_ = true; }
  bool StopRequested() const override { return stop_; }
  bool TimedOut() const { return timed_out_; }
  bool Stuck() const { return stuck_; }
  void Progress(double fraction, std::string_view note) override;
  Result<void> Checkpoint(std::string_view bytes) override;

  // ---- Its end ----

  // From here on Watch renews nothing: a renewal after the settlement would undo its delay.
  void StopRenewing();
  // The one way to renew afterwards, between two tries to settle.
  void RenewNow(MonotonicTime now);
  // True when the last renewal is so long ago that somebody else may have the job.
  bool LeaseLost(MonotonicTime now) const;

 private:
  // Precondition of all three: mutex_ is held.
  void Renew(MonotonicTime now);
  bool ProgressIsDue(MonotonicTime now) const;
  JobRecord WithProgress() const;

  void WriteProgress(MonotonicTime now);
  void WriteEnded(std::shared_ptr<const JobRecord> record, const Written& written);
  void LoseFence(bool cancelled);

  JobSource& source_;
  RecordStore* const records_;
  const std::string id_;
  const std::string lease_;
  const JobMessage message_;
  const Result<JobHead> head_;
  const RunningJobLimits limits_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> timed_out_{false};
  std::atomic<bool> stuck_{false};
  std::atomic<bool> fence_lost_{false};
  std::atomic<bool> asks_{false};
  std::atomic<bool> cancelled_{false};  // Set before fence_lost_.
  std::atomic<MonotonicTime> handler_started_at_{MonotonicTime::max()};

  mutable std::mutex mutex_;
  MonotonicTime timeout_at_ = MonotonicTime::max();
  MonotonicTime stuck_at_ = MonotonicTime::max();
  bool renewing_ = true;
  MonotonicTime renewed_at_;
  MonotonicTime tried_at_;

  std::condition_variable write_ended_;
  std::shared_ptr<const JobRecord> record_;  // Never null.
  std::uint64_t revision_ = 0;
  bool recorded_ = false;
  bool writing_ = false;
  double progress_ = 0;
  std::string progress_note_;
  bool progress_due_ = false;
  MonotonicTime progress_written_at_{};
};

}  // namespace lanekeeper::runner
