// A child process: its start, its descriptors, its end. Never a descriptor or a zombie left behind.
//
// The child leads a process group of its own (but see Wiring::our_input), so that everything it
// started ends with it, and dies with the thread that started it, even when that is killed.
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "worker-runtime/base/result.h"

namespace lanekeeper::handlers {

// The longest a wait for a child goes without a look at what else there is to do.
inline constexpr std::chrono::milliseconds kStopPollInterval{50};

// Owns a file descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    Close();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  ~Fd() { Close(); }
  int get() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  void Close();

 private:
  int fd_ = -1;
};

struct Command {
  std::string program;                   // A path, as ResolveProgram returns it.
  std::vector<std::string> arguments;    // With the program's name in front.
  std::vector<std::string> environment;  // "NAME=value", all of it.
};

// How a process ended.
struct ExitStatus {
  int code = 0;    // Of a normal exit.
  int signal = 0;  // That ended it; 0 = none, `code` counts.
};
// "killed by signal 11 (Segmentation fault)", "exit code 3".
std::string Describe(const ExitStatus& status);
// "signal 11", "exit 3": groups dead letters.
std::string ErrorClassOf(const ExitStatus& status);

// One thread at a time, the one that started it included.
class Process {
 public:
  // What the child gets beside standard input and output.
  struct Wiring {
    bool separate_error = false;  // Else standard error goes where standard output goes.
    bool control = false;         // Descriptor 3: a socket, for both directions.
    // Standard input is ours, and there is no group of its own: a program in the background may not
    // read from a terminal. What it starts itself may outlive it.
    bool our_input = false;
  };

  // kRetryable: no process or descriptor to be had. kInvalid: the program could not be executed,
  // e.g. because environment or arguments are too large.
  static Result<Process> Start(const Command& command, Wiring wiring);

  Process(Process&& other) noexcept;
  Process& operator=(Process&&) = delete;
  // Kills what still runs.
  ~Process();

  bool Exited() const;
  // To the whole group, where it has its own.
  void Signal(int signal);
  // To the program alone, as a kubelet sends SIGTERM: what it started is its own to tell.
  void SignalLeader(int signal);
  // Until it has ended, or there is something to read, or to be written where that is asked for;
  // for at most kStopPollInterval.
  void Wait(bool write_input, bool write_control) const;
  // Ends the rest of the group and waits for the leader. Once.
  ExitStatus Reap();

  // Our ends, non-blocking. Closed ones are those that the wiring does not have.
  Fd input;
  Fd output;
  Fd error;
  Fd control;

 private:
  Process(pid_t pid, bool leads_group);

  pid_t pid_;  // -1: reaped, or moved from.
  bool leads_group_;
  Fd pidfd_;  // Closed where the system has none.
};

using ReadBuffer = std::array<char, 16384>;
// What can be read from `fd` now, in `buffer`; empty when there is nothing. Closes `fd` at its end.
std::string_view ReadSome(Fd& fd, ReadBuffer& buffer);

// Writes what can be written now of `left` and cuts it off. False when nobody reads `fd` any more.
bool WriteSome(const Fd& fd, std::string_view& left);

// Where `program` is: itself when it has a '/', else looked up in `path` (a PATH). kNotFound when
// there is no such file that may be executed.
Result<std::string> ResolveProgram(const std::string& program, const std::string& path);

// Our environment, "NAME=value".
std::vector<std::string> OwnEnvironment();
// "/usr/bin:/bin" when there is no PATH.
std::string OwnPath();

}  // namespace lanekeeper::handlers
