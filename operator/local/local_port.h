// A port of this machine to listen on, chosen before the listener is there.
#pragma once

#include "worker-runtime/base/result.h"

namespace lanekeeper {

// A TCP port of 127.0.0.1 that nobody listens on at this moment: `wanted`, or with 0 a free one.
// Somebody else may take it before the caller does. kForbidden: it is taken, or may not be opened;
// the message names it.
Result<int> FindPort(int wanted);

}  // namespace lanekeeper
