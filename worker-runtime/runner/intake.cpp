#include "worker-runtime/runner/intake.h"

#include <thread>
#include <utility>
#include <variant>

#include "worker-runtime/base/log.h"

namespace lanekeeper::runner {
namespace {

constexpr int kClaimTriesMax = 5;
constexpr std::chrono::milliseconds kClaimPause{200};

WallTime WallNow() { return SystemClock().WallNow(); }

// "short" of "short.17"; empty when there is none.
std::string LaneOf(const std::string& moved_from) {
  return moved_from.substr(0, moved_from.find('.'));
}

}  // namespace

Intake::Intake(IntakeOptions options, const HandlerRegistry& handlers, JobSource& source,
               RecordStore* records)
    : options_(std::move(options)), handlers_(handlers), source_(source), records_(records) {}

const Handler* Intake::HandlerOf(const RunningJob& job) const {
  return job.head() ? handlers_.Find(job.head()->type) : nullptr;
}

std::optional<JobRecord> Intake::ClaimWithoutLook(const RunningJob& job, WallTime now) const {
  if (records_ == nullptr || options_.policy.tracking != Tracking::kFull) return std::nullopt;
  if (job.message().delivery != 1 || HandlerOf(job) == nullptr) return std::nullopt;
  if (!job.head()->moved_from.empty()) return std::nullopt;
  const Arrival arrival{job.message(), *job.head(), options_.worker, options_.instance};
  Receipt receipt = DecideReceipt(options_.policy, arrival, std::nullopt, std::nullopt, now);
  auto* start = std::get_if<Start>(&receipt);
  return start == nullptr ? std::nullopt : std::optional(std::move(start->record));
}

std::optional<Turned> Intake::Admit(RunningJob& job, std::optional<JobRecord> tried) const {
  if (!job.head()) {
    return Turned{DeadLetter{.reason = std::string(kDeadUndecodable),
                             .message = job.head().error().message,
                             .error_class = "undecodable"},
                  std::nullopt};
  }
  const bool first_of_failures = options_.policy.tracking == Tracking::kFailures &&
                                 job.message().delivery == 1 && job.head()->moved_from.empty();
  if (records_ != nullptr && !first_of_failures) return AdmitWithRecord(job, std::move(tried));

  const Arrival arrival{job.message(), *job.head(), options_.worker, options_.instance};
  Receipt receipt =
      records_ == nullptr
          ? DecideReceiptByDelivery(options_.policy, arrival, WallNow())
          : DecideReceipt(options_.policy, arrival, std::nullopt, std::nullopt, WallNow());
  if (auto* settle = std::get_if<Settle>(&receipt)) {
    return Turned{std::move(settle->settlement),
                  records_ == nullptr ? std::nullopt : std::move(settle->record)};
  }
  JobRecord record = std::get<Start>(std::move(receipt)).record;
  if (HandlerOf(job) == nullptr) {
    Turned refused = NoHandler(job, std::move(record));
    if (records_ == nullptr) refused.record.reset();
    return refused;
  }
  job.Unrecorded(std::move(record));
  return std::nullopt;
}

std::optional<Turned> Intake::AdmitWithRecord(RunningJob& job,
                                              std::optional<JobRecord> tried) const {
  job.Ask();
  Error why{ErrorKind::kRetryable, "claimed by others again and again"};
  for (int tries = 0; tries < kClaimTriesMax; ++tries) {
    if (tries > 0) std::this_thread::sleep_for(kClaimPause);
    const Result<StoredRecord> stored = records_->Read(records_->lane(), job.id());
    if (!stored) {
      why = stored.error();
      continue;
    }
    if (tried && stored->record && SameClaim(*tried, *stored->record) &&
        tried->started_at == stored->record->started_at) {
      job.Claimed(*std::move(tried), stored->revision);  // Its answer was lost.
      return std::nullopt;
    }
    if (HeldElsewhere(job, *stored)) {
      log::Info("runner", "job_still_held",
                {{"job", job.id()}, {"worker", stored->record->worker}});
      return Turned{RetryAfter{options_.held_delay}, std::nullopt};
    }
    Result<Receipt> receipt = Decide(job, *stored);
    if (!receipt) {
      why = receipt.error();
      continue;
    }
    if (std::holds_alternative<WaitForOther>(*receipt)) {
      log::Info("runner", "job_waits_for_its_twin", {{"job", job.id()}});
      return Turned{RetryAfter{options_.other_delay}, std::nullopt};
    }
    if (auto* settle = std::get_if<Settle>(&*receipt)) {
      if (settle->record) job.Claimed(stored->record.value_or(JobRecord{}), stored->revision);
      return Turned{std::move(settle->settlement), std::move(settle->record)};
    }
    JobRecord claim = std::get<Start>(*std::move(receipt)).record;
    if (HandlerOf(job) == nullptr) {
      job.Claimed(claim, stored->revision);
      return NoHandler(job, std::move(claim));
    }
    const Written written = records_->Write(claim, stored->revision);
    if (written.kind == Written::Kind::kStored) {
      job.Claimed(std::move(claim), written.revision);
      return std::nullopt;
    }
    if (written.kind == Written::Kind::kFailed) why = written.error;
    tried = std::move(claim);
  }
  log::Warning("runner", "job_not_claimed", {{"job", job.id()}, {"error", why.message}});
  return Turned{RetryAfter{options_.away_delay}, std::nullopt};
}

// A server that was killed has forgotten its last deliveries and makes them again, while the
// workers run on; a worker cut off for longer than a lease may be back. The record alone cannot
// tell these from a worker that died.
bool Intake::HeldElsewhere(const RunningJob& job, const StoredRecord& stored) const {
  const auto& record = stored.record;
  return record && record->state == JobState::kRunning &&
         record->sequence == job.message().sequence &&
         record->stored_at == job.message().stored_at &&
         source_.HeldBy(record->worker, record->instance, record->id);
}

Result<Receipt> Intake::Decide(const RunningJob& job, const StoredRecord& stored) const {
  const Arrival arrival{job.message(), *job.head(), options_.worker, options_.instance};
  std::optional<JobRecord> moved;
  const std::string from = LaneOf(job.head()->moved_from);
  if (!from.empty() && from != records_->lane()) {
    Result<StoredRecord> before = records_->Read(from, job.id());
    if (!before) return tl::unexpected(std::move(before).error());
    moved = std::move(before->record);
  }
  Receipt receipt = DecideReceipt(options_.policy, arrival, stored.record, moved, WallNow());
  if (const auto* wait = std::get_if<WaitForOther>(&receipt)) {
    const Result<bool> held = source_.Holds(wait->sequence);
    if (!held) return tl::unexpected(held.error());
    // Its message is gone without a settlement: removed by a person, or the stream was made anew.
    if (!*held) return DecideReceipt(options_.policy, arrival, std::nullopt, moved, WallNow());
  }
  return receipt;
}

Turned Intake::NoHandler(const RunningJob& job, JobRecord record) const {
  Decided decided = DecideUnknownType(std::move(record), job.head()->type, WallNow());
  return {std::move(decided.settlement), std::move(decided.record)};
}

}  // namespace lanekeeper::runner
