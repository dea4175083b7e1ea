// How the benchmarks report: figures as they go, and one JSON object per bar at the end, so that a
// script can read what a person reads.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace lanekeeper::e2e {

// The value below which `share` (0..1) of `values` lie; nearest rank.
inline double Percentile(std::vector<double> values, double share) {
  if (values.empty()) return std::nan("");
  std::sort(values.begin(), values.end());
  const double rank = std::ceil(share * static_cast<double>(values.size()));
  return values[static_cast<std::size_t>(std::max(1.0, rank)) - 1];
}

enum class Limit { kAtMost, kAtLeast };

// One bar: `value` must not be on the wrong side of `bar`.
struct Bar {
  std::string name;
  double value = 0;
  std::string unit;
  std::optional<double> bar;  // Nothing: a figure to compare with, which holds once it is measured.
  std::string how;
  Limit limit = Limit::kAtMost;
};

// A value that was not measured (NaN) does not hold.
inline bool Holds(const Bar& bar) {
  if (std::isnan(bar.value)) return false;
  if (!bar.bar) return true;
  return bar.limit == Limit::kAtMost ? bar.value <= *bar.bar : bar.value >= *bar.bar;
}

// Prints one line per bar; true when all hold.
inline bool PrintBars(const std::vector<Bar>& bars) {
  bool all = true;
  for (const Bar& bar : bars) {
    const bool holds = Holds(bar);
    all = all && holds;
    nlohmann::ordered_json line;
    line["name"] = bar.name;
    line["value"] = std::round(bar.value * 1000) / 1000;
    line["unit"] = bar.unit;
    line["bar"] = bar.bar ? nlohmann::ordered_json(*bar.bar) : nlohmann::ordered_json();
    line["holds"] = holds;
    line["how"] = bar.how;
    std::printf("%s\n", line.dump().c_str());
  }
  return all;
}

}  // namespace lanekeeper::e2e
