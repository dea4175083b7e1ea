// How long jobs took, as counts in buckets whose bounds grow by the fourth root of two: a worker
// counts, its reports carry the counts, the operator learns from them. Cumulative, so that a lost
// report loses nothing. Pure.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace lanekeeper {

inline constexpr std::size_t kServiceBuckets = 128;  // Up to 2^(127/4) ms, 42 days.

using ServiceCounts = std::array<std::uint64_t, kServiceBuckets>;

// Bucket b holds durations of [2^((b-1)/4), 2^(b/4)) ms; bucket 0 all under 1 ms, the last one all
// that are longer.
inline std::size_t ServiceBucketOf(std::chrono::nanoseconds took) {
  const double ms = std::chrono::duration<double, std::milli>(took).count();
  if (!(ms >= 1.0)) return 0;
  const auto bucket = static_cast<std::size_t>(4.0 * std::log2(ms)) + 1;
  return std::min(bucket, kServiceBuckets - 1);
}

// The geometric middle of a bucket: at most 9 % from anything in it.
inline double ServiceSecondsOf(std::size_t bucket) {
  if (bucket == 0) return 0.0005;
  return std::exp2((static_cast<double>(bucket) - 0.5) / 4.0) / 1000.0;
}

}  // namespace lanekeeper
