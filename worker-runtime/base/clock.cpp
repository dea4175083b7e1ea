#include "worker-runtime/base/clock.h"

#include <cstdio>
#include <ctime>

namespace lanekeeper {
namespace {

std::tm UtcOf(WallTime time) {
  const std::time_t seconds =
      std::chrono::system_clock::to_time_t(std::chrono::floor<std::chrono::seconds>(time));
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  return utc;
}

}  // namespace

std::string FormatRfc3339(WallTime time) {
  const std::tm utc = UtcOf(time);
  char text[32];
  const std::size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return std::string(text, length);
}

std::string FormatRfc3339Micros(WallTime time) {
  const std::tm utc = UtcOf(time);
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(
      time - std::chrono::floor<std::chrono::seconds>(time));
  char text[32];
  std::size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  char fraction[16];
  std::snprintf(fraction, sizeof fraction, ".%06dZ", static_cast<int>(micros.count()));
  return std::string(text, length) + fraction;
}

}  // namespace lanekeeper
