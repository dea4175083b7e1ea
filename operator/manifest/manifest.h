// WorkerPool manifests as people write them, from the text of a YAML file: the same that kubectl
// takes, by the same rules.
#pragma once

#include <string>
#include <vector>

#include "operator/control/worker_pool.h"
#include "operator/manifest/field_problem.h"
#include "worker-runtime/base/result.h"

namespace lanekeeper {

// One document of kind WorkerPool.
struct ManifestPool {
  PoolKey key;              // As far as it can be read, whatever else is wrong.
  Result<WorkerPool> pool;  // kInvalid: what is wrong with its spec or metadata.
  // Everything that `kubectl apply` would refuse it for; empty when it would not. One about a
  // missing apiVersion alone leaves the pool readable.
  std::vector<FieldProblem> problems;
};

struct Manifest {
  std::vector<ManifestPool> pools;       // In the order of the file; names are unique.
  std::vector<std::string> passed_over;  // Kinds of the other documents, e.g. "Namespace".
};

// kInvalid: the text is no YAML, or two pools have one name; kNotFound: no document is a
// WorkerPool.
Result<Manifest> ReadManifest(const std::string& yaml);

// The first WorkerPool among the documents. kInvalid says what is wrong with it, kNotFound that
// there is none.
Result<WorkerPool> ReadPool(const std::string& yaml);

}  // namespace lanekeeper
