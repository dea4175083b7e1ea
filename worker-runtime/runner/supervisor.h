// A worker's parent: sees how the worker died, and tells the jobs.
//
//   supervisor (the process that was started) ── fork ──▶ worker
//
// When the worker is killed by a signal, the jobs that ran in it get a crash with that signal in
// their records and are given back at once, instead of after ack_wait. When the signal came from
// one job's thread, only that job pays; the others were interrupted. A supervisor that is killed
// takes its worker along.
#pragma once

#include "worker-runtime/runner/crash_board.h"
#include "worker-runtime/runner/worker_options.h"

namespace lanekeeper::runner {

// Call it before the first thread, with SIGTERM and SIGINT blocked (StopSignal). Returns in the
// worker. The supervisor hands on both signals and ends as the worker does: with its exit code, or
// with 128 + the signal that killed it.
void Supervise(const WorkerOptions& options, const CrashBoard& board);

// The supervisor's last act, for tests: `signal` killed the worker that ran `entries`. Returns how
// many jobs were told; within about ten seconds.
int TellJobsOfCrash(const WorkerOptions& options, int signal,
                    const std::vector<CrashBoard::Entry>& entries);

}  // namespace lanekeeper::runner
