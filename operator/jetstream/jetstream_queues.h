// Queues over JetStream.
#pragma once

#include <chrono>
#include <cstdint>
#include <set>
#include <string>

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
  // What the lanes of a pool have in common, as found while one after the other is set up. A lane
  // that comes a second time begins a new round, and so does any after kRoundMax.
  struct Round {
    PoolKey pool;
    std::int64_t generation = 0;
    std::uint64_t epoch = 0;  // Of the connection: another server may have nothing.
    std::chrono::steady_clock::time_point begun{};
    std::set<std::string> lanes;
    bool dead_letters = false;
    bool records = false;
  };
  static constexpr std::chrono::seconds kRoundMax{1};

  Result<void> CheckConnected() const;
  Round& RoundOf(const WorkerPool& pool, const Lane& lane);
  Result<void> EnsureCommon(const WorkerPool& pool, const Lane& lane);

  nats::JetStream jetstream_;
  Round round_;
};

}  // namespace lanekeeper
