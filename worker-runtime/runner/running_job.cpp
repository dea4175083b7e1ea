#include "worker-runtime/runner/running_job.h"

#include <algorithm>
#include <utility>

#include "worker-runtime/base/log.h"

namespace lanekeeper::runner {
namespace {

constexpr std::chrono::milliseconds kRenewRetry{250};

}  // namespace

RunningJob::RunningJob(JobSource& source, std::string id, std::string lease,
                       RunningJobLimits limits, MonotonicTime now)
    : source_(source),
      id_(std::move(id)),
      lease_(std::move(lease)),
      timeout_at_(now + limits.timeout),
      stuck_at_(timeout_at_ + limits.patience),
      renewed_at_(now),
      tried_at_(now) {}

MonotonicTime RunningJob::Watch(MonotonicTime now) {
  if (now >= timeout_at_ && !timed_out_) {
    timed_out_ = true;
    stop_ = true;
  }
  const std::lock_guard lock(mutex_);
  if (now >= stuck_at_ && renewing_) {
    log::Error("runner", "handler_stuck", {{"job", id_}});
    stuck_ = true;
    renewing_ = false;
  }
  MonotonicTime next = timed_out_ ? stuck_at_ : timeout_at_;
  if (!renewing_) return std::max(next, now + kRenewRetry);

  const auto due = [this] {
    const MonotonicTime third = renewed_at_ + source_.LeaseTime() / 3;
    // After a try that failed, soon again, but not at once.
    return tried_at_ > renewed_at_ ? std::max(third, tried_at_ + kRenewRetry) : third;
  };
  if (now >= due()) Renew(now);
  return std::min(next, due());
}

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
