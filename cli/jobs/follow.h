// A job until its end, on standard output.
#pragma once

#include <chrono>
#include <string>

#include "cli/command/command.h"
#include "cli/command/output.h"
#include "cli/remote/remote.h"

namespace lanekeeper::jobs {

// Each change a line, then its end as PrintEnd; with -o json and yaml each change as the gateway
// says it, a line of JSON or a document of YAML, of which the last is the end. `pool` as PoolOf
// returns it.
cli::Exit Follow(cli::Remote& remote, const cli::LaneName& pool, const std::string& id,
                 std::chrono::milliseconds time, cli::Format format);

// Done: its result, or with -o json and yaml all of it, and kOk. Dead, cancelled: why, and kFailed.
cli::Exit PrintEnd(const ClientResult<JobStatus>& job, cli::Format format);

}  // namespace lanekeeper::jobs
