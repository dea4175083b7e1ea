// A handler that runs a program for each job: `lanekeeper-worker --exec`.
//
// The payload is the program's standard input, what it is about stands in its environment, and its
// exit status is the outcome. README.md has the contract.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "worker-runtime/base/result.h"
#include "worker-runtime/job/handler_registry.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/runner/child_process.h"

namespace lanekeeper::runner {

inline constexpr int kExitRejected = 65;  // EX_DATAERR of <sysexits.h>.
inline constexpr std::size_t kEnvironmentHeadersMax = 64;
inline constexpr std::size_t kEnvironmentValueBytesMax = 8192;

struct ExecOptions {
  std::vector<std::string> command;  // Program and arguments; not empty.
  LaneKey lane;
  std::chrono::milliseconds term_grace{5000};  // From SIGTERM to SIGKILL.
  // Where a line of the program's output goes; empty = standard error, "job <id>: <line>".
  std::function<void(const Job&, std::string_view line)> on_line;
};

// Pure. `inherited` ("NAME=value") without what looks like ours, and LK_JOB_ID, LK_JOB_TYPE,
// LK_JOB_DELIVERY, LK_JOB_ATTEMPTS, LK_LANE, LK_POOL, LK_NAMESPACE, TRACEPARENT and one
// LK_HEADER_<NAME> per header: upper case, '_' for everything but letters and digits, the first of
// a name, at most kEnvironmentHeadersMax of them. A value with a NUL byte or more than
// kEnvironmentValueBytesMax bytes is left out.
std::vector<std::string> ChildEnvironment(const Job& job, const LaneKey& lane,
                                          const std::vector<std::string>& inherited);

// Pure. 0: Done. 65: Rejected. Anything else: Failed, with the last lines of output; Interrupted
// when the program had been told to stop.
Outcome OutcomeOfExit(const ChildExit& exit);

// kNotFound when the program is not there: found out before the first job, not by each of them.
Result<Handler> MakeExecHandler(ExecOptions options);

}  // namespace lanekeeper::runner
