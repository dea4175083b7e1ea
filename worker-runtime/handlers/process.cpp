#include "worker-runtime/handlers/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "worker-runtime/base/stop_signal.h"

namespace lanekeeper::handlers {
namespace {

constexpr int kControlFd = STDERR_FILENO + 1;
// Without a pidfd (some sandboxes have none) the end of the child has to be asked for.
constexpr std::chrono::milliseconds kExitPollInterval{10};

std::string ErrnoText(int error) { return std::generic_category().message(error); }

struct Ends {
  Fd ours;
  Fd theirs;
};

enum class Direction { kToChild, kFromChild, kBoth };

// Both ends above kControlFd, also in a process whose standard streams are closed: the child's dup2
// would overwrite them otherwise.
Result<Ends> OpenEnds(Direction direction) {
  std::array<int, 2> fds{};
  const int opened = direction == Direction::kBoth
                         ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data())
                         : pipe2(fds.data(), O_CLOEXEC);
  if (opened != 0) return Fail(ErrorKind::kRetryable, "opening a pipe: " + ErrnoText(errno));
  if (direction == Direction::kToChild) std::swap(fds[0], fds[1]);
  Ends ends{Fd(fds[0]), Fd(fds[1])};
  for (Fd* end : {&ends.ours, &ends.theirs}) {
    if (end->get() > kControlFd) continue;
    *end = Fd(fcntl(end->get(), F_DUPFD_CLOEXEC, kControlFd + 1));
    if (!end->open()) return Fail(ErrorKind::kRetryable, "moving a pipe: " + ErrnoText(errno));
  }
  fcntl(ends.ours.get(), F_SETFL, O_NONBLOCK);
  return ends;
}

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (const std::string& text : strings) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// Everything the child needs between fork and exec, where it is too late to allocate.
struct Launch {
  const char* program;
  char* const* arguments;
  char* const* environment;
  int input;
  int output;
  int error;
  int control;  // -1: none.
  int failure;
  bool leads_group;
  pid_t parent;
};

// Only what is safe in the copy of a process with many threads.
[[noreturn]] void BecomeProgram(const Launch& launch) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != launch.parent) _exit(127);  // It died before the line above.
  if (launch.leads_group) setpgid(0, 0);
  UnblockStopSignals();
  if (launch.input != STDIN_FILENO) dup2(launch.input, STDIN_FILENO);
  dup2(launch.output, STDOUT_FILENO);
  dup2(launch.error, STDERR_FILENO);
  int kept = kControlFd;
  if (launch.control >= 0) dup2(launch.control, kept++);
  // `kept` may be a number that is in use; all that is needed from here on lies below it.
  if (launch.failure != kept) dup2(launch.failure, kept);
  fcntl(kept, F_SETFD, FD_CLOEXEC);
  // Connections of the worker do not live on in its children.
  syscall(SYS_close_range, static_cast<unsigned>(kept + 1), ~0U, 0U);
  execve(launch.program, launch.arguments, launch.environment);
  const int error = errno;
  const ssize_t told = write(kept, &error, sizeof error);
  _exit(told == sizeof error ? 127 : 126);
}

// Ends with the exec, which closes the other side, or with the number of its error.
int ReadExecError(const Fd& failure) {
  int error = 0;
  while (true) {
    pollfd waiting{failure.get(), POLLIN, 0};
    poll(&waiting, 1, -1);
    const ssize_t got = read(failure.get(), &error, sizeof error);
    if (got >= 0) return got == sizeof error ? error : 0;
    if (errno != EINTR && errno != EAGAIN) return 0;
  }
}

bool IsExecutable(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         access(path.c_str(), X_OK) == 0;
}

}  // namespace

void Fd::Close() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

std::string Describe(const ExitStatus& status) {
  if (status.signal == 0) return "exit code " + std::to_string(status.code);
  std::string text = "killed by signal " + std::to_string(status.signal);
  if (const char* name = sigdescr_np(status.signal); name != nullptr) {
    text += " (" + std::string(name) + ")";
  }
  return text;
}

std::string ErrorClassOf(const ExitStatus& status) {
  return status.signal == 0 ? "exit " + std::to_string(status.code)
                            : "signal " + std::to_string(status.signal);
}

Process::Process(pid_t pid, bool leads_group)
    : pid_(pid),
      leads_group_(leads_group),
      pidfd_(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))) {}

Process::Process(Process&& other) noexcept
    : input(std::move(other.input)),
      output(std::move(other.output)),
      error(std::move(other.error)),
      control(std::move(other.control)),
      pid_(std::exchange(other.pid_, -1)),
      leads_group_(other.leads_group_),
      pidfd_(std::move(other.pidfd_)) {}

