// When to look again: the earliest of several moments.
#pragma once

#include <optional>

#include "worker-runtime/base/time.h"

namespace lanekeeper {

inline void KeepEarlier(std::optional<MonotonicTime>& due, MonotonicTime candidate) {
  if (!due || candidate < *due) due = candidate;
}

}  // namespace lanekeeper
