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

std::size_t LocalPoolBoard::Unstored(const std::vector<PoolKey>& pools) const {
  std::size_t untold = 0;
  {
    const std::lock_guard lock(mutex_);
    untold = static_cast<std::size_t>(
        std::ranges::count_if(pools, [&](const PoolKey& key) { return !told_.contains(key); }));
  }
  return untold + board_.waiting();
}

}  // namespace lanekeeper::up
