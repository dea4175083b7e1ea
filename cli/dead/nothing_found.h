// What an empty answer about dead letters means.
#pragma once

#include <string>

#include "cli/remote/remote.h"

namespace lanekeeper::dead {

// Nothing was found in `pool`: kNotFound when what was asked for is not there: a lane that the pool
// does not have, or a group, which is there as long as one of its letters is. Empty ones were not
// asked for.
ClientResult<void> RefuseUnknown(cli::Remote& remote, const cli::LaneName& pool,
                                 const std::string& lane, const std::string& group);

}  // namespace lanekeeper::dead
