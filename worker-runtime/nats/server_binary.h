// Where the nats-server program of this machine is.
#pragma once

#include <string>

#include "worker-runtime/base/result.h"

namespace lanekeeper::nats {

// $LANEKEEPER_NATS_SERVER, else the one in `beside` (a folder; empty: none), else in the tool cache
// (${LANEKEEPER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lanekeeper}/bin), else on PATH. kNotFound
// when the first there is is none of at least version 2.12, or there is none.
Result<std::string> FindServerBinary(const std::string& beside = "");

}  // namespace lanekeeper::nats
