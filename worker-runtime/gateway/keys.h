// Idempotency keys: what stands in the KV bucket LK_keys, and how it is read and written.
//
// A key is written before its job is published, and completed with the job's place afterwards. A
// request that finds it goes on from where the first one came to; so does one after a crash.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "worker-runtime/base/call_queue.h"
#include "worker-runtime/base/result.h"
#include "worker-runtime/base/time.h"
#include "worker-runtime/gateway/submission.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/nats/connection.h"

namespace lanekeeper::gateway {

struct KeyEntry {
  std::string message_id;      // Nats-Msg-Id of the job, whoever publishes it.
  std::string fingerprint;     // Of the first request.
  std::string lane;            // It was routed to.
  std::string stream;          // With `sequence`.
  std::uint64_t sequence = 0;  // 0: not known to be stored yet.
  bool operator==(const KeyEntry&) const = default;
};
std::string WriteKeyEntry(const KeyEntry& entry);
Result<KeyEntry> ReadKeyEntry(std::string_view json);

// Different callers never meet, whatever their names and keys are.
std::string KeySubject(std::string_view pool_namespace, std::string_view pool, const Caller& caller,
                       std::string_view key);

struct KeySeen {
  std::optional<KeyEntry> entry;  // Nothing: none, a deleted one, or one that cannot be read.
  std::uint64_t revision = 0;     // To base the next write on.
  WallTime written_at{};          // By the server's clock.
};

struct KeyWritten {
  enum class Kind {
    kStored,    // As `revision`.
    kOutdated,  // There is another one.
    kUnknown,   // Whether it is stored; `error` says why.
  };
  Kind kind = Kind::kUnknown;
  std::uint64_t revision = 0;
  Error error;
};

// Any thread. Calls are answered on a thread of the connection or of this gateway, or at once.
class KeyStore : public std::enable_shared_from_this<KeyStore> {
 public:
  // `connection` outlives every answer.
  KeyStore(nats::Connection& connection, std::chrono::seconds kept,
           std::shared_ptr<CallQueue> waiting);

  // Makes the bucket exist, unless it is known to.
  void Prepare(std::function<void(Result<void>)> then);
  void Read(const std::string& subject, std::function<void(Result<KeySeen>)> then);
  void Write(const std::string& subject, const KeyEntry& entry, std::uint64_t based_on,
             std::function<void(KeyWritten)> then);

 private:
  nats::Connection& connection_;
  const std::string ttl_;
  const std::chrono::seconds kept_;
  const std::shared_ptr<CallQueue> waiting_;
  std::atomic<bool> prepared_{false};
};

// Where the job of an incomplete key is, if it was ever stored: in its lane's stream, or in the
// records of jobs that have left it. 0: nowhere. Waits for NATS.
// `since`: when the key was written.
Result<std::uint64_t> FindKeyedJob(nats::Connection& connection, const KeyEntry& entry,
                                   const LaneKey& lane, const std::string& stream,
                                   const std::string& subject, WallTime since);

}  // namespace lanekeeper::gateway
