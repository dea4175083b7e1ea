// Whether a pod asks for a GPU. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <string_view>

namespace lanekeeper::kubernetes {

// What workers.gpus asks for.
inline constexpr const char* kGpuResource = "nvidia.com/gpu";

// Whole devices and what they are cut into: <vendor>/gpu, nvidia.com/gpu.shared (time slices),
// nvidia.com/mig-… (partitions), gpu.intel.com/i915 and …/xe. Not what only says how much of one
// (gpu memory, cores): that comes beside a device. crds/workerpools.yaml says the same in CEL.
bool IsGpuResource(std::string_view name);

struct GpuLimits {
  int gpus = 0;                     // What one pod takes; a limit that is no whole number is none.
  std::set<std::string> resources;  // Those with a limit above zero.
  bool operator==(const GpuLimits&) const = default;
};

// Of the containers together, or of the hungriest init container, whichever is more: Kubernetes
// gives a pod the larger one.
GpuLimits GpuLimitsOf(const nlohmann::json& pod_spec);

// How many claims for devices (dynamic resource allocation) the pod makes.
int ResourceClaimsOf(const nlohmann::json& pod_spec);

}  // namespace lanekeeper::kubernetes
