// Ledger on JetStream: the stream LK_LEDGER, one message an entry, and how to read it back.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "operator/control/leadership.h"
#include "operator/control/ledger.h"
#include "worker-runtime/base/result.h"
#include "worker-runtime/nats/connection.h"
#include "worker-runtime/nats/jetstream.h"

namespace lanekeeper {

struct LedgerOptions {
  int replicas = 1;  // 1, 3 or 5. Of a stream that is made; one that exists keeps what it has.
  // JetStream reserves it whole. Where there is not so much room, a quarter is tried, and so on
  // down to kLedgerBytesMin.
  std::int64_t bytes_max = 256LL << 20;
  std::size_t waiting_max = 1024;  // Entries not yet sent; the oldest are dropped first.
  int unanswered_max = 64;         // Entries sent and not yet known to be stored.
  std::chrono::milliseconds answer_timeout{5000};
  std::chrono::milliseconds retry_wait{1000};  // Of setting up the stream; grows to 30 times that.
  // Not null: nothing is written but while this operator leads, and no entry of a lead that is
  // over. Outlives the ledger.
  const Leadership* leadership = nullptr;
};

inline constexpr std::int64_t kLedgerBytesMin = 4LL << 20;
inline constexpr std::chrono::hours kLedgerAgeMax{7 * 24};
inline constexpr std::int64_t kLedgerEntriesPerLaneMax = 5000;

// Entries are written by a thread of its own, which sets up the stream first and waits while there
// is no connection. Every entry is sent once: what is refused or unanswered is dropped.
class JetStreamLedger final : public Ledger {
 public:
  // `connection` outlives this.
  explicit JetStreamLedger(nats::Connection& connection, LedgerOptions options = {});
  ~JetStreamLedger() override;
  JetStreamLedger(const JetStreamLedger&) = delete;
  JetStreamLedger& operator=(const JetStreamLedger&) = delete;

  void Start();  // Idempotent.
  // Idempotent, waits for the thread (at most answer_timeout). What still waits is sent if that is
  // possible at once, without knowing whether it was stored.
  void Stop();

  // Any thread; copies the entry. Before Start it waits to be sent.
  void Record(const LedgerEntry& entry) override;

  // Since the start. What is neither stored nor dropped is under way.
  std::uint64_t stored() const;
  std::uint64_t dropped() const;

 private:
  class Writer;
  std::unique_ptr<Writer> writer_;
};

struct LedgerPage {
  std::vector<LedgerEntry> entries;  // The newest last.
  std::vector<Error> skipped;        // Messages that are no entries; each names its sequence.
};

// The last `last_n` messages of the lane. Waits for JetStream. A lane without any is an empty page;
// kNotFound: there is no ledger.
Result<LedgerPage> ReadLedger(const nats::JetStream& jetstream, const LaneKey& key,
                              std::size_t last_n);

}  // namespace lanekeeper
