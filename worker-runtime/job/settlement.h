// What becomes of a job: two decisions, one when it arrives and one when its handler returned.
//
// Pure: no I/O, no clock. Both read and return the job's record. A lane without records (tracking:
// None) hands in RecordOfDelivery, which makes do with the queue's delivery count.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "worker-runtime/base/backoff.h"
#include "worker-runtime/base/time.h"
#include "worker-runtime/job/job.h"
#include "worker-runtime/job/job_record.h"
#include "worker-runtime/job/outcome.h"

namespace lanekeeper {

// Why a job became a dead letter: stable words, people alert on them.
inline constexpr std::string_view kDeadAttemptsUsedUp = "attempts-used-up";
inline constexpr std::string_view kDeadRejected = "rejected";
inline constexpr std::string_view kDeadUndecodable = "undecodable";
inline constexpr std::string_view kDeadUnknownType = "unknown-type";
inline constexpr std::string_view kDeadDeadlinePassed = "deadline-passed";
inline constexpr std::string_view kDeadCrashesUsedUp = "crashes-used-up";  // Quarantine.

// Without records, deliveries beyond the attempts in which a job still starts: a job whose worker
// was drained or killed a few times is not refused for it. A failure in one of them is final.
inline constexpr int kDeliveryHeadroom = 3;

// From WorkerPool.spec.lanes[].jobs.
struct SettlementPolicy {
  int attempts_max = 5;  // >= 1. The failure with this number is final.
  int crashes_max = 2;   // >= 1. The crash with this number is final.
  Backoff backoff;
  std::string overrun_lane;  // onOverrun: moveTo. Empty: a job whose timeout is over has failed.
  Tracking tracking = Tracking::kFull;
  bool operator==(const SettlementPolicy&) const = default;
};

struct Ack {
  bool operator==(const Ack&) const = default;
};
struct RetryAfter {
  std::chrono::milliseconds delay{0};  // 0 = at once. Without jitter: the caller adds it.
  bool operator==(const RetryAfter&) const = default;
};
struct DeadLetter {
  std::string reason;         // One of the words above.
  std::string message;        // For people.
  std::string error_class{};  // What kind of error; see Failed.
  std::vector<std::string> output{};
  int attempts = 0;
  int crashes = 0;
  WallTime first_started_at{};  // The epoch: never.
  bool operator==(const DeadLetter&) const = default;
};
// Published once in the other lane, then gone from this one.
struct MoveLane {
  std::string lane;
  bool operator==(const MoveLane&) const = default;
};
using Settlement = std::variant<Ack, RetryAfter, DeadLetter, MoveLane>;

// A job that has just arrived, and who would run it.
struct Arrival {
  const JobMessage& message;
  const JobHead& head;
  std::string_view worker;
  std::string_view instance;
};

// The handler runs, once `record` is stored (tracking None: at once).
struct Start {
  JobRecord record;
  bool operator==(const Start&) const = default;
};
// No handler runs. When `record` is there it is stored first.
struct Settle {
  Settlement settlement;
  std::optional<JobRecord> record;
  bool operator==(const Settle&) const = default;
};
// Another message of this lane has the same id and is not finished: this one waits for it, so that
// no id runs twice at once. The caller looks whether message `sequence` still exists; if not, it
// decides again without the record.
struct WaitForOther {
  std::uint64_t sequence = 0;
  bool operator==(const WaitForOther&) const = default;
};
using Receipt = std::variant<Start, Settle, WaitForOther>;

// Not for tracking None. `record` is what the store has under the job's key; nothing when it has
// none. `moved` is the record the job had in the lane it was moved from; see JobHead::moved_from.
// A message that comes again while its record says kRunning lost its worker: that is a crash. So is
// one that comes again without a record where only failures are recorded.
Receipt DecideReceipt(const SettlementPolicy& policy, const Arrival& arrival,
                      const std::optional<JobRecord>& record, const std::optional<JobRecord>& moved,
                      WallTime now);

// The record of a job whose lane keeps none: attempts are the deliveries before this one. Its
// receipt is a dead letter beyond attempts_max + kDeliveryHeadroom deliveries.
Receipt DecideReceiptByDelivery(const SettlementPolicy& policy, const Arrival& arrival,
                                WallTime now);

// How a run ended, beside what the handler returned.
struct Ending {
  Outcome outcome;
  bool overran = false;   // Its time was over before it returned.
  bool own_time = false;  // That time was the job's own (Lk-Timeout), less than the lane's.
  std::chrono::milliseconds timeout{0};
};

struct Decided {
  Settlement settlement;
  JobRecord record;  // As it has to be stored before the settlement is told.
  bool operator==(const Decided&) const = default;
};

// For a job that ran with `record`.
Decided DecideSettlement(const SettlementPolicy& policy, JobRecord record, const Ending& ending,
                         WallTime now);

// For a job that no handler of this worker takes.
Decided DecideUnknownType(JobRecord record, std::string_view type, WallTime now);

}  // namespace lanekeeper
