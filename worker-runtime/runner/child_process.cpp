#include "worker-runtime/runner/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>
#include <system_error>
#include <utility>

#include "worker-runtime/base/clock.h"
#include "worker-runtime/base/stop_signal.h"

namespace lanekeeper::runner {
namespace {

constexpr std::chrono::milliseconds kStopPollInterval{50};
// Without a pidfd (some sandboxes have none) the end of the child has to be asked for.
constexpr std::chrono::milliseconds kExitPollInterval{10};

std::string ErrnoText(int error) { return std::generic_category().message(error); }

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
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

struct Pipe {
  Fd read;
  Fd write;
};

// Both ends above 2, also in a process whose standard streams are closed: the child's dup2 below
// would overwrite them otherwise.
Result<Pipe> OpenPipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    return Fail(ErrorKind::kRetryable, "opening a pipe: " + ErrnoText(errno));
  }
  Pipe made{Fd(ends[0]), Fd(ends[1])};
  for (Fd* end : {&made.read, &made.write}) {
    if (end->get() > STDERR_FILENO) continue;
    *end = Fd(fcntl(end->get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
    if (!end->open()) return Fail(ErrorKind::kRetryable, "moving a pipe: " + ErrnoText(errno));
  }
  return made;
}

void SetNonBlocking(const Fd& fd) { fcntl(fd.get(), F_SETFL, O_NONBLOCK); }

// Cuts a stream of bytes into lines and keeps the last few.
class LineSplitter {
 public:
  explicit LineSplitter(const std::function<void(std::string_view)>& on_line) : on_line_(on_line) {}

  void Append(std::string_view bytes) {
    while (!bytes.empty()) {
      const std::size_t end = bytes.find('\n');
      const std::size_t room = kChildLineBytesMax - line_.size();
      const std::size_t take = std::min({end, room, bytes.size()});
      line_.append(bytes.substr(0, take));
      bytes.remove_prefix(take);
      if (take == end) {
        bytes.remove_prefix(1);
        Emit();
      } else if (line_.size() == kChildLineBytesMax) {
        Emit();
      }
    }
  }
  std::vector<std::string> Finish() {
    if (!line_.empty()) Emit();
    return std::move(last_);
  }

 private:
  void Emit() {
    if (on_line_) on_line_(line_);
    if (!line_.empty()) {
      if (last_.size() == kChildLastLinesMax) last_.erase(last_.begin());
      last_.push_back(line_.substr(0, kChildLastLineBytesMax));
    }
    line_.clear();
  }

  const std::function<void(std::string_view)>& on_line_;
  std::string line_;
  std::vector<std::string> last_;
};

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (const std::string& text : strings) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// Between fork and exec: only what is safe in the copy of a process with many threads.
[[noreturn]] void BecomeProgram(const char* program, char* const* arguments, char* const* environ,
                                int input, int output, int failure, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);  // It died before the line above.
  setpgid(0, 0);
  UnblockStopSignals();
  dup2(input, STDIN_FILENO);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  // Connections of the worker do not live on in its children.
  const int kept = STDERR_FILENO + 1;
  if (failure != kept) failure = dup2(failure, kept);
  fcntl(failure, F_SETFD, FD_CLOEXEC);
  syscall(SYS_close_range, static_cast<unsigned>(kept + 1), ~0U, 0U);
  execve(program, arguments, environ);
  const int error = errno;
  const ssize_t told = write(failure, &error, sizeof error);
  _exit(told == sizeof error ? 127 : 126);
}

// One running child, from the end of fork to the end of RunChild.
class Child {
 public:
  Child(pid_t pid, Fd input, Fd output, std::string_view bytes, const ChildCallbacks& callbacks)
      : pid_(pid),
        pidfd_(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))),
        input_(std::move(input)),
        output_(std::move(output)),
        left_(bytes),
        callbacks_(callbacks),
        lines_(callbacks.on_line) {
    SetNonBlocking(input_);
    SetNonBlocking(output_);
    if (left_.empty()) input_.Close();
  }

  ChildExit Run() {
    while (!Exited()) {
      Poll();
      if (input_.open()) WriteSome();
      if (output_.open()) ReadSome();
      StopIfAsked();
    }
    // The leader is not reaped yet, so its group's number cannot belong to anybody else: whatever
    // it left running ends here.
    kill(-pid_, SIGKILL);
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    while (output_.open() && ReadSome()) {
    }
    ChildExit ended{.stopped = kill_at_.has_value(), .last_lines = lines_.Finish()};
    if (WIFSIGNALED(status)) {
      ended.signal = WTERMSIG(status);
    } else {
      ended.code = WEXITSTATUS(status);
    }
    return ended;
  }

 private:
  bool Exited() const {
    siginfo_t state{};
    return waitid(P_PID, static_cast<id_t>(pid_), &state, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           state.si_pid == pid_;
  }

  void Poll() {
    // A negative descriptor is skipped by poll.
    std::array<pollfd, 3> waiting{pollfd{pidfd_.get(), POLLIN, 0}, pollfd{input_.get(), POLLOUT, 0},
                                  pollfd{output_.get(), POLLIN, 0}};
    const auto timeout = pidfd_.open() ? kStopPollInterval : kExitPollInterval;
    poll(waiting.data(), waiting.size(), static_cast<int>(timeout.count()));
  }

  void WriteSome() {
    const ssize_t written = write(input_.get(), left_.data(), left_.size());
    if (written < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (written < 0) return input_.Close();  // EPIPE: it does not want to know the rest.
    left_.remove_prefix(static_cast<std::size_t>(written));
    if (left_.empty()) input_.Close();
  }

  // False when nothing is there to be read now.
  bool ReadSome() {
    std::array<char, 16384> buffer;
    const ssize_t got = read(output_.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) return true;
    if (got < 0 && errno == EAGAIN) return false;
    if (got <= 0) {
      output_.Close();
      return false;
    }
    lines_.Append({buffer.data(), static_cast<std::size_t>(got)});
    return true;
  }

  void StopIfAsked() {
    if (!kill_at_ && callbacks_.stop_requested && callbacks_.stop_requested()) {
      kill(-pid_, SIGTERM);
      kill_at_ = SystemClock().Now() + callbacks_.term_grace;
    }
    if (kill_at_ && SystemClock().Now() >= *kill_at_) kill(-pid_, SIGKILL);
  }

  pid_t pid_;
  Fd pidfd_;
  Fd input_;
  Fd output_;
  std::string_view left_;  // Of the input.
  const ChildCallbacks& callbacks_;
  LineSplitter lines_;
  std::optional<MonotonicTime> kill_at_;
};

bool IsExecutable(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         access(path.c_str(), X_OK) == 0;
}

}  // namespace

