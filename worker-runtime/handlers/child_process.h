// Runs one program to its end: input on its standard input, output line by line, never a deadlock.
//
// Blocks the calling thread; call it on many at once.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "worker-runtime/base/result.h"
#include "worker-runtime/handlers/process.h"

namespace lanekeeper::handlers {

struct ChildCallbacks {
  // Asked about every 50 ms. Once true: SIGTERM to the group, SIGKILL after `term_grace`.
  std::function<bool()> stop_requested;
  // One line of standard output or error, without its end. Lines of both come in order.
  std::function<void(std::string_view line)> on_line;
  // One line from descriptor 3, at most kJobLineBytesMax of it; what is returned is written back
  // there. A program that does not read its answers loses them. Empty: no descriptor 3.
  std::function<std::string(std::string_view line)> on_job_line;
  std::chrono::milliseconds term_grace{5000};
};

struct ChildExit {
  bool stopped = false;  // It was told to stop before it ended.
  ExitStatus status;
  std::vector<std::string> last_lines;
};

// kRetryable and kInvalid as Process::Start. A child that does not read its input is fine.
Result<ChildExit> RunChild(const Command& command, std::string_view input,
                           const ChildCallbacks& callbacks);

}  // namespace lanekeeper::handlers
