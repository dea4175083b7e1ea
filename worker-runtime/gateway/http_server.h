// The HTTP side of the gateway: listens, says who may do what, hands requests to the API's paths.
//
// InstallTransport comes first (http_transport.h). Handlers run on the transport's thread and on
// those of NATS; a few threads of this make the calls that wait.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "worker-runtime/base/result.h"
#include "worker-runtime/gateway/authorizer.h"
#include "worker-runtime/gateway/gateway.h"
#include "worker-runtime/gateway/job_desk.h"
#include "worker-runtime/gateway/pool_directory.h"
#include "worker-runtime/nats/connection.h"

namespace lanekeeper::gateway {

class DecisionLog;  // decisions.h
class HttpMetrics;  // http_metrics.h
class WorkerDesk;   // worker_desk.h

struct HttpServerOptions {
  std::string address = "127.0.0.1:8090";  // A host or an IPv4 address, and a port.
  bool tls = false;                        // With the certificate given to InstallTransport.
  // Origins whose pages may call: "https://console.example.com"; empty: no CORS headers at all.
  std::vector<std::string> cors_origins;
  int slow_threads = 4;
  std::size_t slow_queue_max = 64;
  std::chrono::milliseconds heartbeat{15'000};   // Of event streams.
  std::chrono::milliseconds finish_max{10'000};  // How long Stop waits for what is in hand.
};

// What answers the requests. All of it outlives the server. What is null is not there: no dead
// letters, no workers, no decisions.
struct HttpBackends {
  Gateway& gateway;
  JobDesk& desk;
  const PoolDirectory& pools;
  Authorizer& authorizer;
  HttpMetrics& metrics;
  nats::Connection* connection = nullptr;
  WorkerDesk* workers = nullptr;
  DecisionLog* decisions = nullptr;
};

class HttpServer {
 public:
  // kInvalid, naming the address, when it is taken or may not be opened.
  static Result<std::unique_ptr<HttpServer>> Start(HttpServerOptions options,
                                                   const HttpBackends& backends);
  virtual ~HttpServer() = default;  // Stops.

  // Hands in no more jobs, whether new or dead ones: those requests are answered 503 with
  // Retry-After, everything else as before. Not Ready any more. Idempotent; any thread.
  virtual void Drain() = 0;
  // Takes no more requests, ends streams with a comment and waits with an answer, finishes what is
  // in hand. Idempotent; main thread. Afterwards nothing of this calls the gateway or the desk.
  virtual void Stop() = 0;
  // Whether jobs can be taken, and why not.
  virtual std::pair<bool, std::string> Ready() const = 0;
  // Requests that have no answer yet.
  virtual std::size_t InHand() const = 0;
};

}  // namespace lanekeeper::gateway
