// What the desk asks NATS about single jobs, without waiting for the answers. Private to the desk.
//
// Records and messages are read from the leaders of their streams, which alone know the newest.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "worker-runtime/base/time.h"
#include "worker-runtime/gateway/problem.h"
#include "worker-runtime/job/job.h"
#include "worker-runtime/job/job_record.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/nats/connection.h"
#include "worker-runtime/nats/jetstream_answers.h"

namespace lanekeeper::gateway {

inline constexpr std::chrono::seconds kUnavailableRetry{2};

// kQueueUnavailable, with what was tried.
Problem Unavailable(std::string_view what, const Error& error);

struct RecordSeen {
  std::optional<JobRecord> record;  // Nothing: none, a deleted one, or one that cannot be read.
  std::uint64_t revision = 0;       // To base the next write on; 0 = there was never one.
};

struct RecordWritten {
  enum class Kind {
    kStored,    // As `revision`.
    kOutdated,  // Somebody else wrote since.
    kNoBucket,
    kUnknown,  // Whether it is stored; `error` says why.
  };
  Kind kind = Kind::kUnknown;
  std::uint64_t revision = 0;
  Error error;
};

// What the desk reads out of a stored message of a KV bucket.
RecordSeen ReadSeen(const nats::StoredMessage& stored);

// Stateless besides the connection; any thread. Each `then` is called exactly once, on a thread of
// the connection or before the call returns.
class DeskQueue {
 public:
  // `connection` outlives this, and its answers.
  DeskQueue(nats::Connection& connection, std::chrono::milliseconds timeout)
      : connection_(connection), timeout_(timeout) {}

  void ReadRecord(const LaneKey& lane, std::string_view id, Then<RecordSeen> then) const;
  void WriteRecord(const LaneKey& lane, const JobRecord& record, std::uint64_t based_on,
                   std::function<void(RecordWritten)> then) const;
  // Nothing: there is no such message, or no such stream.
  void ReadMessage(std::string_view stream, std::uint64_t sequence,
                   Then<std::optional<nats::StoredMessage>> then) const;
  // True: this call has removed it. False: it was not there.
  void RemoveMessage(std::string_view stream, std::uint64_t sequence, Then<bool> then) const;
  // Nothing: there is no such consumer.
  void ReadConsumer(std::string_view stream, std::string_view consumer,
                    Then<std::optional<nats::ConsumerState>> then) const;
  // Best effort: tells the worker that the record of a job it runs was written by somebody else.
  void TellWorker(const LaneKey& lane, const JobRecord& record) const;

 private:
  nats::Connection& connection_;
  const std::chrono::milliseconds timeout_;
};

// The message as the worker's codec reads it, without its payload.
JobMessage HeadOnly(std::string_view stream, const nats::StoredMessage& stored);

}  // namespace lanekeeper::gateway
