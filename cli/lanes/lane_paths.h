// Paths of the gateway's API below a pool or lane. Pure.
#pragma once

#include <string>
#include <string_view>

#include "cli/remote/remote.h"

namespace lanekeeper::lanes {

std::string PoolPath(const cli::LaneName& name);  // "/v1/pools/studio/media"
std::string LanePath(const cli::LaneName& name);  // "/v1/pools/studio/media/lanes/short"
// "studio/media" or, with a lane, "studio/media/short".
std::string Shown(const cli::LaneName& name);
// "pool", "ns/pool", "pool/lane" or "ns/pool/lane", where a pool and a lane will do. What could be
// either is a pool when there is such a one.
ClientResult<cli::LaneName> ResolvePoolOrLane(cli::Remote& remote, std::string_view text);

}  // namespace lanekeeper::lanes
