// Two lanes and a time to begin at, for tests of what is made of the workers' reports.
#pragma once

#include <chrono>

#include "worker-runtime/base/time.h"
#include "worker-runtime/job/names.h"

namespace lanekeeper::gateway {

inline const LaneKey kShort{"studio", "media", "short"};
inline const LaneKey kLong{"studio", "media", "long"};
inline const MonotonicTime kStart{std::chrono::hours(1)};

}  // namespace lanekeeper::gateway
