// The dead letters of one pool: look at them, send them again, throw them away.
//
// Reads go page by page through direct gets: at most a page of messages is in memory at once, and
// payloads are kept of single entries only. Sending one again is in this order: read it from the
// stream's leader, publish it, wait until it is stored, remove it. A crash in between leaves the
// entry, and sending it again is absorbed by its Nats-Msg-Id while the lane's duplicate window
// lasts (2 minutes). Stateless besides the connection; any thread; every request has a deadline.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "worker-runtime/base/result.h"
#include "worker-runtime/job/dead_entry.h"
#include "worker-runtime/nats/jetstream.h"

namespace lanekeeper::nats {

struct DeadListOptions {
  DeadFilter filter;
  bool newest_first = true;
  std::uint64_t from = 0;   // The first sequence to look at; 0 = the newest or oldest.
  std::size_t limit = 100;  // 1..1000.
};

struct DeadList {
  std::vector<DeadEntry> entries;  // Without payloads.
  // `from` of the call that goes on; 0 = that was all. A call looks at about 10,000 messages at
  // most, so a filter that matches little may leave `entries` short, or empty, before the end.
  std::uint64_t next = 0;
};

// How far a replay or a discard came.
struct DeadProgress {
  std::int64_t done = 0;  // Sent again, or discarded: no longer dead letters.
  std::int64_t kept = 0;  // Could not be sent; still dead letters.
  std::string kept_why;   // The first of them: "dead letter 17: …".
};

struct DeadOutcome {
  DeadProgress progress;
  // Why it ended before the last entry; nothing when it did not.
  std::optional<Error> ended_by;
};

struct ReplayOptions {
  std::string lane;       // Empty: each to the lane it died in.
  double per_second = 0;  // At most so many; 0 = as fast as it goes.
  // How long one entry waits for a full lane, or for a server that is away, before all end.
  std::chrono::milliseconds wait_max{60'000};
  // After every entry, on the calling thread.
  std::function<void(const DeadProgress&)> on_progress;
  std::stop_token stop;  // Ends it between two entries, or in a wait.
};

class DeadLetters {
 public:
  // `jetstream` outlives this. `timeout` is for one page of a read.
  DeadLetters(const JetStream& jetstream, std::string pool_namespace, std::string pool,
              std::chrono::milliseconds timeout = std::chrono::milliseconds(10'000));

  Result<DeadList> List(const DeadListOptions& options) const;

  // With its payload, both parts joined. Without its second part, which a full stream may have
  // dropped or a dying worker not have sent, `part` stays kFirst. kNotFound: no such entry.
  Result<DeadEntry> Show(std::uint64_t sequence) const;

  // Reads the whole stream as it is now, once.
  Result<DeadGroups> Group(const DeadFilter& filter, std::size_t groups_max = 1000) const;

  // kNotFound: no such entry. kInvalid: it cannot be sent (a part is missing, larger than the
  // server takes, lane not a name); it stays. kRetryable: after wait_max; it stays.
  Result<void> Replay(std::uint64_t sequence, const ReplayOptions& options = {}) const;
  // All entries of now that match, the oldest first; one that dies again meanwhile is not sent a
  // second time.
  DeadOutcome Replay(const DeadFilter& filter, const ReplayOptions& options = {}) const;

  Result<void> Discard(std::uint64_t sequence) const;
  // All entries of now that match. By lane or everything is one request, which counts messages: an
  // entry in two parts is two.
  DeadOutcome Discard(const DeadFilter& filter, const std::stop_token& stop = {}) const;

 private:
  struct Page;
  struct Parts;
  class Patience;

  std::string SubjectOf(const DeadFilter& filter) const;
  Result<Page> ReadPage(std::uint64_t from, std::uint64_t to, const std::string& subject) const;
  Result<void> ForEach(std::uint64_t to, const DeadFilter& filter, const Patience& patience,
                       const std::function<Result<void>(const DeadEntry&)>& visit) const;
  Result<DeadList> ListOldestFirst(const DeadListOptions& options, const StreamState& state) const;
  Result<DeadList> ListNewestFirst(const DeadListOptions& options, const StreamState& state) const;
  DeadEntry ToEntry(StoredMessage stored) const;
  Result<DeadEntry> ReadMessage(std::uint64_t sequence) const;
  Result<Parts> Read(std::uint64_t sequence) const;
  Result<void> Send(const Parts& parts, const ReplayOptions& options) const;
  Result<std::int64_t> Purge(std::uint64_t last, const std::string& subject) const;
  Result<void> Remove(std::uint64_t sequence) const;
  Result<void> Remove(const Parts& parts) const;

  const JetStream& jetstream_;
  const std::string pool_namespace_;
  const std::string pool_;
  const std::string stream_;
  const std::chrono::milliseconds timeout_;
};

}  // namespace lanekeeper::nats
