#include "e2e/bench/child.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <utility>

namespace lanekeeper::e2e {
namespace {

constexpr std::chrono::milliseconds kLook{2};

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& text : strings) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

Child::Child(std::vector<std::string> argv, const Environment& environment,
             const std::string& log) {
  const char* path = std::getenv("PATH");
  std::vector<std::string> variables{"PATH=" + std::string(path == nullptr ? "" : path)};
  for (const auto& [name, value] : environment) variables.push_back(name + "=" + value);
  const std::vector<char*> arguments = Pointers(argv);
  const std::vector<char*> variables_of_child = Pointers(variables);
  pid_ = fork();
  if (pid_ < 0) throw std::runtime_error("starting " + argv[0]);
  if (pid_ > 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int output =
      log.empty() ? STDERR_FILENO : open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  execvpe(arguments[0], arguments.data(), variables_of_child.data());
  _exit(127);
}

Child::~Child() {
  Signal(SIGKILL);
  if (pid_ > 0) waitpid(pid_, nullptr, 0);
}

Child::Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}

Child& Child::operator=(Child&& other) noexcept {
  std::swap(pid_, other.pid_);
  return *this;
}

void Child::Signal(int signal) const {
  if (pid_ > 0) kill(pid_, signal);
}

int Child::Wait(std::chrono::milliseconds deadline) {
  const auto until = std::chrono::steady_clock::now() + deadline;
  int status = 0;
  while (waitpid(pid_, &status, WNOHANG) != pid_) {
    if (std::chrono::steady_clock::now() > until) Signal(SIGKILL);
    std::this_thread::sleep_for(kLook);
  }
  pid_ = -1;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

std::string ProgramBesideThis(const std::string& name) {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / name;
}

double OneProcessMiB(pid_t pid, const std::string& field) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(field + ":", 0) == 0) return std::atof(line.c_str() + field.size() + 1) / 1024;
  }
  return std::nan("");
}

std::vector<std::pair<pid_t, std::string>> ProcessTree(pid_t pid) {
  const std::string own = "/proc/" + std::to_string(pid);
  std::string name;
  if (!std::getline(std::ifstream(own + "/comm"), name)) return {};
  std::vector<std::pair<pid_t, std::string>> tree{{pid, name}};
  std::error_code gone;
  for (const auto& task : std::filesystem::directory_iterator(own + "/task", gone)) {
    std::ifstream children(task.path() / "children");
    for (pid_t child = 0; children >> child;) {
      for (auto& found : ProcessTree(child)) tree.push_back(std::move(found));
    }
  }
  return tree;
}

double CpuSeconds(pid_t pid) {
  std::string stat;
  std::getline(std::ifstream("/proc/" + std::to_string(pid) + "/stat"), stat);
  if (stat.empty()) return std::nan("");
  std::istringstream fields(stat.substr(std::min(stat.size(), stat.rfind(')') + 2)));
  std::string field;
  double ticks = 0;
  for (int n = 3; n <= 15 && fields >> field; ++n) {
    if (n == 14 || n == 15) ticks += std::atof(field.c_str());
  }
  return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

double ProcessMiB(pid_t pid, const std::string& field) {
  double sum = OneProcessMiB(pid, field);
  const std::string own = "/proc/" + std::to_string(pid);
  std::ifstream children(own + "/task/" + std::to_string(pid) + "/children");
  for (pid_t child = 0; children >> child;) sum += OneProcessMiB(child, field);
  return sum;
}

int FreePort() {
  // Below those that the kernel hands out by itself: nobody who connects, or listens on any port,
  // gets it before it is used, or while who listens on it is started anew.
  std::uniform_int_distribution<int> ports(12'000, 29'999);
  std::random_device random;
  constexpr int kTriesMax = 1000;
  for (int tries = 0; tries < kTriesMax; ++tries) {
    const int port = ports(random);
    const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    const bool free =
        bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 &&
        listen(descriptor, 1) == 0;
    close(descriptor);
    if (free) return port;
  }
  throw std::runtime_error("finding a free port of 127.0.0.1");
}

}  // namespace lanekeeper::e2e
