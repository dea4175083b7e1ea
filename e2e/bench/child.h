// A program that a benchmark starts, measures and ends.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <string>
#include <vector>

namespace lanekeeper::e2e {

using Environment = std::map<std::string, std::string>;

// One thread. It dies with the benchmark, and nothing but it is ever signalled.
class Child {
 public:
  // argv[0] is looked up on PATH unless it has a slash. The environment is `environment` and PATH.
  // Its output goes to `log`; empty: to this program's standard error.
  // Throws std::runtime_error when it cannot be started.
  Child(std::vector<std::string> argv, const Environment& environment, const std::string& log = "");
  ~Child();  // SIGKILL, if it still runs.
  Child(Child&& other) noexcept;
  Child& operator=(Child&& other) noexcept;

  pid_t pid() const { return pid_; }
  void Signal(int signal) const;
  // Waits for its end: its exit status, or 128 + the signal that ended it. Killed at `deadline`.
  int Wait(std::chrono::milliseconds deadline = std::chrono::seconds(60));

 private:
  pid_t pid_ = -1;
};

// The path of a program of this build.
std::string ProgramBesideThis(const std::string& name);

// A field of /proc/<pid>/status in MiB, e.g. "VmRSS", of a process and its children together (pages
// they share count twice); NaN when it cannot be read.
double ProcessMiB(pid_t pid, const std::string& field);

// A process, its children, theirs…, with what they are called (/proc/<pid>/comm).
std::vector<std::pair<pid_t, std::string>> ProcessTree(pid_t pid);
// A field of /proc/<pid>/status in MiB of this process alone; NaN when it cannot be read.
double OneProcessMiB(pid_t pid, const std::string& field);
// User and system time of a process so far; NaN when it cannot be read.
double CpuSeconds(pid_t pid);

// A port of 127.0.0.1 that nobody listens on at this moment.
int FreePort();

}  // namespace lanekeeper::e2e
