// What a worker's process was running, where its supervisor can still read it when the process is
// dead: a few hundred bytes of shared memory a slot.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "worker-runtime/base/result.h"

namespace lanekeeper::runner {

class CrashBoard {
 public:
  struct Entry {
    std::string lease;
    bool at_fault = false;  // The signal that killed the process came from this job's thread.
  };

  // Before the fork that parts worker and supervisor. kRetryable: no memory.
  static Result<std::unique_ptr<CrashBoard>> Make(int threads_max);
  ~CrashBoard();
  CrashBoard(const CrashBoard&) = delete;
  CrashBoard& operator=(const CrashBoard&) = delete;

  // ---- The worker's side ----

  // From here on a signal that kills a process for a fault of its own (SIGSEGV, SIGABRT, …) marks
  // the job of the thread it hit, and kills. Leaves alone what has a handler already.
  static void WatchSignals();
  // The calling thread will run jobs; once a thread, at most threads_max of them.
  void SitDown();
  // The calling thread runs this job now, until Clear. A lease too long to note is not noted.
  static void Note(std::string_view lease);
  static void Clear();

  // ---- The supervisor's side, when the worker is dead ----

  std::vector<Entry> Read() const;

 private:
  struct Seat;
  static void OnFault(int signal);
  CrashBoard(Seat* seats, std::size_t count) : seats_(seats), count_(count) {}

  Seat* const seats_;
  const std::size_t count_;
  std::atomic<std::size_t> taken_{0};
};

}  // namespace lanekeeper::runner