Result<std::string> ResolveProgram(const std::string& program, const std::string& path) {
  const auto missing = [&] {
    return Fail(ErrorKind::kNotFound, "there is no program \"" + program + "\" to execute");
  };
  if (program.empty()) return missing();
  if (program.find('/') != std::string::npos) {
    if (!IsExecutable(program)) return missing();
    return program;
  }
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find(':', begin), path.size());
    const std::string folder = path.substr(begin, end - begin);
    const std::string candidate = (folder.empty() ? "." : folder) + "/" + program;
    if (IsExecutable(candidate)) return candidate;
    begin = end + 1;
  }
  return missing();
}

Result<ChildExit> RunChild(const ChildCommand& command, std::string_view input,
                           const ChildCallbacks& callbacks) {
  Result<Pipe> to_child = OpenPipe();
  if (!to_child) return Wrap(std::move(to_child).error(), "starting " + command.program);
  Result<Pipe> from_child = OpenPipe();
  if (!from_child) return Wrap(std::move(from_child).error(), "starting " + command.program);
  Result<Pipe> failure = OpenPipe();
  if (!failure) return Wrap(std::move(failure).error(), "starting " + command.program);
  // After fork it is too late to allocate.
  const std::vector<char*> arguments = Pointers(command.arguments);
  const std::vector<char*> environment = Pointers(command.environment);

  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) {
    return Fail(ErrorKind::kRetryable, "starting " + command.program + ": " + ErrnoText(errno));
  }
  if (pid == 0) {
    BecomeProgram(command.program.c_str(), arguments.data(), environment.data(),
                  to_child->read.get(), from_child->write.get(), failure->write.get(), parent);
  }
  to_child->read.Close();
  from_child->write.Close();
  failure->write.Close();
  // Ends with the exec, which closes the other side, or with the number of its error.
  int error = 0;
  ssize_t got = 0;
  while ((got = read(failure->read.get(), &error, sizeof error)) < 0 && errno == EINTR) {
  }
  if (got == sizeof error) {
    while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    return Fail(ErrorKind::kInvalid, "executing " + command.program + ": " + ErrnoText(error));
  }
  return Child(pid, std::move(to_child->write), std::move(from_child->read), input, callbacks)
      .Run();
}

}  // namespace lanekeeper::runner
