#include "operator/serve_gateway.h"

#include <utility>

#include "operator/jetstream/ledger_decisions.h"
#include "worker-runtime/gateway/http_transport.h"
#include "worker-runtime/gateway/pool_directory.h"
#include "worker-runtime/gateway/worker_desk.h"

namespace lanekeeper {
namespace {

using gateway::HttpMetrics;
using gateway::TransportCounts;

void AddTransportMetrics(HttpMetrics& metrics) {
  const auto count = [&metrics](const char* name, const char* help,
                                std::int64_t TransportCounts::*member) {
    metrics.AddCounter(std::string("lanekeeper_gateway_") + name, help,
                       [member] { return static_cast<double>(gateway::CountTransport().*member); });
  };
  metrics.AddGauge("lanekeeper_gateway_connections", "Open connections.",
                   [] { return static_cast<double>(gateway::CountTransport().connections); });
  count("connections_refused_total", "Closed at once: there were too many.",
        &TransportCounts::connections_refused);
  count("header_too_large_total", "Answered 431.", &TransportCounts::header_too_large);
  count("body_too_large_total", "Answered 413.", &TransportCounts::body_too_large);
  count("timeouts_total", "Clients that were too slow.", &TransportCounts::timeouts);
  count("malformed_total", "Requests that were no HTTP.", &TransportCounts::malformed);
}

void AddPartMetrics(HttpMetrics& metrics, gateway::Gateway& gateway, const gateway::JobDesk& desk) {
  metrics.AddGauge("lanekeeper_gateway_in_hand", "Submissions that are not answered yet.",
                   [&gateway] { return static_cast<double>(gateway.Counts().in_hand); });
  metrics.AddCounter("lanekeeper_gateway_published_again_total",
                     "Publishes whose confirmation was lost and that were made again.",
                     [&gateway] { return static_cast<double>(gateway.Counts().published_again); });
  metrics.AddCounter("lanekeeper_gateway_keys_completed_total",
                     "Idempotency keys that a gateway which died had left half done.",
                     [&gateway] { return static_cast<double>(gateway.Counts().keys_completed); });
  metrics.AddGauge("lanekeeper_gateway_watchers", "Jobs being watched by clients.",
                   [&desk] { return static_cast<double>(desk.Watches()); });
}

// Members in the order of Start; the last one goes first.
class Joined final : public GatewayServer {
 public:
  Result<void> Open(GatewayServerOptions options, nats::Connection& connection,
                    gateway::Authorizer& authorizer) {
    pools_ = gateway::StartPoolDirectory(connection);
    auto workers = gateway::WorkerDesk::Start(connection);
    if (!workers) return tl::unexpected(std::move(workers).error());
    workers_ = *std::move(workers);
    gateway_ =
        gateway::Gateway::Start(connection, *pools_, workers_.get(), std::move(options.gateway));
    desk_ = gateway::JobDesk::Start(connection, *pools_, options.desk);
    AddTransportMetrics(*metrics_);
    AddPartMetrics(*metrics_, *gateway_, *desk_);
    decisions_ = MakeDecisionLog(connection);
    auto server =
        gateway::HttpServer::Start(std::move(options.http), {.gateway = *gateway_,
                                                             .desk = *desk_,
                                                             .pools = *pools_,
                                                             .authorizer = authorizer,
                                                             .metrics = *metrics_,
                                                             .connection = &connection,
                                                             .workers = workers_.get(),
                                                             .decisions = decisions_.get()});
    if (!server) return tl::unexpected(std::move(server).error());
    server_ = *std::move(server);
    return {};
  }

  void Drain() override { server_->Drain(); }
  void Stop() override { server_->Stop(); }
  std::pair<bool, std::string> Ready() const override { return server_->Ready(); }
  std::shared_ptr<HttpMetrics> metrics() const override { return metrics_; }

 private:
  const std::shared_ptr<HttpMetrics> metrics_ = std::make_shared<HttpMetrics>();
  std::unique_ptr<gateway::PoolDirectory> pools_;
  std::unique_ptr<gateway::WorkerDesk> workers_;
  std::unique_ptr<gateway::Gateway> gateway_;
  std::unique_ptr<gateway::JobDesk> desk_;
  std::unique_ptr<gateway::DecisionLog> decisions_;
  std::unique_ptr<gateway::HttpServer> server_;
};

}  // namespace

nats::ConnectOptions GatewayConnection(std::string url, std::string credentials_file) {
  return {.url = std::move(url),
          .name = "lanekeeper-gateway",
          .credentials_file = std::move(credentials_file),
          .writes = nats::ConnectOptions::Writes::kTogether,
          .shared_delivery = true};
}

Result<std::unique_ptr<GatewayServer>> GatewayServer::Start(GatewayServerOptions options,
                                                            nats::Connection& connection,
                                                            gateway::Authorizer& authorizer) {
  auto joined = std::make_unique<Joined>();
  Result<void> opened = joined->Open(std::move(options), connection, authorizer);
  if (!opened) return tl::unexpected(std::move(opened).error());
  return std::unique_ptr<GatewayServer>(std::move(joined));
}

}  // namespace lanekeeper
