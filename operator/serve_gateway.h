// The gateway of a process, whole: its parts joined, started and stopped in the right order. For
// lanekeeper-gateway, and for `lanekeeper up`, which has one beside its operator.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "worker-runtime/base/result.h"
#include "worker-runtime/gateway/authorizer.h"
#include "worker-runtime/gateway/gateway.h"
#include "worker-runtime/gateway/http_metrics.h"
#include "worker-runtime/gateway/http_server.h"
#include "worker-runtime/gateway/job_desk.h"
#include "worker-runtime/nats/connection.h"

namespace lanekeeper {

struct GatewayServerOptions {
  gateway::HttpServerOptions http;
  gateway::GatewayOptions gateway;
  gateway::JobDeskOptions desk;
};

// How a gateway connects to NATS: confirmed writes go out together, answers come on few threads.
nats::ConnectOptions GatewayConnection(std::string url, std::string credentials_file = {});

// Reads pools, jobs, workers' reports and decisions from NATS, so it serves whatever operator
// writes there: needs none in its own process.
class GatewayServer {
 public:
  // Both outlive this. Before it: telemetry::SizeThreadPool and gateway::InstallTransport, each
  // once a process and before its first HTTP listener. When this returns, the address is taken and
  // requests are answered; see Ready. kInvalid, naming the address, when it may not be opened.
  static Result<std::unique_ptr<GatewayServer>> Start(GatewayServerOptions options,
                                                      nats::Connection& connection,
                                                      gateway::Authorizer& authorizer);
  virtual ~GatewayServer() = default;  // Stops.

  // Takes no more jobs, see HttpServer::Drain; everything else goes on until Stop.
  virtual void Drain() = 0;
  // Takes no more requests and finishes what is in hand, for options.http.finish_max at most.
  // Idempotent.
  virtual void Stop() = 0;
  // (true, "ok"), or why it cannot take jobs yet: no connection, pools not read.
  virtual std::pair<bool, std::string> Ready() const = 0;
  // For a telemetry server; may outlive this only if it is not collected any more.
  virtual std::shared_ptr<gateway::HttpMetrics> metrics() const = 0;
};

}  // namespace lanekeeper
