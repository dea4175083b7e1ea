// Durations as people write them in a manifest: "30s", "6h", "1h30m", "500ms".
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "worker-runtime/base/result.h"

namespace lanekeeper {

// kInvalid for anything else, a sign, a fraction, zero units or more than ten years.
Result<std::chrono::milliseconds> ParseDuration(std::string_view text);

// The shortest form that ParseDuration reads back: "1h30m", "500ms", "0s".
std::string FormatDuration(std::chrono::milliseconds duration);

}  // namespace lanekeeper
