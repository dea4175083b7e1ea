// PoolBoard on JetStream: the KV bucket LK_pools, two keys a pool (names.h). What stands in it is
// read back first, and only what differs is written: an operator that starts again, or whose
// connection comes back, writes nothing that is there already.
//
// The bucket, and whatever else all pools of the account have in common (ledger, idempotency keys,
// records), has as many replicas as the safest queue of them.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "operator/control/leadership.h"
#include "operator/control/pool_board.h"
#include "worker-runtime/nats/connection.h"

namespace lanekeeper {

struct PoolBoardOptions {
  // How a status is written: the value of WorkerPool.status. Called by whoever tells. Always set.
  std::function<std::string(const PoolStatus&)> status_json;
  // Not empty: the pools of other namespaces are another operator's and stay as they are.
  std::string only_namespace;
  std::chrono::milliseconds answer_timeout{5000};
  std::chrono::milliseconds retry_wait{1000};  // After a failure; grows to 30 times that.
  // How often it is looked whether the bucket is still there and nobody else wrote to it.
  std::chrono::milliseconds recheck_interval{60'000};
  // Not null: nothing is written but while this operator leads. Outlives the board.
  const Leadership* leadership = nullptr;
};

// What waits to be written is the last value of each key, so it is bounded by the pools there are.
// A thread of its own writes it, one key after the other, and tries again until it is stored. A
// value the server refuses for good is logged and dropped; the next one of that key is tried.
class JetStreamPoolBoard final : public PoolBoard {
 public:
  // `connection` outlives this.
  JetStreamPoolBoard(nats::Connection& connection, PoolBoardOptions options);
  ~JetStreamPoolBoard() override;
  JetStreamPoolBoard(const JetStreamPoolBoard&) = delete;
  JetStreamPoolBoard& operator=(const JetStreamPoolBoard&) = delete;

  void Start();  // Idempotent.
  // Idempotent, waits for the thread (a few times answer_timeout at most). What still waits is told
  // by the next operator.
  void Stop();

  // Any thread. Before Start they wait.
  void Tell(const WorkerPool& pool) override;
  void TellStatus(const PoolKey& key, const PoolStatus& status) override;
  void Forget(const PoolKey& key) override;
  void KeepOnly(const std::vector<PoolKey>& pools) override;
  void Spare(const PoolKey& key) override;
  void StartOver() override;

  std::uint64_t written() const;  // Since the start, removals included.
  // Values not yet written, or not yet found to be there.
  std::size_t waiting() const;

 private:
  class Writer;
  std::unique_ptr<Writer> writer_;
};

}  // namespace lanekeeper
