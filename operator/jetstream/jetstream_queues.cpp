#include "operator/jetstream/jetstream_queues.h"

#include <algorithm>

#include "worker-runtime/nats/queue_setup.h"

namespace lanekeeper {
namespace {

nats::Storage StorageOf(StorageKind kind) {
  return kind == StorageKind::kMemory ? nats::Storage::kMemory : nats::Storage::kFile;
}

// The dead letters are as safe as the safest lane of the pool: one setting for all its lanes, or
// each would undo the other's.
nats::DeadLetterSpec DeadLettersOf(const WorkerPool& pool) {
  nats::DeadLetterSpec spec;
  for (const Lane& lane : pool.lanes) {
    if (!lane.queue.external) spec.replicas = std::max(spec.replicas, lane.queue.replicas);
  }
  return spec;
}

}  // namespace

Result<void> JetStreamQueues::CheckConnected() const {
  if (jetstream_.connection().Connected()) return {};
  const std::string last = jetstream_.connection().LastError();
  return Fail(ErrorKind::kRetryable, "not connected to NATS" + (last.empty() ? "" : ": " + last));
}

Result<void> JetStreamQueues::Ensure(const WorkerPool& pool, const Lane& lane) {
  if (auto connected = CheckConnected(); !connected) return connected;
  auto dead = nats::EnsureDeadLetters(jetstream_, pool.key.pool_namespace, pool.key.name,
                                      DeadLettersOf(pool));
  if (!dead || lane.queue.external) return dead;
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
