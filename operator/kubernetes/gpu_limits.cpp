#include "operator/kubernetes/gpu_limits.h"

#include <algorithm>
#include <charconv>

#include "operator/kubernetes/json_access.h"

namespace lanekeeper::kubernetes {
namespace {

using nlohmann::json;

constexpr int kLimitMax = 1'000'000;

bool StartsWith(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

int CountOf(const json& limit) {
  std::int64_t count = 0;
  if (limit.is_number_integer()) {
    count = limit.get<std::int64_t>();
  } else if (limit.is_string()) {
    const std::string& text = limit.get_ref<const std::string&>();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (error != std::errc() || end != text.data() + text.size()) return 0;
  }
  return static_cast<int>(std::clamp<std::int64_t>(count, 0, kLimitMax));
}

int GpusOf(const json& container, std::set<std::string>& resources) {
  const json* limits = At(container, {"resources", "limits"});
  if (limits == nullptr || !limits->is_object()) return 0;
  int gpus = 0;
  for (const auto& [name, limit] : limits->items()) {
    const int count = IsGpuResource(name) ? CountOf(limit) : 0;
    if (count > 0) resources.insert(name);
    gpus = std::min(gpus + count, kLimitMax);
  }
  return gpus;
}

}  // namespace

bool IsGpuResource(std::string_view name) {
  constexpr std::string_view kDevice = "/gpu";
  if (name.size() > kDevice.size() && name.substr(name.size() - kDevice.size()) == kDevice) {
    return true;
  }
  return name == "nvidia.com/gpu.shared" || StartsWith(name, "nvidia.com/mig-") ||
         name == "gpu.intel.com/i915" || name == "gpu.intel.com/xe";
}

GpuLimits GpuLimitsOf(const json& pod_spec) {
  GpuLimits limits;
  for (const json& container : ListAt(pod_spec, {"containers"})) {
    limits.gpus = std::min(limits.gpus + GpusOf(container, limits.resources), kLimitMax);
  }
  for (const json& container : ListAt(pod_spec, {"initContainers"})) {
    limits.gpus = std::max(limits.gpus, GpusOf(container, limits.resources));
  }
  return limits;
}

int ResourceClaimsOf(const json& pod_spec) {
  return static_cast<int>(ListAt(pod_spec, {"resourceClaims"}).size());
}

}  // namespace lanekeeper::kubernetes
