#include "worker-runtime/nats/testing/nats_server.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <utility>
#include <vector>

#include "worker-runtime/nats/server_binary.h"

extern char** environ;

namespace lanekeeper::nats {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::chrono::seconds kStartDeadline{30};
constexpr std::chrono::seconds kStopDeadline{20};
constexpr milliseconds kLook{10};

std::string ReadText(const fs::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// {"nats":["nats://127.0.0.1:36453"]}, or "tls://…"; 0 while it is not written completely.
int PortFromPortsFile(const std::string& text) {
  const std::size_t at = text.find("://");
  if (at == std::string::npos || text.find('}') == std::string::npos) return 0;
  const std::size_t colon = text.find(':', at + 3);
  return colon == std::string::npos ? 0 : std::atoi(text.c_str() + colon + 1);
}

}  // namespace

Result<std::string> NatsServer::FindBinary() { return FindServerBinary(); }

Result<NatsServer> NatsServer::Run(NatsServerOptions options) {
  auto binary = FindBinary();
  if (!binary) return tl::unexpected(std::move(binary).error());
  std::string directory = (fs::temp_directory_path() / "lanekeeper-nats-XXXXXX").string();
  if (mkdtemp(directory.data()) == nullptr) {
    return Fail(ErrorKind::kRetryable, "making " + directory);
  }
  NatsServer server;
  server.binary_ = *std::move(binary);
  server.directory_ = std::move(directory);
  server.options_ = std::move(options);
  if (auto started = server.Start(); !started) return tl::unexpected(std::move(started).error());
  return server;
}

NatsServer::NatsServer(NatsServer&& other) noexcept { *this = std::move(other); }

NatsServer& NatsServer::operator=(NatsServer&& other) noexcept {
  std::swap(binary_, other.binary_);
  std::swap(directory_, other.directory_);
  std::swap(options_, other.options_);
  std::swap(port_, other.port_);
  std::swap(pid_, other.pid_);
  return *this;
}

NatsServer::~NatsServer() {
  Kill();
  if (directory_.empty()) return;
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
}

std::string NatsServer::url(const std::string& credentials) const {
  return "nats://" + (credentials.empty() ? "" : credentials + "@") +
         "127.0.0.1:" + std::to_string(port_);
}

Result<void> NatsServer::Spawn() {
  const std::string config = directory_ + "/nats.conf";
  {
    std::ofstream file(config);
    file << "host: 127.0.0.1\nport: " << (port_ == 0 ? -1 : port_) << "\n"
         << "ports_file_dir: \"" << directory_ << "\"\n";
    if (options_.jetstream) {
      const std::string store =
          options_.store_directory.empty() ? directory_ + "/store" : options_.store_directory;
      file << "jetstream: {store_dir: \"" << store << "\"}\n";
    }
    file << options_.config << "\n";
  }
  std::vector<std::string> words{binary_, "-c", config, "-l", directory_ + "/log"};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, (directory_ + "/stderr").c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC, 0600);
  // Its own group and a clean signal mask: what stops the test does not have to stop it.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  const int error =
      posix_spawn(&pid_, binary_.c_str(), &actions, &attributes, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    pid_ = -1;
    return Fail(ErrorKind::kRetryable, "starting " + binary_);
  }
  return {};
}

Result<void> NatsServer::Start() {
  if (pid_ > 0) return {};
  if (auto spawned = Spawn(); !spawned) return spawned;
  const fs::path ports = fs::path(directory_) / (fs::path(binary_).filename().string() + "_" +
                                                 std::to_string(pid_) + ".ports");
  const auto deadline = steady_clock::now() + kStartDeadline;
  while (steady_clock::now() < deadline) {
    if (const int port = PortFromPortsFile(ReadText(ports)); port > 0) {
      port_ = port;
      return {};
    }
    if (waitpid(pid_, nullptr, WNOHANG) == pid_) {
      pid_ = -1;
      break;
    }
    std::this_thread::sleep_for(kLook);
  }
  Kill();
  return Fail(ErrorKind::kRetryable,
              "nats-server did not start: " + ReadText(fs::path(directory_) / "stderr") +
                  ReadText(fs::path(directory_) / "log"));
}

void NatsServer::End(int signal) {
  if (pid_ <= 0) return;
  kill(pid_, signal);
  if (signal != SIGKILL) {
    kill(pid_, SIGCONT);
    const auto deadline = steady_clock::now() + kStopDeadline;
    while (steady_clock::now() < deadline) {
      if (waitpid(pid_, nullptr, WNOHANG) == pid_) {
        pid_ = -1;
        return;
      }
      std::this_thread::sleep_for(kLook);
    }
    kill(pid_, SIGKILL);
  }
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void NatsServer::Stop() { End(SIGTERM); }
void NatsServer::Kill() { End(SIGKILL); }
void NatsServer::Pause() {
  if (pid_ <= 0) return;
  kill(pid_, SIGSTOP);
  // A thread of it on another core goes on for a moment, and may answer what is sent meanwhile.
  siginfo_t stopped{};
  waitid(P_PID, static_cast<id_t>(pid_), &stopped, WSTOPPED | WEXITED | WNOWAIT);
}
void NatsServer::Resume() {
  if (pid_ > 0) kill(pid_, SIGCONT);
}

}  // namespace lanekeeper::nats
