// Base64, as kubeconfig files and Secrets have it. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lanekeeper::kubernetes {

// Nothing when `text` is not base64. Line breaks and spaces are passed over.
std::optional<std::string> DecodeBase64Lines(std::string_view text);

}  // namespace lanekeeper::kubernetes
