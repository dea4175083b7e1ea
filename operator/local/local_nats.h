// The nats-server of local mode: a child process with JetStream, whose data outlives it.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "worker-runtime/base/result.h"
#include "worker-runtime/handlers/process.h"

namespace lanekeeper {

struct LocalNatsOptions {
  std::string folder;  // Exists; nobody else uses it (StateFolder).
  std::string binary;  // FindServerBinary.
  int port = 0;        // On 127.0.0.1; 0: a free one.
};

// Start and Stop by one thread. A thread of its own keeps the server: it is started again when it
// dies, with the same port and data, and dies with this process.
class LocalNats {
 public:
  // Waits until it listens. The message of an error has what the server said.
  static Result<std::unique_ptr<LocalNats>> Start(LocalNatsOptions options);
  ~LocalNats() { Stop(); }
  LocalNats(const LocalNats&) = delete;
  LocalNats& operator=(const LocalNats&) = delete;

  // SIGTERM, and SIGKILL if that does not help; waits. Idempotent.
  void Stop();

  // "nats://127.0.0.1:<port>", the same for good.
  std::string url() const;
  int port() const { return port_; }

 private:
  explicit LocalNats(LocalNatsOptions options) : options_(std::move(options)) {}

  void Run();
  Result<void> WriteConfiguration() const;
  Result<handlers::Process> StartServer();
  // Until it listens or has ended.
  Result<void> AwaitListening(handlers::Process& server);
  // Until it has ended, or Stop was called. True: it is to be started again.
  bool Keep(handlers::Process& server);
  void EndServer(handlers::Process& server);
  bool Stopping();
  // False: Stop was called meanwhile.
  bool Rest(std::chrono::milliseconds time);
  std::string LastWords() const;

  const LocalNatsOptions options_;
  int port_ = 0;  // Set before Start returns.

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::optional<Result<void>> first_start_;  // How it went.
  std::thread thread_;
};

}  // namespace lanekeeper
