#include "cli/up/local_pool_board.h"

#include <algorithm>

namespace lanekeeper::up {

void LocalPoolBoard::Tell(const WorkerPool& pool) {
  board_.Tell(pool);
  const std::lock_guard lock(mutex_);
  told_.insert(pool.key);
}

void LocalPoolBoard::TellStatus(const PoolKey& key, const PoolStatus& status) {
  board_.TellStatus(key, status);
}

void LocalPoolBoard::Forget(const PoolKey& key) {
  board_.Forget(key);
  const std::lock_guard lock(mutex_);
  told_.erase(key);
}

void LocalPoolBoard::KeepOnly(const std::vector<PoolKey>& pools) {
  if (!shared_) board_.KeepOnly(pools);
}

bool LocalPoolBoard::Stored(const std::vector<PoolKey>& pools) const {
  {
    const std::lock_guard lock(mutex_);
    const bool all =
        std::ranges::all_of(pools, [&](const PoolKey& key) { return told_.contains(key); });
    if (!all) return false;
  }
  return board_.waiting() == 0;
}

}  // namespace lanekeeper::up
