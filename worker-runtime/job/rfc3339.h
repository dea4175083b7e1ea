// RFC 3339 times in headers: "2026-11-24T22:28:40Z", "2026-11-24t23:28:40.5+01:00". Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace lanekeeper {

// Nothing for anything else, also for a day or hour that does not exist. Times outside 1970..2200
// become the nearer of the two ends: as a deadline, "passed" and "none".
std::optional<std::chrono::system_clock::time_point> ParseRfc3339(std::string_view text);

}  // namespace lanekeeper
