// Handlers to try Lanekeeper out with, one for each thing that can happen to a job. Also what the
// end-to-end tests run in real pods.
//
//   type     payload          what it does
//   sleep    500, {"ms":500}  sleeps that long; stops when told to. Also for jobs without a type
//   fail     -                fails, every time
//   poison   -                rejects the job: a dead letter at once
//   crash    -                ends the whole worker with SIGABRT
//   flaky    3                fails until its third attempt
//   steps    20               does so many steps of 100 ms, a checkpoint after each; goes on after
//                             the last one. Stops when told to
//   stubborn 500, {"ms":500}  sleeps that long, whatever it is told
//   hold     /tmp/go          goes on until there is such a file; stops when told to
//
// The result of a job that is done says whose it is: {"worker":"media-short-abc","run":1}. One that
// stops when it is told to says so in the log.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "worker-runtime/base/result.h"
#include "worker-runtime/job/handler_registry.h"

namespace lanekeeper::examples {

// Keeps the record of a successful run somewhere. kRetryable is tried again until the job has to
// stop; any other error fails the job.
using Recorder = std::function<Result<void>(const std::string& json)>;

struct ExampleOptions {
  std::string lane;
  std::string worker;
  Recorder record;  // Empty: no records.
};

// "500", " 500\n", {"ms":500}, or nothing (0). kInvalid for anything else, a negative number, or
// more than a day.
Result<std::chrono::milliseconds> ParseSleep(std::string_view payload);

// Calls `add` for each type of the table above, and for the empty one.
void AddExampleHandlers(const ExampleOptions& options,
                        const std::function<void(std::string type, Handler handler)>& add);

}  // namespace lanekeeper::examples
