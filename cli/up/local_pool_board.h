// The PoolBoard of `lanekeeper up`: says when gateways can read its pools, and leaves those of
// others alone.
#pragma once

#include <cstddef>
#include <mutex>
#include <set>
#include <vector>

#include "operator/control/pool_board.h"
#include "operator/jetstream/jetstream_pool_board.h"

namespace lanekeeper::up {

// On its own server its pools are all there are. On a server it was given (`shared`) what it was
// not told of is another operator's, and stays.
class LocalPoolBoard final : public PoolBoard {
 public:
  // `board` outlives this.
  LocalPoolBoard(JetStreamPoolBoard& board, bool shared) : board_(board), shared_(shared) {}

  void Tell(const WorkerPool& pool) override;
  void TellStatus(const PoolKey& key, const PoolStatus& status) override;
  void Forget(const PoolKey& key) override;
  void KeepOnly(const std::vector<PoolKey>& pools) override;

  // How many of them were not told of yet, and what was told and is not stored. Any thread.
  std::size_t Unstored(const std::vector<PoolKey>& pools) const;

 private:
  JetStreamPoolBoard& board_;
  const bool shared_;
  mutable std::mutex mutex_;
  std::set<PoolKey> told_;
};

}  // namespace lanekeeper::up
