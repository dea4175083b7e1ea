// What the API server would say to a WorkerPool, without one: crds/workerpools.yaml is part of the
// program. Rules over several fields are the operator's to check (operator/kubernetes/
// worker_pool_json.h); pool_parity_test.cpp shows that nothing falls between the two.
//
// Included by .cpp files only.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "operator/manifest/schema.h"

namespace lanekeeper {

// apiVersion and metadata as for every object, the rest by the schema. The status is passed over,
// as in every request that is not about it.
std::vector<FieldProblem> CheckPoolObject(const nlohmann::json& object);

}  // namespace lanekeeper
