#include "worker-runtime/job/settlement.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "worker-runtime/base/duration.h"

namespace lanekeeper {
namespace {

constexpr std::size_t kErrorBytesMax = 2048;  // What a record and a dead letter keep of it.

bool SameMessage(const JobRecord& record, const JobMessage& message) {
  return record.sequence == message.sequence && record.stored_at == message.stored_at;
}

DeadLetter LetterOf(const JobRecord& record, std::vector<std::string> output = {}) {
  return {.reason = record.dead_reason,
          .message = record.error,
          .error_class = record.error_class,
          .output = std::move(output),
          .attempts = record.attempts,
          .crashes = record.crashes,
          .first_started_at = record.first_started_at};
}

void RememberError(JobRecord& record, std::string why, std::string error_class) {
  if (why.size() > kErrorBytesMax) why.resize(kErrorBytesMax);
  record.error = std::move(why);
  record.error_class = std::move(error_class);
}

// The run that has just ended did not end the job.
void RememberRun(JobRecord& record, std::string_view outcome, WallTime ended_at) {
  PastRun run{.started_at = record.started_at,
              .ended_at = ended_at,
              .outcome = std::string(outcome),
              .worker = record.worker};
  if (outcome == kRunFailed || outcome == kRunCrashed) {
    run.error = record.error.substr(0, kPastRunErrorBytesMax);
  }
  if (record.past_runs.size() >= kPastRunsMax) record.past_runs.erase(record.past_runs.begin());
  record.past_runs.push_back(std::move(run));
}

// The record of a message that has none yet. `before`: an earlier life of the id; `moved`: the
// record in the lane it came from, which goes on here.
JobRecord NewRecord(const Arrival& arrival, const std::optional<JobRecord>& before,
                    const std::optional<JobRecord>& moved) {
  JobRecord record = moved.value_or(JobRecord{});
  record.id = arrival.head.id;
  record.type = arrival.head.type;
  record.state = JobState::kWaiting;
  record.sequence = arrival.message.sequence;
  record.stored_at = arrival.message.stored_at;
  record.moved_from = arrival.head.moved_from;
  record.moved_to.clear();
  if (before) {
    std::vector<PastLife> history = before->history;
    history.push_back({.state = before->state,
                       .reason = before->dead_reason,
                       .attempts = before->attempts,
                       .crashes = before->crashes,
                       .ended_at = before->ended_at});
    if (history.size() > kRecordHistoryMax) history.erase(history.begin());
    record.history = std::move(history);
  }
  return record;
}

Decided Dead(JobRecord record, std::string_view reason, std::vector<std::string> output = {}) {
  record.state = JobState::kDead;
  record.dead_reason = reason;
  DeadLetter letter = LetterOf(record, std::move(output));
  return {std::move(letter), std::move(record)};
}

Decided Again(JobRecord record, std::string_view outcome, std::chrono::milliseconds delay) {
  RememberRun(record, outcome, record.ended_at);
  record.state = JobState::kWaiting;
  return {RetryAfter{delay}, std::move(record)};
}

// The start of a job that has not finished, or the dead letter it is by now.
Receipt StartOrDie(const SettlementPolicy& policy, const Arrival& arrival, JobRecord record,
                   WallTime now) {
  const auto die = [&arrival, now](JobRecord dying, std::string_view reason) {
    dying.ended_at = now;
    // Not the claim of the worker that had it any more: should it live, its end is refused.
    dying.instance = arrival.instance;
    Decided decided = Dead(std::move(dying), reason);
    return Settle{std::move(decided.settlement), std::move(decided.record)};
  };
  if (record.crashes >= policy.crashes_max) return die(std::move(record), kDeadCrashesUsedUp);
  if (arrival.head.deadline && now >= *arrival.head.deadline) {
    RememberError(record, "its deadline passed before it started", "deadline");
    return die(std::move(record), kDeadDeadlinePassed);
  }
  record.state = JobState::kRunning;
  ++record.runs;
  record.worker = arrival.worker;
  record.instance = arrival.instance;
  record.started_at = now;
  record.ended_at = {};
  if (record.first_started_at == WallTime{}) record.first_started_at = now;
  return Start{std::move(record)};
}

}  // namespace

Receipt DecideReceipt(const SettlementPolicy& policy, const Arrival& arrival,
                      const std::optional<JobRecord>& record, const std::optional<JobRecord>& moved,
                      WallTime now) {
  assert(policy.attempts_max >= 1);
  assert(policy.crashes_max >= 1);
  if (!record || !SameMessage(*record, arrival.message)) {
    if (record && !arrival.head.moved_from.empty() &&
        record->moved_from == arrival.head.moved_from) {
      return Settle{Ack{}, std::nullopt};  // The same move, published a second time.
    }
    if (record && !Finished(*record)) return WaitForOther{record->sequence};
    JobRecord fresh = NewRecord(arrival, record, moved);
    if (policy.tracking == Tracking::kFailures && arrival.message.delivery > 1) {
      ++fresh.crashes;
      RememberError(fresh, "its first worker died, or lost its lease, while it ran",
                    "worker-death");
    }
    return StartOrDie(policy, arrival, std::move(fresh), now);
  }
  switch (record->state) {
    case JobState::kDone:
    case JobState::kCancelled:
      return Settle{Ack{}, std::nullopt};
    case JobState::kDead:
      return Settle{LetterOf(*record), std::nullopt};
    case JobState::kMoved:
      return Settle{MoveLane{record->moved_to}, std::nullopt};
    case JobState::kRunning: {
      JobRecord crashed = *record;
      ++crashed.crashes;
      RememberError(crashed, "worker " + crashed.worker + " died, or lost its lease, while it ran",
                    "worker-death");
      RememberRun(crashed, kRunCrashed, now);
      return StartOrDie(policy, arrival, std::move(crashed), now);
    }
    case JobState::kWaiting:
      break;
  }
  return StartOrDie(policy, arrival, *record, now);
}

Receipt DecideReceiptByDelivery(const SettlementPolicy& policy, const Arrival& arrival,
                                WallTime now) {
  assert(policy.attempts_max >= 1);
  const int delivery = arrival.message.delivery;
  assert(delivery >= 1);
  JobRecord record = NewRecord(arrival, std::nullopt, std::nullopt);
  record.attempts = record.runs = delivery - 1;
  if (delivery > policy.attempts_max + kDeliveryHeadroom) {
    RememberError(record,
                  "started " + std::to_string(delivery - 1) +
                      " times and never settled: its workers died or gave it back",
                  "worker-death");
    record.crashes = policy.crashes_max;
  }
  return StartOrDie(policy, arrival, std::move(record), now);
}

Decided DecideSettlement(const SettlementPolicy& policy, JobRecord record, const Ending& ending,
                         WallTime now) {
  assert(policy.attempts_max >= 1);
  assert(policy.crashes_max >= 1);
  record.ended_at = now;
  if (const auto* done = std::get_if<Done>(&ending.outcome)) {
    if (done->result.size() > kResultBytesMax) {
      ++record.attempts;
      RememberError(record,
                    "its result has " + std::to_string(done->result.size()) + " bytes, at most " +
                        std::to_string(kResultBytesMax) + " are kept: store it elsewhere",
                    "result-too-large");
      return Dead(std::move(record), kDeadRejected);
    }
    record.state = JobState::kDone;
    record.result = done->result;
    record.progress = 1;
    record.checkpoint.clear();
    RememberError(record, "", "");
    return {Ack{}, std::move(record)};
  }
  if (const auto* rejected = std::get_if<Rejected>(&ending.outcome)) {
    ++record.attempts;
    RememberError(record, rejected->why, rejected->error_class);
    return Dead(std::move(record), kDeadRejected, rejected->output);
  }
  if (const auto* crashed = std::get_if<Crashed>(&ending.outcome)) {
    ++record.crashes;
    RememberError(record, crashed->why, crashed->error_class);
    if (record.crashes >= policy.crashes_max) {
      return Dead(std::move(record), kDeadCrashesUsedUp, crashed->output);
    }
    const auto delay = policy.backoff.After(record.crashes);
    return Again(std::move(record), kRunCrashed, delay);
  }
  // Its own limit holds in every lane.
  if (ending.overran && !ending.own_time && !policy.overrun_lane.empty()) {
    RememberRun(record, kRunMoved, now);
    record.state = JobState::kMoved;
    record.moved_to = policy.overrun_lane;
    return {MoveLane{policy.overrun_lane}, std::move(record)};
  }
  if (std::holds_alternative<Interrupted>(ending.outcome) && !ending.overran) {
    ++record.interruptions;
    return Again(std::move(record), kRunInterrupted, std::chrono::milliseconds(0));
  }
  const auto* failed = std::get_if<Failed>(&ending.outcome);
  ++record.attempts;
  if (ending.overran) {
    RememberError(record, "timed out after " + FormatDuration(ending.timeout), "timeout");
  } else {
    RememberError(record, failed->why, failed->error_class);
  }
  if (record.attempts >= policy.attempts_max) {
    return Dead(std::move(record), kDeadAttemptsUsedUp,
                failed == nullptr ? std::vector<std::string>{} : failed->output);
  }
  std::chrono::milliseconds delay = policy.backoff.After(record.attempts);
  if (failed != nullptr && failed->retry_after) delay = std::max(delay, *failed->retry_after);
  return Again(std::move(record), kRunFailed, delay);
}

Decided DecideUnknownType(JobRecord record, std::string_view type, WallTime now) {
  record.ended_at = now;
  RememberError(record, "no handler for jobs of type \"" + std::string(type) + "\"",
                "unknown-type");
  return Dead(std::move(record), kDeadUnknownType);
}

}  // namespace lanekeeper
