// A dead letter as it is read back, and what sending it again publishes. The other half of
// EncodeDeadLetter in codec.h. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "worker-runtime/base/time.h"
#include "worker-runtime/job/codec.h"
#include "worker-runtime/job/job.h"

namespace lanekeeper {

// A job too large for its dead letter's headers is stored as two messages; see EncodeDeadLetter.
enum class DeadPart {
  kWhole,
  kFirst,   // The entry; its payload is not complete.
  kSecond,  // Not an entry: the rest of another one's payload.
};

struct DeadEntry {
  std::string stream;  // The dead-letter stream, and its place there: the entry's name.
  std::uint64_t sequence = 0;
  DeadPart part = DeadPart::kWhole;

  std::string lane;  // It died in.
  std::string job_id;
  std::string type;
  std::string payload;
  std::size_t payload_bytes = 0;  // Of the payload, also where it is left out (DeadLetters::List).
  Headers headers;                // The job's own.

  std::string reason;  // One of the words of settlement.h.
  std::string error_class;
  std::string message;              // One line.
  std::vector<std::string> output;  // The last lines the handler wrote.
  int attempts = 0;
  int crashes = 0;
  std::optional<WallTime> first_started_at;  // Nothing: it never started.
  WallTime died_at{};
  std::string worker;

  std::string job_stream;  // Where the job was.
  std::uint64_t job_sequence = 0;
  int replays = 0;  // How often it was sent again before it died this time.

  bool operator==(const DeadEntry&) const = default;
};

// `letter` is a message of a dead-letter stream, `lane` the last token of its subject. Never fails:
// what a header should say and does not stays empty, and a message somebody else wrote is an entry
// whose job id is "<stream>.<sequence>".
DeadEntry ReadDeadEntry(JobMessage letter, std::string lane);

// `second` goes on where `first` ends.
bool IsSecondPartOf(const DeadEntry& second, const DeadEntry& first);

// What makes two dead letters the same trouble: type, error class and the first line of the
// message. 16 hex digits, the same in every version.
std::string Fingerprint(const DeadEntry& entry);

// What is left out matches everything.
struct DeadFilter {
  std::optional<std::string> lane;
  std::optional<std::string> type;  // "" = jobs without a type.
  std::optional<std::string> reason;
  std::optional<std::string> fingerprint;
};
bool Matches(const DeadFilter& filter, const DeadEntry& entry);

// The job as it is published again: the same payload, headers and id, and
// - Nats-Msg-Id "<dead-letter stream>.<sequence>.replay": sent twice, it is stored once,
// - Lk-Replay: how often it was sent again, this time included,
// - no Lk-Moved-From: the lane would take it for the move it has already seen,
// - no Lk-Deadline that has passed: it would be a dead letter again at once.
// Its budgets begin anew because it is another message of the same id; see DecideReceipt.
OutMessage EncodeReplay(const DeadEntry& entry, WallTime now);

struct DeadGroup {
  std::string fingerprint;
  std::string type;
  std::string error_class;
  std::string message;  // The first line.
  std::int64_t count = 0;
  WallTime oldest{};  // By the time they died.
  WallTime newest{};
  std::uint64_t example_sequence = 0;  // The newest.
  std::string example_job_id;
  bool operator==(const DeadGroup&) const = default;
};

struct DeadGroups {
  std::vector<DeadGroup> groups;  // The largest first.
  std::int64_t rest = 0;          // Entries of further groups.
};

// Counts entries one at a time, in any order. Holds at most `groups_max` groups: once there are so
// many, entries of new ones are only counted.
class DeadGrouping {
 public:
  explicit DeadGrouping(std::size_t groups_max) : groups_max_(groups_max) {}
  void Add(const DeadEntry& entry);
  DeadGroups Groups() const;

 private:
  std::size_t groups_max_;
  std::unordered_map<std::string, DeadGroup> groups_;
  std::int64_t rest_ = 0;
};

}  // namespace lanekeeper
