// Where gateways read what pools there are and how they are doing.
#pragma once

#include <vector>

#include "operator/control/pool_status.h"
#include "operator/control/worker_pool.h"
#include "worker-runtime/job/pool_brief.h"

namespace lanekeeper {

// What a gateway has to know of `pool`.
PoolBrief BriefOf(const WorkerPool& pool);

// Never waits. What was told last is what will be read, however often it was told before and
// whatever was away meanwhile. Any thread.
class PoolBoard {
 public:
  virtual ~PoolBoard() = default;
  virtual void Tell(const WorkerPool& pool) = 0;
  virtual void TellStatus(const PoolKey& key, const PoolStatus& status) = 0;
  // Brief and status. A pool nobody told of may still be there from before.
  virtual void Forget(const PoolKey& key) = 0;
  // Every pool there is. Others, from before, are forgotten unless they were told of since.
  virtual void KeepOnly(const std::vector<PoolKey>& pools) = 0;
  // This pool is told of elsewhere, perhaps in the same place: nothing is left over of it here.
  virtual void Spare(const PoolKey&) {}
  // Forgets what it was told: another operator may have told other things since.
  virtual void StartOver() {}
};

}  // namespace lanekeeper
