// The lines that the worker and a program exchange about a running job: one JSON object each. Used
// on descriptor 3 of a program per job, and on the standard streams of a kept program. Pure.
//
// HANDLERS.md is the contract.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "worker-runtime/base/result.h"
#include "worker-runtime/job/job.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/job/outcome.h"

namespace lanekeeper::handlers {

// Of a line to the worker. Holds a checkpoint of kCheckpointBytesMax in base64.
inline constexpr std::size_t kJobLineBytesMax = 512 * 1024;
// Answers beyond what the pipe or socket holds. A program that leaves so many unread does not read
// them.
inline constexpr std::size_t kAnswersBytesMax = 64 * 1024;
inline constexpr std::size_t kWhyBytesMax = 2048;
inline constexpr std::size_t kErrorClassBytesMax = 128;
inline constexpr std::chrono::hours kRetryAfterMax{24 * 7};

// What a program says. One line may say several things.
struct JobLine {
  struct Progress {
    double fraction = 0;
    std::string note;
    bool operator==(const Progress&) const = default;
  };
  bool ready = false;
  std::optional<Progress> progress;
  std::optional<std::string> checkpoint;  // Bytes.
  std::optional<std::string> result;      // Bytes.
  std::optional<Outcome> outcome;         // A Done without its result.
  bool operator==(const JobLine&) const = default;
};

// kInvalid, naming the field and what it should be. Fields it does not know are passed over; a line
// without any that it knows is an error too.
Result<JobLine> ReadJobLine(std::string_view line);

// Does to `job` what the line says about progress and checkpoint. Returns the line that answers a
// checkpoint; empty when there is none to be answered.
std::string Apply(const JobLine& line, Job& job);

// What the worker says, each with its end of line.
std::string JobStartLine(const Job& job, const LaneKey& lane);
std::string CheckpointAnswer(const Result<void>& stored);
inline constexpr std::string_view kStopLine = "{\"stop\":true}\n";

}  // namespace lanekeeper::handlers
