// The commands about lanes: `lanes`, `explain`, `pause` and `resume`.
#pragma once

#include "cli/command/command.h"

namespace lanekeeper::lanes {

// All four; the two below are parts of it.
void AddLanesCommands(cli::Commands commands);

void AddExplainCommand(cli::Commands commands);
void AddPauseCommands(cli::Commands commands);

}  // namespace lanekeeper::lanes
