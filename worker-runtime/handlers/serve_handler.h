// A handler that hands its jobs to programs that stay: `lanekeeper-worker --serve-exec`.
//
// One process a slot, started when a job first needs it and kept for the next ones; for handlers
// with an expensive start, such as a model on a GPU. HANDLERS.md is the contract.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "worker-runtime/base/result.h"
#include "worker-runtime/job/handler_registry.h"
#include "worker-runtime/job/names.h"

namespace lanekeeper::handlers {

struct ServeOptions {
  std::vector<std::string> command;  // Program and arguments; not empty.
  LaneKey lane;
  std::chrono::milliseconds start_deadline{60000};  // From a start to {"ready":true}.
  std::chrono::milliseconds term_grace{5000};       // From {"stop":true} to SIGKILL.
  // Where a line of a program's standard error goes; `job` is null between jobs. Empty = standard
  // error, "job <id>: <line>".
  std::function<void(const Job* job, std::string_view line)> on_line;
};

// kNotFound when the program is not there. The last copy of the handler ends all processes, within
// `term_grace`; when the worker is killed they are too. Starts no thread before the first job.
//
// A process that is not ready in time, or ends before it is, is started again with a growing delay;
// after `start_deadline` without success the job is Failed with the class "start".
Result<Handler> MakeServeHandler(ServeOptions options);

}  // namespace lanekeeper::handlers
