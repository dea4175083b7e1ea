// spec.nats of a WorkerPool, and what it becomes in the pods of its lanes. Pure. Included by .cpp
// files only.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>

#include "operator/control/worker_pool.h"
#include "operator/kubernetes/json_fields.h"

namespace lanekeeper::kubernetes {

// The volume with a pool's credentials and certificates, and where the worker container has it.
inline constexpr const char* kNatsVolume = "lanekeeper-nats";
inline constexpr const char* kNatsFolder = "/var/run/lanekeeper/nats";

// Nothing when `fields` is not there.
std::optional<PoolNats> ReadPoolNats(const Fields& fields);

// A template may not have a volume of that name, nor mount it, nor anything in its place.
void RefuseNatsVolume(const Fields& pod_spec);

// Adds the volume to `pod_spec`, its mount to `worker`, and the settings that say where the files
// are to `variables`. Nothing without Secrets.
void AddPoolNats(const PoolNats& nats, nlohmann::json& pod_spec, nlohmann::json& worker,
                 nlohmann::json& variables);

}  // namespace lanekeeper::kubernetes
