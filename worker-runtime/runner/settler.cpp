#include "worker-runtime/runner/settler.h"

#include <algorithm>
#include <string>
#include <thread>

#include "worker-runtime/base/backoff.h"
#include "worker-runtime/base/log.h"
#include "worker-runtime/runner/now.h"

namespace lanekeeper::runner {
namespace {

constexpr std::chrono::milliseconds kConnectionPoll{50};

}  // namespace

Settled Settler::Settle(RunningJob& running, const Settlement& settlement,
                        const std::optional<JobRecord>& record) {
  if (running.FenceLost()) return LetGo(running);
  if (record && !StoreRecord(running, settlement, *record)) return LetGo(running);

  if (const auto* letter = std::get_if<DeadLetter>(&settlement)) {
    return PutAndRemove(
        running, settlement, [&] { return source_.PutDead(running.message(), *letter); },
        letter->reason, Settled::kDead);
  }
  if (const auto* move = std::get_if<MoveLane>(&settlement)) {
    return PutAndRemove(
        running, settlement, [&] { return source_.PutMoved(running.message(), move->lane); },
        "moved to " + move->lane, Settled::kMoved);
  }
  if (const auto* retry = std::get_if<RetryAfter>(&settlement)) {
    const auto delay = WithJitter(retry->delay);
    const Told told = Tell(running, /*needs_lease=*/true,
                           [&] { return source_.GiveBack(running.lease(), delay); });
    return told == Told::kYes ? Settled::kGivenBack : Settled::kUntold;
  }
  // Whoever has the lease now, the work is done.
  const Told told =
      Tell(running, /*needs_lease=*/false, [&] { return source_.Acknowledge(running.lease()); });
  if (told == Told::kYes) return Settled::kAcknowledged;
  Remember(running.message(), settlement);
  return Settled::kUntold;
}

Settled Settler::LetGo(RunningJob& running) {
  running.StopRenewing();
  if (!running.Cancelled()) return Settled::kLost;
  // Should it be lost: the job comes again, and its record says that it is not to be run.
  source_.AcknowledgeSoon(running.lease());
  return Settled::kCancelled;
}

bool Settler::StoreRecord(RunningJob& running, const Settlement& settlement,
                          const JobRecord& record) {
  const bool needs_lease = !std::holds_alternative<Ack>(settlement);
  const Written written = running.Store(record, [&](int tries) {
    return WaitToTryAgain(running, needs_lease, tries, options_.record_tries_max);
  });
  if (written.kind == Written::Kind::kOutdated) return false;
  if (written.kind == Written::Kind::kFailed) {
    log::Error(
        "runner", "record_not_stored",
        {{"job", running.id()}, {"state", NameOf(record.state)}, {"error", written.error.message}});
  }
  return true;
}

Settled Settler::PutAndRemove(RunningJob& running, const Settlement& settlement,
                              const std::function<Result<void>()>& put, const std::string& reason,
                              Settled when_stored) {
  Result<void> stored = Fail(ErrorKind::kRetryable, "not tried");
  for (int tries = 0;
       tries == 0 || WaitToTryAgain(running, /*needs_lease=*/true, tries, options_.tries_max);
       ++tries) {
    if (Stopping() || running.LeaseLost(Now())) break;
    stored = put();
    if (stored || stored.error().kind != ErrorKind::kRetryable) break;
  }
  if (stored) {
    const Told told = Tell(running, /*needs_lease=*/true,
                           [&] { return source_.Remove(running.lease(), reason); });
    // Stored, but still in its lane: removed when it comes again, and stored no second time.
    if (told != Told::kYes) Remember(running.message(), settlement);
    return when_stored;
  }
  log::Error("runner", "job_kept",
             {{"job", running.id()},
              {"instead_of", reason},
              {"error", stored.error().message},
              {"next", "the job stays in its lane and is tried again"}});
  Remember(running.message(), settlement);
  const auto delay = WithJitter(options_.kept_retry);
  const Told told =
      Tell(running, /*needs_lease=*/true, [&] { return source_.GiveBack(running.lease(), delay); });
  return told == Told::kYes ? Settled::kKept : Settled::kUntold;
}

bool Settler::WaitToTryAgain(RunningJob& running, bool needs_lease, int tries, int tries_max) {
  if (tries >= tries_max || Stopping()) return false;
  Pause(tries);
  while (!source_.Connected()) {
    if (Stopping() || (needs_lease && running.LeaseLost(Now()))) return false;
    std::this_thread::sleep_for(kConnectionPoll);
  }
  return !Stopping() && !(needs_lease && running.LeaseLost(Now()));
}

Settler::Told Settler::Tell(RunningJob& running, bool needs_lease,
                            const std::function<Result<void>()>& tell) {
  running.StopRenewing();
  Result<void> told = Fail(ErrorKind::kRetryable, "not connected");
  for (int tries = 0; tries < options_.tries_max && !Stopping();) {
    if (needs_lease && running.LeaseLost(Now())) {
      log::Warning("runner", "lease_lost", {{"job", running.id()}});
      return Told::kLeaseLost;
    }
    if (!source_.Connected()) {
      std::this_thread::sleep_for(kConnectionPoll);
      continue;
    }
    told = tell();
    if (told) return Told::kYes;
    if (told.error().kind != ErrorKind::kRetryable) break;
    if (++tries == options_.tries_max) break;
    Pause(tries);
    // Not before the first try: that one must not be followed by a renewal it did not expect.
    if (!running.LeaseLost(Now())) running.RenewNow(Now());
  }
  log::Warning("runner", "not_settled", {{"job", running.id()}, {"error", told.error().message}});
  return Told::kNo;
}

std::optional<Settlement> Settler::Recall(const JobMessage& message) {
  const std::lock_guard lock(mutex_);
  const auto found = untold_.find({message.sequence, message.stored_at});
  if (found == untold_.end()) return std::nullopt;
  std::optional<Settlement> settlement = std::move(found->second);
  untold_.erase(found);
  return settlement;
}

void Settler::Remember(const JobMessage& message, const Settlement& settlement) {
  const std::lock_guard lock(mutex_);
  const MessageKey key{message.sequence, message.stored_at};
  untold_.insert_or_assign(key, settlement);
  untold_order_.push_back(key);
  while (untold_order_.size() > static_cast<std::size_t>(options_.recalled_max)) {
    untold_.erase(untold_order_.front());
    untold_order_.pop_front();
  }
}

bool Settler::Stopping() const { return Now().time_since_epoch().count() >= stop_at_; }

void Settler::Pause(int tries) const {
  const Backoff backoff{.initial = options_.try_pause, .max = options_.try_pause * 8};
  const MonotonicTime until = Now() + backoff.After(tries);
  while (Now() < until && !Stopping()) {
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(kConnectionPoll, until - Now()));
  }
}

std::chrono::milliseconds Settler::WithJitter(std::chrono::milliseconds delay) {
  if (delay.count() == 0) return delay;
  const std::lock_guard lock(mutex_);
  return Jittered(delay, random_());
}

}  // namespace lanekeeper::runner
