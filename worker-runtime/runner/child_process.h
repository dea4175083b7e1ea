// Runs one program to its end: input on its standard input, output line by line, never a deadlock.
//
// The child leads a process group of its own, so that everything it started ends with it, and dies
// with this process even when that is killed. Blocks the calling thread; call it on many at once.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "worker-runtime/base/result.h"

namespace lanekeeper::runner {

inline constexpr std::size_t kChildLineBytesMax = 4096;     // Longer lines come in pieces.
inline constexpr std::size_t kChildLastLinesMax = 10;       // Kept in ChildExit::last_lines.
inline constexpr std::size_t kChildLastLineBytesMax = 256;  // Of each of these.

struct ChildCommand {
  std::string program;                   // A path, as ResolveProgram returns it.
  std::vector<std::string> arguments;    // With the program's name in front.
  std::vector<std::string> environment;  // "NAME=value", all of it.
};

struct ChildCallbacks {
  // Asked about every 50 ms. Once true: SIGTERM to the group, SIGKILL after `term_grace`.
  std::function<bool()> stop_requested;
  // One line of standard output or error, without its end. Lines of both come in order.
  std::function<void(std::string_view line)> on_line;
  std::chrono::milliseconds term_grace{5000};
};

struct ChildExit {
  bool stopped = false;  // It was told to stop before it ended.
  int code = 0;          // Of a normal exit.
  int signal = 0;        // That ended it; 0 = none, `code` counts.
  std::vector<std::string> last_lines;
};

// Where `program` is: itself when it has a '/', else looked up in `path` (a PATH). kNotFound when
// there is no such file that may be executed.
Result<std::string> ResolveProgram(const std::string& program, const std::string& path);

// kRetryable: no process or pipe to be had. kInvalid: the program could not be executed, e.g.
// because environment or arguments are too large. A child that does not read its input is fine.
Result<ChildExit> RunChild(const ChildCommand& command, std::string_view input,
                           const ChildCallbacks& callbacks);

}  // namespace lanekeeper::runner
