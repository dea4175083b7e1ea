// Points in time, and how they are written. No clock: pure rooms take time points as arguments.
#pragma once

#include <chrono>
#include <string>

namespace lanekeeper {

// For intervals, deadlines and history. Never goes back.
using MonotonicTime = std::chrono::steady_clock::time_point;
// For what people and other machines read: status, events, records.
using WallTime = std::chrono::system_clock::time_point;

// "2026-11-24T22:28:40Z", with microseconds "2026-11-24T22:28:40.123456Z", and with all nine
// digits.
std::string FormatRfc3339(WallTime time);
std::string FormatRfc3339Micros(WallTime time);
std::string FormatRfc3339Nanos(WallTime time);

}  // namespace lanekeeper
