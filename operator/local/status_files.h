// The status of pools, kept over restarts: what the API server is for a cluster.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "operator/control/pool_status.h"
#include "operator/control/worker_pool.h"
#include "worker-runtime/base/result.h"

namespace lanekeeper {

// One thread at a time.
class StatusFiles {
 public:
  // `folder` exists.
  explicit StatusFiles(std::string folder) : folder_(std::move(folder)) {}

  Result<void> Write(const PoolKey& key, const PoolStatus& status);
  // Empty when there is none, or none that can be read.
  PoolStatus Read(const PoolKey& key);
  void Remove(const PoolKey& key);

 private:
  std::string PathOf(const PoolKey& key) const;

  std::string folder_;
  std::map<PoolKey, PoolStatus> written_;
};

}  // namespace lanekeeper
