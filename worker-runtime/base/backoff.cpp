#include "worker-runtime/base/backoff.h"

#include <algorithm>
#include <cassert>

namespace lanekeeper {

std::chrono::milliseconds Backoff::After(int failures) const {
  assert(failures >= 1);
  assert(initial.count() > 0);
  std::chrono::milliseconds delay = initial;
  for (int n = 1; n < failures; ++n) {
    if (delay > max / 2) return max;  // Before the doubling: it could overflow.
    delay *= 2;
  }
  return std::min(delay, max);
}

std::chrono::milliseconds Jittered(std::chrono::milliseconds delay, std::uint64_t random) {
  const std::int64_t spread = delay.count() / 4;
  if (spread <= 0) return delay;
  return delay - std::chrono::milliseconds(
                     static_cast<std::int64_t>(random % static_cast<std::uint64_t>(spread + 1)));
}

}  // namespace lanekeeper
