#include "operator/jetstream/jetstream_queues.h"

#include <algorithm>

#include "operator/jetstream/pool_facts.h"
#include "worker-runtime/nats/queue_setup.h"

namespace lanekeeper {
namespace {

nats::Storage StorageOf(StorageKind kind) {
  return kind == StorageKind::kMemory ? nats::Storage::kMemory : nats::Storage::kFile;
}

}  // namespace

Result<void> JetStreamQueues::CheckConnected() const {
  if (jetstream_.connection().Connected()) return {};
  const std::string last = jetstream_.connection().LastError();
  return Fail(ErrorKind::kRetryable, "not connected to NATS" + (last.empty() ? "" : ": " + last));
}

JetStreamQueues::Round& JetStreamQueues::RoundOf(const WorkerPool& pool, const Lane& lane) {
  const auto now = std::chrono::steady_clock::now();
  const std::uint64_t epoch = jetstream_.connection().Epoch();
  const bool goes_on = round_.pool == pool.key && round_.generation == pool.generation &&
                       round_.epoch == epoch && now - round_.begun < kRoundMax &&
                       !round_.lanes.contains(lane.name);
  if (!goes_on) {
    round_ = {.pool = pool.key, .generation = pool.generation, .epoch = epoch, .begun = now};
  }
  round_.lanes.insert(lane.name);
  return round_;
}

// Asked for once a round and not once a lane: with thousands of lanes that is half of all requests.
Result<void> JetStreamQueues::EnsureCommon(const WorkerPool& pool, const Lane& lane) {
  Round& round = RoundOf(pool, lane);
  const int replicas = ReplicasOf(pool);
  if (!round.dead_letters) {
    auto dead = nats::EnsureDeadLetters(jetstream_, pool.key.pool_namespace, pool.key.name,
                                        {.replicas = replicas});
    if (!dead) return dead;
    round.dead_letters = true;
  }
  if (round.records || lane.jobs.tracking == Tracking::kNone) return {};
  auto records = nats::EnsureBucket(jetstream_, kRecordBucket, {.replicas = replicas});
  round.records = records.has_value();
  return records;
}

Result<void> JetStreamQueues::Ensure(const WorkerPool& pool, const Lane& lane) {
  if (auto connected = CheckConnected(); !connected) return connected;
  if (auto common = EnsureCommon(pool, lane); !common) return common;
  if (lane.queue.external) return {};
  return nats::EnsureJobQueue(jetstream_, pool.KeyOf(lane),
                              {.stream = lane.queue.stream,
                               .consumer = lane.queue.consumer,
                               .depth_max = lane.queue.depth_max,
                               .storage = StorageOf(lane.queue.storage),
                               .replicas = lane.queue.replicas});
}

Result<void> JetStreamQueues::RemoveLane(const LaneKey& key) {
  if (auto connected = CheckConnected(); !connected) return connected;
  return nats::RemoveStream(jetstream_, JobStreamName(key));
}

Result<void> JetStreamQueues::RemoveDeadLetters(const PoolKey& key) {
  if (auto connected = CheckConnected(); !connected) return connected;
  return nats::RemoveStream(jetstream_, DeadStreamName(key.pool_namespace, key.name));
}

}  // namespace lanekeeper
