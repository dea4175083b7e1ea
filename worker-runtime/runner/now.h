// The one clock of the runner.
#pragma once

#include "worker-runtime/base/clock.h"

namespace lanekeeper::runner {

inline MonotonicTime Now() { return SystemClock().Now(); }

}  // namespace lanekeeper::runner