Process::~Process() {
  if (pid_ >= 0) Reap();
}

Result<Process> Process::Start(const Command& command, Wiring wiring) {
  const std::string what = "starting " + command.program;
  Result<Ends> input = wiring.our_input ? Ends{} : OpenEnds(Direction::kToChild);
  if (!input) return Wrap(std::move(input).error(), what);
  Result<Ends> output = OpenEnds(Direction::kFromChild);
  if (!output) return Wrap(std::move(output).error(), what);
  Result<Ends> failure = OpenEnds(Direction::kFromChild);
  if (!failure) return Wrap(std::move(failure).error(), what);
  Result<Ends> error = wiring.separate_error ? OpenEnds(Direction::kFromChild) : Ends{};
  if (!error) return Wrap(std::move(error).error(), what);
  Result<Ends> control = wiring.control ? OpenEnds(Direction::kBoth) : Ends{};
  if (!control) return Wrap(std::move(control).error(), what);
  const std::vector<char*> arguments = Pointers(command.arguments);
  const std::vector<char*> environment = Pointers(command.environment);
  const Launch launch{.program = command.program.c_str(),
                      .arguments = arguments.data(),
                      .environment = environment.data(),
                      .input = wiring.our_input ? STDIN_FILENO : input->theirs.get(),
                      .output = output->theirs.get(),
                      .error = wiring.separate_error ? error->theirs.get() : output->theirs.get(),
                      .control = control->theirs.get(),
                      .failure = failure->theirs.get(),
                      .leads_group = !wiring.our_input,
                      .parent = getpid()};

  const pid_t pid = fork();
  if (pid < 0) return Fail(ErrorKind::kRetryable, what + ": " + ErrnoText(errno));
  if (pid == 0) BecomeProgram(launch);
  for (Ends* ends : {&*input, &*output, &*failure, &*error, &*control}) ends->theirs.Close();
  if (const int number = ReadExecError(failure->ours); number != 0) {
    while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    return Fail(ErrorKind::kInvalid, "executing " + command.program + ": " + ErrnoText(number));
  }
  Process process(pid, launch.leads_group);
  process.input = std::move(input->ours);
  process.output = std::move(output->ours);
  process.error = std::move(error->ours);
  process.control = std::move(control->ours);
  return process;
}

bool Process::Exited() const {
  siginfo_t state{};
  return waitid(P_PID, static_cast<id_t>(pid_), &state, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         state.si_pid == pid_;
}

void Process::Signal(int signal) { kill(leads_group_ ? -pid_ : pid_, signal); }
void Process::SignalLeader(int signal) { kill(pid_, signal); }

void Process::Wait(bool write_input, bool write_control) const {
  // A negative descriptor is skipped by poll.
  const auto control_events = static_cast<short>(write_control ? POLLIN | POLLOUT : POLLIN);
  std::array<pollfd, 5> waiting{pollfd{pidfd_.get(), POLLIN, 0},
                                pollfd{write_input ? input.get() : -1, POLLOUT, 0},
                                pollfd{output.get(), POLLIN, 0}, pollfd{error.get(), POLLIN, 0},
                                pollfd{control.get(), control_events, 0}};
  const auto timeout = pidfd_.open() ? kStopPollInterval : kExitPollInterval;
  poll(waiting.data(), waiting.size(), static_cast<int>(timeout.count()));
}

ExitStatus Process::Reap() {
  // It is not reaped yet, so its number cannot belong to anybody else: whatever it left running in
  // its group ends here.
  Signal(SIGKILL);
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  if (WIFSIGNALED(status)) return {.signal = WTERMSIG(status)};
  return {.code = WEXITSTATUS(status)};
}

std::string_view ReadSome(Fd& fd, ReadBuffer& buffer) {
  while (fd.open()) {
    const ssize_t got = read(fd.get(), buffer.data(), buffer.size());
    if (got > 0) return {buffer.data(), static_cast<std::size_t>(got)};
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) break;
    fd.Close();
  }
  return {};
}

bool WriteSome(const Fd& fd, std::string_view& left) {
  if (left.empty()) return true;
  // MSG_NOSIGNAL does not exist for pipes: a worker ignores SIGPIPE (StopSignal).
  const ssize_t written = write(fd.get(), left.data(), left.size());
  if (written < 0) return errno == EAGAIN || errno == EINTR;
  left.remove_prefix(static_cast<std::size_t>(written));
  return true;
}

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

std::vector<std::string> OwnEnvironment() {
  std::vector<std::string> variables;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    variables.emplace_back(*variable);
  }
  return variables;
}

std::string OwnPath() {
  const char* path = std::getenv("PATH");
  return path == nullptr ? "/usr/bin:/bin" : path;
}

}  // namespace lanekeeper::handlers
