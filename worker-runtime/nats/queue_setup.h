// Makes the streams and consumers of the queue contract exist and be what a pool says.
//
// Converging: creates what is missing, changes only what differs, keeps fields it does not know,
// writes nothing when nothing differs.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "worker-runtime/base/result.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/nats/jetstream.h"

namespace lanekeeper::nats {

enum class Storage { kFile, kMemory };

struct JobQueueSpec {
  std::string stream;              // Empty: JobStreamName(key).
  std::string consumer;            // Empty: kConsumerName.
  std::int64_t depth_max = 10000;  // >= 1. A publish beyond it is refused (ApiCause::kQueueFull).
  Storage storage = Storage::kFile;
  int replicas = 1;  // 1, 3 or 5.
  std::chrono::milliseconds ack_wait{30000};
};

struct DeadLetterSpec {
  Storage storage = Storage::kFile;
  int replicas = 1;
  std::int64_t messages_max = 100'000;  // The oldest go first.
  std::int64_t bytes_max = 0;  // 0 = no limit. JetStream reserves it whole, whether used or not.
  std::chrono::hours age_max{90 * 24};
};

struct BucketSpec {
  Storage storage = Storage::kFile;
  int replicas = 1;
  std::chrono::hours age_max{30 * 24};  // Of a key, since its last write; 0 = for ever.
};

// kInvalid, with the remedy, for what JetStream cannot change (storage, retention) and for a stream
// of that name that is not ours (other subjects). Lowering depth_max below the present depth loses
// no job: the stream refuses new ones until enough have been done.
Result<void> EnsureJobQueue(const JetStream& jetstream, const LaneKey& key,
                            const JobQueueSpec& spec);
Result<void> EnsureDeadLetters(const JetStream& jetstream, std::string_view pool_namespace,
                               std::string_view pool, const DeadLetterSpec& spec);
// A KV bucket of the account, shared by all pools: kRecordBucket, kPoolBucket or kKeyBucket. An
// existing one gets more replicas, never fewer, and is left as it is otherwise.
Result<void> EnsureBucket(const JetStream& jetstream, std::string_view bucket,
                          const BucketSpec& spec);
// Of a stream that exists; 0: there is none.
Result<int> ReplicasOf(const JetStream& jetstream, std::string_view stream);
// An existing stream gets more replicas, never fewer, and is left as it is otherwise. Not existing
// is success.
Result<void> RaiseReplicas(const JetStream& jetstream, std::string_view stream, int replicas);
// With all messages in it. Not existing is success.
Result<void> RemoveStream(const JetStream& jetstream, std::string_view stream);

}  // namespace lanekeeper::nats
