// A WorkerPool manifest as people write it, from a YAML file's text.
#pragma once

#include <string>

#include "operator/control/worker_pool.h"
#include "worker-runtime/base/result.h"

namespace lanekeeper::simulate {

// The one WorkerPool among the documents of `yaml`. kInvalid says what is wrong with it, kNotFound
// that there is none.
Result<WorkerPool> ReadPool(const std::string& yaml);

}  // namespace lanekeeper::simulate
