// The commands `submit` and `jobs`: hand jobs in, and see what became of them.
#pragma once

#include "cli/command/command.h"

namespace lanekeeper::jobs {

void AddJobsCommands(cli::Commands commands);

}  // namespace lanekeeper::jobs
