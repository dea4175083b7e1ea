// A handler that runs a program for each job: `lanekeeper-worker --exec`.
//
// The payload is the program's standard input, what it is about stands in its environment, its exit
// status is the outcome, and descriptor 3 carries progress, checkpoints and the result. HANDLERS.md
// is the contract.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "worker-runtime/base/result.h"
#include "worker-runtime/handlers/child_process.h"
#include "worker-runtime/job/handler_registry.h"
#include "worker-runtime/job/names.h"

namespace lanekeeper::handlers {

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

// Pure. `inherited` ("NAME=value") without what looks like ours, and the variables of HANDLERS.md:
// LK_JOB_*, LK_LANE, LK_POOL, LK_NAMESPACE, TRACEPARENT and one LK_HEADER_<NAME> per header: upper
// case, '_' for everything but letters and digits, the first of a name, at most
// kEnvironmentHeadersMax of them. A value with a NUL byte or more than kEnvironmentValueBytesMax
// bytes is left out. `checkpoint_path` is empty when there is no checkpoint.
std::vector<std::string> ChildEnvironment(const Job& job, const LaneKey& lane,
                                          const std::string& checkpoint_path,
                                          const std::vector<std::string>& inherited);

// Pure. Told to stop and not 0: Interrupted. 0: Done with `result`. 65: Rejected. Another code:
// Failed. A signal: Crashed. The last lines of output go with what is not good.
Outcome OutcomeOfExit(const ChildExit& exit, std::string result);

// kNotFound when the program is not there: found out before the first job, not by each of them.
Result<Handler> MakeExecHandler(ExecOptions options);

}  // namespace lanekeeper::handlers
