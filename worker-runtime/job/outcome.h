// What a handler may return: a closed set. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace lanekeeper {

// `result` goes into the job's record, for whoever waits for it: at most kResultBytesMax (see
// job_record.h), more is rejected. Larger ones belong into a store; put the reference here.
struct Done {
  std::string result{};
  bool operator==(const Done&) const = default;
};

// Worth another attempt.
struct Failed {
  std::string why;            // A clause: "fetching the image: connection refused".
  std::string error_class{};  // Groups dead letters: "std::runtime_error", "exit 1", "http 503".
  std::vector<std::string> output{};  // The last lines the handler wrote.
  // Not before this has passed, whatever the lane's back-off says; absent = the back-off alone.
  std::optional<std::chrono::milliseconds> retry_after{};
  bool operator==(const Failed&) const = default;
};

// Will never work: straight to the dead letters.
struct Rejected {
  std::string why;
  std::string error_class{};
  std::vector<std::string> output{};
  bool operator==(const Rejected&) const = default;
};

// Stopped because Job::StopRequested said so. The job goes back and starts again elsewhere, with
// its last checkpoint. Costs nothing.
struct Interrupted {
  bool operator==(const Interrupted&) const = default;
};

// The process that ran the job died under it: killed by a signal, out of memory, gone. Returned by
// handlers that run the job in another process; costs a crash, not an attempt.
struct Crashed {
  std::string why;            // "killed by signal 11 (Segmentation fault)".
  std::string error_class{};  // "signal 11".
  std::vector<std::string> output{};
  bool operator==(const Crashed&) const = default;
};

using Outcome = std::variant<Done, Failed, Rejected, Interrupted, Crashed>;

}  // namespace lanekeeper
