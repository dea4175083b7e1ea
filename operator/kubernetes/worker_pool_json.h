// The WorkerPool resource as JSON: read into the shapes of operator/control, with every default
// applied and every bound of crds/workerpools.yaml checked again, and its status written.
//
// Nothing here throws. Fields it does not know are passed over, so that an older operator can read
// a newer object.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "operator/control/pool_status.h"
#include "operator/control/worker_pool.h"
#include "worker-runtime/base/result.h"

namespace lanekeeper::kubernetes {

// kInvalid names every field that is wrong: "spec.lanes[1].workers.max: must be at least 1, is 0".
// Without metadata.namespace the pool is in "default".
Result<WorkerPool> ParseWorkerPool(std::string_view json);
Result<WorkerPool> WorkerPoolFromJson(const nlohmann::json& object);

// Who the object is, whatever state it is in. Parts that are missing are empty.
PoolKey PoolKeyFromJson(const nlohmann::json& object);

// The value of `status`, summary included: {"observedGeneration":3,"conditions":[…],…}.
std::string StatusToJson(const PoolStatus& status);
// From the value of `status`; what is missing or unreadable is left out.
PoolStatus StatusFromJson(std::string_view json);

}  // namespace lanekeeper::kubernetes
