// Growing delays: initial · 2^(n-1), never above max. Deterministic; add jitter with Jittered.
#pragma once

#include <chrono>
#include <cstdint>

namespace lanekeeper {

struct Backoff {
  std::chrono::milliseconds initial{1000};  // > 0.
  std::chrono::milliseconds max{300000};    // >= initial.
  bool operator==(const Backoff&) const = default;

  // The delay after the nth failure in a row, n >= 1.
  std::chrono::milliseconds After(int failures) const;
};

// `delay` less up to a quarter of it, by `random` (any uniformly drawn 64 bits): many that failed
// at one moment do not come back at one moment, and none later than it was told.
std::chrono::milliseconds Jittered(std::chrono::milliseconds delay, std::uint64_t random);

}  // namespace lanekeeper
