#include "worker-runtime/runner/running_job.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "worker-runtime/base/log.h"
#include "worker-runtime/job/codec.h"

namespace lanekeeper::runner {
namespace {

constexpr std::chrono::milliseconds kRenewRetry{250};
constexpr int kCheckpointTriesMax = 3;
constexpr std::chrono::milliseconds kCheckpointPause{500};

const std::shared_ptr<const JobRecord>& NoRecord() {
  static const auto none = std::make_shared<const JobRecord>();
  return none;
}

}  // namespace

RunningJob::RunningJob(JobSource& source, RecordStore* records, Received received,
                       RunningJobLimits limits, MonotonicTime now)
    : source_(source),
      records_(records),
      id_(JobIdOf(received.message)),
      lease_(std::move(received.lease)),
      message_(std::move(received.message)),
      head_(DecodeHead(message_)),
      limits_(limits),
      renewed_at_(now),
      tried_at_(now),
      record_(NoRecord()) {}

// ---- Its claim ----

void RunningJob::Claimed(JobRecord record, std::uint64_t revision) {
  Claimed(std::make_shared<const JobRecord>(std::move(record)), revision);
}

void RunningJob::Claimed(std::shared_ptr<const JobRecord> record, std::uint64_t revision) {
  const std::lock_guard lock(mutex_);
  record_ = std::move(record);
  revision_ = revision;
  recorded_ = true;
}

void RunningJob::Unrecorded(JobRecord record) {
  const std::lock_guard lock(mutex_);
  record_ = std::make_shared<const JobRecord>(std::move(record));
}

JobRecord RunningJob::record() const {
  const std::lock_guard lock(mutex_);
  return *record_;
}

bool RunningJob::recorded() const {
  const std::lock_guard lock(mutex_);
  return recorded_;
}

JobStart RunningJob::StartOfRun() const {
  const std::lock_guard lock(mutex_);
  return {.attempt = record_->attempts + 1,
          .run = record_->runs,
          .fence = recorded_ ? revision_ : 0,
          .checkpoint = record_->checkpoint};
}

Written RunningJob::Store(JobRecord record, const std::function<bool(int tries)>& pause) {
  std::uint64_t based_on = 0;
  bool claimed = false;
  {
    std::unique_lock lock(mutex_);
    write_ended_.wait(lock, [this] { return !writing_; });  // Ends: every answer comes in time.
    if (fence_lost_) return {.kind = Written::Kind::kOutdated};
    writing_ = true;
    based_on = revision_;
    claimed = recorded_;
  }
  Written written;
  if (!claimed) {
    // The first thing ever written about this delivery: whatever is there is of an earlier life.
    if (const Result<StoredRecord> read = records_->Read(records_->lane(), record.id)) {
      based_on = read->revision;
    }
  }
  written = records_->WriteSurely(record, based_on, pause);
  if (written.kind == Written::Kind::kOutdated) LoseFence(written.cancelled);
  WriteEnded(std::make_shared<const JobRecord>(std::move(record)), written);
  return written;
}

bool RunningJob::StoreAsync(std::shared_ptr<const JobRecord> record,
                            RecordStore::WriteHandler handler) {
  std::uint64_t based_on = 0;
  {
    const std::lock_guard lock(mutex_);
    if (writing_ || !recorded_ || fence_lost_) return false;
    writing_ = true;
    based_on = revision_;
  }
  records_->WriteAsync(
      *record, based_on,
      [self = shared_from_this(), record, handler = std::move(handler)](const Written& written) {
        self->WriteEnded(record, written);
        handler(written);
      });
  return true;
}

void RunningJob::WriteEnded(std::shared_ptr<const JobRecord> record, const Written& written) {
  const std::lock_guard lock(mutex_);
  writing_ = false;
  if (written.kind == Written::Kind::kStored) {
    record_ = std::move(record);
    revision_ = written.revision;
    recorded_ = true;
  }
  write_ended_.notify_all();
}

void RunningJob::LoseFence(bool cancelled) {
  if (cancelled) cancelled_ = true;
  if (fence_lost_.exchange(true)) return;
  stop_ = true;
  if (cancelled) {
    log::Info("runner", "job_cancelled", {{"job", id_}});
  } else {
    log::Warning("runner", "lease_lost", {{"job", id_}, {"how", "another worker claimed it"}});
  }
}

// ---- Its run ----

void RunningJob::HandlerStarts(MonotonicTime now, std::chrono::milliseconds timeout) {
  const std::lock_guard lock(mutex_);
  handler_started_at_ = now;
  timeout_at_ = now + timeout;
  stuck_at_ = timeout_at_ + limits_.patience;
}

MonotonicTime RunningJob::Watch(MonotonicTime now) {
  bool check_fence = false;
  bool write_progress = false;
  MonotonicTime next;
  {
    const std::lock_guard lock(mutex_);
    if (now >= timeout_at_ && !timed_out_) {
      timed_out_ = true;
      stop_ = true;
    }
    if (now >= stuck_at_ && renewing_) {
      log::Error("runner", "handler_stuck", {{"job", id_}});
      stuck_ = true;
      renewing_ = false;
    }
    next = timed_out_ ? stuck_at_ : timeout_at_;
    if (!renewing_) return std::max(next, now + kRenewRetry);

    const auto due = [this] {
      const MonotonicTime third = renewed_at_ + source_.LeaseTime() / 3;
      // After a try that failed, soon again, but not at once.
      return tried_at_ > renewed_at_ ? std::max(third, tried_at_ + kRenewRetry) : third;
    };
    if (now >= due()) {
      Renew(now);
      check_fence = recorded_ && !writing_;
    }
    next = std::min(next, due());
    write_progress = ProgressIsDue(now);
    if (progress_due_) next = std::min(next, progress_written_at_ + limits_.progress_pause);
    next = std::max(next, now + std::chrono::milliseconds(1));
  }
  // A write asks the same question as a check.
  if (write_progress) {
    WriteProgress(now);
  } else if (check_fence) {
    CheckFence();
  }
  return next;
}

bool RunningJob::ProgressIsDue(MonotonicTime now) const {
  return progress_due_ && recorded_ && !writing_ && !fence_lost_ &&
         now >= progress_written_at_ + limits_.progress_pause;
}

JobRecord RunningJob::WithProgress() const {
  JobRecord record = *record_;
  record.progress = progress_;
  record.progress_note = progress_note_;
  return record;
}

void RunningJob::WriteProgress(MonotonicTime now) {
  std::shared_ptr<const JobRecord> record;
  {
    const std::lock_guard lock(mutex_);
    progress_due_ = false;
    progress_written_at_ = now;
    record = std::make_shared<const JobRecord>(WithProgress());
  }
  static_cast<void>(StoreAsync(record, [self = shared_from_this()](const Written& written) {
    if (written.kind == Written::Kind::kStored) return;
    {
      const std::lock_guard lock(self->mutex_);
      self->progress_due_ = true;
    }
    // Ours, when an earlier answer was lost, or somebody else's: that is looked up.
    if (written.kind == Written::Kind::kOutdated) self->CheckFence();
  }));
}

void RunningJob::CheckFence() {
  if (records_ == nullptr) return;
  records_->ReadAsync(
      records_->lane(), id_, [self = shared_from_this()](const Result<StoredRecord>& read) {
        if (!read) return;  // The next renewal asks again.
        const std::lock_guard lock(self->mutex_);
        if (self->writing_ || read->revision <= self->revision_) return;
        if (read->record &&
            SaysCancelled(*read->record, self->message_.sequence, self->message_.stored_at)) {
          return self->LoseFence(/*cancelled=*/true);
        }
        if (!self->recorded_)
          return;  // Of an earlier life, or our claim: its answer is on its way.
        if (read->record && SameClaim(*read->record, *self->record_)) {
          self->revision_ = read->revision;  // Our own write, whose answer was lost.
        } else {
          self->LoseFence(/*cancelled=*/false);
        }
      });
}

void RunningJob::Progress(double fraction, std::string_view note) {
  const std::lock_guard lock(mutex_);
  progress_ = fraction;
  progress_note_ = note;
  progress_due_ = records_ != nullptr;
}

Result<void> RunningJob::Checkpoint(std::string_view bytes) {
  if (records_ == nullptr) {
    return Fail(ErrorKind::kInvalid,
                "the lane keeps no records, so no checkpoints (jobs.tracking is None)");
  }
  JobRecord record;
  {
    const std::lock_guard lock(mutex_);
    record = WithProgress();
    record.checkpoint = bytes;
  }
  const Written written = Store(record, [](int tries) {
    if (tries >= kCheckpointTriesMax) return false;
    std::this_thread::sleep_for(kCheckpointPause);
    return true;
  });
  if (written.kind == Written::Kind::kStored) return {};
  if (written.kind == Written::Kind::kFailed) {
    return Wrap(written.error, "storing a checkpoint of job " + id_);
  }
  return Fail(ErrorKind::kForbidden, Cancelled() ? "job " + id_ + " was cancelled"
                                                 : "another worker has claimed job " + id_);
}

// ---- Its end ----

void RunningJob::StopRenewing() {
  const std::lock_guard lock(mutex_);
  renewing_ = false;
}

void RunningJob::RenewNow(MonotonicTime now) {
  const std::lock_guard lock(mutex_);
  Renew(now);
}

void RunningJob::Renew(MonotonicTime now) {
  tried_at_ = now;
  if (const Result<void> extended = source_.ExtendLease(lease_); extended) {
    renewed_at_ = now;
  } else {
    log::Debug("runner", "lease_not_renewed", {{"job", id_}, {"error", extended.error().message}});
  }
}

bool RunningJob::LeaseLost(MonotonicTime now) const {
  const std::lock_guard lock(mutex_);
  return now > renewed_at_ + source_.LeaseTime();
}

}  // namespace lanekeeper::runner
