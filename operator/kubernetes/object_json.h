// What every object of the API server says of itself. Included by .cpp files only.
#pragma once

#include <charconv>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "operator/kubernetes/json_access.h"
#include "operator/kubernetes/object_names.h"
#include "worker-runtime/job/names.h"

namespace lanekeeper::kubernetes {

inline ObjectName NameOf(const nlohmann::json& object) {
  return {TextAt(object, {"metadata", "namespace"}), TextAt(object, {"metadata", "name"})};
}

// By its labels. Lane and pool are empty when they are missing.
inline LaneKey LaneOf(const nlohmann::json& object) {
  return {TextAt(object, {"metadata", "namespace"}),
          TextAt(object, {"metadata", "labels", kLabelPool}),
          TextAt(object, {"metadata", "labels", kLabelLane})};
}

inline std::string ResourceVersionOf(const nlohmann::json& object) {
  return TextAt(object, {"metadata", "resourceVersion"});
}

// A resourceVersion as a number; 0 when it is none. Opaque in theory, a counter in every server
// there is; since Kubernetes 1.35 that is a promise.
inline std::uint64_t VersionNumber(std::string_view resource_version) {
  std::uint64_t number = 0;
  std::from_chars(resource_version.data(), resource_version.data() + resource_version.size(),
                  number);
  return number;
}

}  // namespace lanekeeper::kubernetes
