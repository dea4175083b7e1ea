#include "operator/local/local_nats.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "operator/local/state_folder.h"
#include "worker-runtime/base/backoff.h"
#include "worker-runtime/base/clock.h"
#include "worker-runtime/base/log.h"

namespace lanekeeper {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr std::chrono::seconds kStartDeadline{30};
constexpr std::chrono::seconds kStopDeadline{10};
constexpr milliseconds kStartLook{10};
constexpr Backoff kRestart{milliseconds(200), std::chrono::seconds(10)};

// {"nats":["nats://127.0.0.1:36453"]}; 0 while it is not written completely.
int PortFromPortsFile(const std::string& text) {
  const std::size_t at = text.find("nats://");
  if (at == std::string::npos || text.find('}') == std::string::npos) return 0;
  const std::size_t colon = text.find(':', at + 7);
  return colon == std::string::npos ? 0 : std::atoi(text.c_str() + colon + 1);
}

std::string Quoted(const std::string& path) {
  std::string quoted = "\"";
  for (const char character : path) {
    if (character == '"' || character == '\\') quoted += '\\';
    quoted += character;
  }
  return quoted + '"';
}

void RemovePortsFiles(const std::string& folder) {
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored)) {
    if (entry.path().extension() == ".ports") fs::remove(entry.path(), ignored);
  }
}

int PortFromFolder(const std::string& folder) {
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored)) {
    if (entry.path().extension() != ".ports") continue;
    return PortFromPortsFile(ReadWholeFile(entry.path().string()).value_or(""));
  }
  return 0;
}

}  // namespace

Result<std::unique_ptr<LocalNats>> LocalNats::Start(LocalNatsOptions options) {
  std::unique_ptr<LocalNats> nats(new LocalNats(std::move(options)));
  LocalNats* self = nats.get();
  nats->thread_ = std::thread([self] { self->Run(); });
  std::optional<Result<void>> started;
  {
    std::unique_lock lock(nats->mutex_);
    nats->changed_.wait(lock, [&] { return nats->first_start_.has_value(); });
    started = nats->first_start_;
  }
  if (*started) return nats;
  nats->Stop();
  return tl::unexpected<Error>(std::move(*started).error());
}

void LocalNats::Stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

std::string LocalNats::url() const { return "nats://127.0.0.1:" + std::to_string(port_); }

bool LocalNats::Stopping() {
  const std::lock_guard lock(mutex_);
  return stopping_;
}

bool LocalNats::Rest(milliseconds time) {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, time, [&] { return stopping_; });
}

Result<void> LocalNats::WriteConfiguration() const {
  const int port = port_ != 0 ? port_ : options_.port != 0 ? options_.port : -1;
  const std::string& folder = options_.folder;
  // Its log is kept small: two files of a megabyte.
  return ReplaceFile(folder + "/nats.conf",
                     "host: 127.0.0.1\nport: " + std::to_string(port) + "\nports_file_dir: " +
                         Quoted(folder) + "\nlog_file: " + Quoted(folder + "/nats.log") +
                         "\nlogfile_size_limit: 1MB\nlogfile_max_num: 2\njetstream: {store_dir: " +
                         Quoted(folder + "/store") + "}\n");
}

Result<handlers::Process> LocalNats::StartServer() {
  if (Result<void> written = WriteConfiguration(); !written) {
    return tl::unexpected<Error>(std::move(written).error());
  }
  RemovePortsFiles(options_.folder);
  return handlers::Process::Start(
      {.program = options_.binary,
       .arguments = {"nats-server", "-c", options_.folder + "/nats.conf"},
       .environment = handlers::OwnEnvironment()},
      {});
}

// The server says why it does not start on its output, or in its log.
std::string LocalNats::LastWords() const {
  const std::string text = ReadWholeFile(options_.folder + "/nats.log").value_or("");
  constexpr std::string_view kFatal = "[FTL] ";
  const std::size_t at = text.rfind(kFatal);
  if (at == std::string::npos) return "see " + options_.folder + "/nats.log";
  const std::size_t from = at + kFatal.size();
  return text.substr(from, text.find('\n', from) - from);
}

Result<void> LocalNats::AwaitListening(handlers::Process& server) {
  const SystemClock clock;
  const MonotonicTime deadline = clock.Now() + kStartDeadline;
  handlers::ReadBuffer buffer;
  std::string said;
  while (clock.Now() < deadline) {
    if (const int port = PortFromFolder(options_.folder); port > 0) {
      if (port_ == 0) port_ = port;  // Read by others from here on.
      return {};
    }
    const bool exited = server.Exited();
    constexpr std::size_t kSaidMax = 4096;
    for (std::string_view bytes = handlers::ReadSome(server.output, buffer); !bytes.empty();
         bytes = handlers::ReadSome(server.output, buffer)) {
      said += bytes.substr(0, kSaidMax - std::min(kSaidMax, said.size()));
    }
    if (exited) {
      while (!said.empty() && said.back() == '\n') said.pop_back();
      return Fail(ErrorKind::kRetryable, "nats-server ended at its start (" +
                                             Describe(server.Reap()) +
                                             "): " + (said.empty() ? LastWords() : said));
    }
    if (!Rest(kStartLook)) break;
  }
  return Fail(ErrorKind::kRetryable, "nats-server does not listen: " + LastWords());
}

bool LocalNats::Keep(handlers::Process& server) {
  handlers::ReadBuffer buffer;
  while (!server.Exited()) {
    while (!handlers::ReadSome(server.output, buffer).empty()) {
    }
    if (!Rest(milliseconds(200))) {
      EndServer(server);
      return false;
    }
  }
  log::Warning("local", "nats-server died", {{"how", Describe(server.Reap())}});
  return true;
}

void LocalNats::EndServer(handlers::Process& server) {
  const SystemClock clock;
  const MonotonicTime deadline = clock.Now() + kStopDeadline;
  server.SignalLeader(SIGTERM);
  while (!server.Exited() && clock.Now() < deadline) server.Wait(false, false);
  server.Reap();
}

// The server dies with the thread that started it.
void LocalNats::Run() {
  int failures = 0;
  while (!Stopping()) {
    const SystemClock clock;
    const MonotonicTime began = clock.Now();
    Result<handlers::Process> server = StartServer();
    Result<void> listening =
        server ? AwaitListening(*server) : tl::unexpected<Error>(server.error());
    bool is_first = false;
    {
      const std::lock_guard lock(mutex_);
      is_first = !first_start_;
      if (is_first) first_start_ = listening;
    }
    changed_.notify_all();
    if (is_first && !listening) return;
    if (listening) {
      if (!Keep(*server)) return;
      if (clock.Now() - began > kRestart.max) failures = 0;
    } else {
      log::Warning("local", "nats-server not started", {{"error", listening.error().message}});
    }
    if (!Rest(kRestart.After(++failures))) return;
  }
}

}  // namespace lanekeeper
