// What every command of `lanekeeper` shares: how it is chosen, what it prints in, how it ends.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "worker-runtime/base/result.h"
#include "worker-runtime/base/stop_signal.h"

namespace lanekeeper::cli {

// Exit status of every command; cli/README.md has the same table.
enum class Exit {
  kOk = 0,
  kFailed = 1,  // It was done, and what came of it is bad: a job ended dead, a lane lost a job.
  kUsage = 2,   // Flags, arguments or input are wrong; nothing was changed.
  kUnreachable = 3,  // Nobody to talk to, or no answer in time.
  kNotFound = 4,     // No such pool, lane, job, worker, dead letter.
  kForbidden = 5,    // The token, or what it allows.
  kBusy = 6,         // The lane is full, or paused for submits; a later try may succeed.
  kNotEnded = 7,     // --wait or --follow was over before the job ended.
};

// For what has no better: kInvalid kUsage, kNotFound kNotFound, kForbidden kForbidden, kRetryable
// kUnreachable.
Exit ExitOf(const Error& error);

// What commands are added to. A command's callback sets `run`, and main calls it after the flags
// have been parsed: so that parsing has no effects.
struct Commands {
  CLI::App& app;
  StopSignal& stop;
  std::function<Exit()>& run;
};

// "lanekeeper: <message>" on standard error.
void Complain(const std::string& message);
// Complain, and the status that goes with it.
Exit Refuse(const Error& error);

// After app.parse has thrown: prints the help or version that was asked for; else complains about
// the flags, and says whose --help would have told.
Exit EndParse(const CLI::App& app, const CLI::ParseError& error);

}  // namespace lanekeeper::cli
