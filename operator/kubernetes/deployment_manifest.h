// The Deployment of a lane, as the JSON that is applied. Pure.
//
// The person's pod template passes through untouched but for what a lane cannot do without: its
// labels, its settings in the environment of the worker container, the pool's way into NATS
// (pool_nats_json.h), its grace, a readiness probe
// unless the worker container has one, and for Gpu lanes the toleration and the limit that
// workers.gpus stands for. When the form of the manifest changes, raise the number in LaneHash.
#pragma once

#include <string>

#include "operator/control/worker_pool.h"
#include "operator/kubernetes/object_names.h"
#include "worker-runtime/base/result.h"

namespace lanekeeper::kubernetes {

// <namespace>/<pool>-<lane>.
ObjectName DeploymentNameOf(const LaneKey& key);

struct ManifestOptions {
  // For the workers of pools without spec.nats. Empty: the variable is left out.
  std::string nats_url;
  std::string uid;  // Of the Deployment that is there; applied to no other. Empty: any, or none.
};

// kInvalid when the lane's template cannot carry a worker.
Result<std::string> DeploymentManifest(const WorkerPool& pool, const Lane& lane, int replicas,
                                       const ManifestOptions& options);

}  // namespace lanekeeper::kubernetes
