// The command `workers`: who runs what for how long, and draining one.
#pragma once

#include "cli/command/command.h"

namespace lanekeeper::workers {

void AddWorkersCommands(cli::Commands commands);

}  // namespace lanekeeper::workers
