// The gateway of `lanekeeper up`, on 127.0.0.1 and open to everybody on this machine; its address
// stands in a file of the state folder while it serves, for the other commands.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "operator/serve_gateway.h"
#include "worker-runtime/base/result.h"
#include "worker-runtime/gateway/authorizer.h"
#include "worker-runtime/nats/connection.h"

namespace lanekeeper::up {

// As --gateway-port asks: the port it names, or with 0 a free one; without it kGatewayPort where
// that is free, else a free one. kForbidden, naming the flag.
inline constexpr int kGatewayPort = 8090;
Result<int> FindGatewayPort(std::optional<int> wanted);

// One thread. Once a process: the HTTP transport is installed by it.
class UpGateway {
 public:
  // `connection` outlives this. `file`: where the URL is written.
  UpGateway(nats::Connection& connection, int port, std::string file);
  ~UpGateway() { Close(); }
  UpGateway(const UpGateway&) = delete;
  UpGateway& operator=(const UpGateway&) = delete;

  // Takes the port. kForbidden, naming the flag: somebody else took it meanwhile.
  Result<void> Open();
  // It has read the pools. Only after Open.
  bool Ready() const { return server_->Ready().first; }
  // From now on others find it.
  Result<void> Announce();
  // Takes no more jobs: 503, with Retry-After. It is still found, and read and watched.
  void Drain();
  // No longer found, takes nothing any more, finishes what is in hand. Idempotent.
  void Close();

  std::string url() const;

 private:
  nats::Connection& connection_;
  const int port_;
  const std::string file_;
  std::unique_ptr<gateway::Authorizer> authorizer_;
  std::unique_ptr<GatewayServer> server_;
};

}  // namespace lanekeeper::up
