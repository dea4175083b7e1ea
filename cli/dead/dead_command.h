// The command `dead`: dead letters of a pool; list and group them, look at one, replay, discard.
#pragma once

#include "cli/command/command.h"

namespace lanekeeper::dead {

void AddDeadCommands(cli::Commands commands);

}  // namespace lanekeeper::dead
