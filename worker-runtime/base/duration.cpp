#include "worker-runtime/base/duration.h"

#include <charconv>
#include <cstdint>

namespace lanekeeper {
namespace {

constexpr std::int64_t kMillisecondsMax = std::int64_t{10} * 365 * 24 * 3600 * 1000;

// Milliseconds in the unit at the front of `text`, which is cut off; 0 for no unit.
std::int64_t TakeUnit(std::string_view& text) {
  struct Unit {
    std::string_view name;
    std::int64_t milliseconds;
  };
  // "ms" stands before "m": the longer name has to be tried first.
  for (const Unit& unit :
       {Unit{"ms", 1}, Unit{"s", 1000}, Unit{"m", 60'000}, Unit{"h", 3'600'000}}) {
    if (text.substr(0, unit.name.size()) != unit.name) continue;
    text.remove_prefix(unit.name.size());
    return unit.milliseconds;
  }
  return 0;
}

}  // namespace

Result<std::chrono::milliseconds> ParseDuration(std::string_view text) {
  const auto refuse = [whole = std::string(text)] {
    return Fail(ErrorKind::kInvalid,
                "\"" + whole + "\" is not a duration; write it like 30s, 5m, 6h or 1h30m");
  };
  if (text.empty()) return refuse();
  std::int64_t total = 0;
  while (!text.empty()) {
    std::int64_t count = 0;
    if (text.front() < '0' || text.front() > '9') return refuse();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (error != std::errc{}) return refuse();
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    const std::int64_t unit = TakeUnit(text);
    if (unit == 0 || count > kMillisecondsMax / unit) return refuse();
    total += count * unit;
    if (total > kMillisecondsMax) return refuse();
  }
  return std::chrono::milliseconds(total);
}

std::string FormatDuration(std::chrono::milliseconds duration) {
  std::int64_t left = duration.count();
  if (left == 0) return "0s";
  std::string text;
  if (left < 0) {
    text = "-";
    left = -left;
  }
  const auto take = [&](std::int64_t unit, const char* name) {
    if (left < unit) return;
    text += std::to_string(left / unit) + name;
    left %= unit;
  };
  take(3'600'000, "h");
  take(60'000, "m");
  take(1000, "s");
  take(1, "ms");
  return text;
}

}  // namespace lanekeeper
