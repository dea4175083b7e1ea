// What a worker has to know about its lane: the environment variables of job/names.h, the same for
// every platform. Pure.
#pragma once

#include <string>
#include <vector>

#include "operator/control/worker_pool.h"

namespace lanekeeper {

struct LaneSetting {
  const char* name = "";  // One of the kEnv… names.
  std::string value;
  bool operator==(const LaneSetting&) const = default;
};

// All but the worker's own name (kEnvWorker), which its platform gives it. Without `nats_url` its
// variable is left out.
std::vector<LaneSetting> LaneSettings(const WorkerPool& pool, const Lane& lane,
                                      const std::string& nats_url);

}  // namespace lanekeeper
