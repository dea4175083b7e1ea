// Queues over JetStream.
#pragma once

#include <chrono>

#include "operator/control/ports.h"
#include "worker-runtime/nats/connection.h"
#include "worker-runtime/nats/jetstream.h"

namespace lanekeeper {

// kRetryable at once, without waiting, while there is no connection.
class JetStreamQueues final : public Queues {
 public:
  // `connection` outlives this. `timeout` is that of one request; Ensure makes at most nine.
  explicit JetStreamQueues(nats::Connection& connection,
                           std::chrono::milliseconds timeout = std::chrono::milliseconds(3000))
      : jetstream_(connection, timeout) {}

  Result<void> Ensure(const WorkerPool& pool, const Lane& lane) override;
  Result<void> RemoveLane(const LaneKey& key) override;
  Result<void> RemoveDeadLetters(const PoolKey& key) override;

 private:
  Result<void> CheckConnected() const;

  nats::JetStream jetstream_;
};

}  // namespace lanekeeper
