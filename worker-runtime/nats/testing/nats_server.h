// A real nats-server for tests: a child process with JetStream in a directory of its own.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>

#include "worker-runtime/base/result.h"

namespace lanekeeper::nats {

struct NatsServerOptions {
  bool jetstream = true;
  // Where JetStream keeps its data; empty: in the server's own directory.
  std::string store_directory;
  // Added to the configuration file: accounts, authorization, limits.
  std::string config;
};

// Start, Stop, Kill, Pause and Resume from one thread. The destructor ends the child and removes
// the directory; nothing but this child is ever signalled.
class NatsServer {
 public:
  // FindServerBinary.
  static Result<std::string> FindBinary();
  // Starts it on a free port of 127.0.0.1 and waits until it listens.
  static Result<NatsServer> Run(NatsServerOptions options = {});

  NatsServer(NatsServer&& other) noexcept;
  NatsServer& operator=(NatsServer&& other) noexcept;
  ~NatsServer();

  // "nats://127.0.0.1:<port>", the same after Start. `credentials`: "user:password".
  std::string url(const std::string& credentials = "") const;
  int port() const { return port_; }
  pid_t pid() const { return pid_; }

  // Takes effect with the next Start.
  void SetConfig(std::string config) { options_.config = std::move(config); }
  Result<void> Start();  // Again, with the same port and data.
  void Stop();           // SIGTERM and wait.
  void Kill();           // SIGKILL and wait.
  void Pause();          // SIGSTOP and wait: the peer is there and silent.
  void Resume();

 private:
  NatsServer() = default;
  Result<void> Spawn();
  void End(int signal);

  std::string binary_;
  std::string directory_;
  NatsServerOptions options_;
  int port_ = 0;
  pid_t pid_ = -1;
};

}  // namespace lanekeeper::nats
