// SIGTERM and SIGINT as something to wait for.
//
// Create it first thing in main, before any thread: it blocks both signals in the calling thread,
// and every thread started afterwards inherits that. Nothing then runs in signal context.
#pragma once

#include <csignal>
#include <optional>

#include "worker-runtime/base/clock.h"

namespace lanekeeper {

class StopSignal {
 public:
  StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  // Blocks until SIGTERM or SIGINT arrives and returns its number. Main thread only.
  int Wait();
  // The same, for at most `timeout`; nothing when no signal came.
  std::optional<int> WaitFor(std::chrono::milliseconds timeout);

 private:
  sigset_t signals_;
};

// In a child after fork, before exec: gives the child back a signal mask that lets it be stopped.
void UnblockStopSignals();

}  // namespace lanekeeper
