// lanekeeper-operator: reads its settings, joins the ports, waits for a signal.
#include <CLI/CLI.hpp>

#include <cstdio>
#include <memory>
#include <string>

#include "operator/control/control_loop.h"
#include "operator/jetstream/jetstream_lane_probe.h"
#include "operator/jetstream/jetstream_ledger.h"
#include "operator/jetstream/jetstream_pool_board.h"
#include "operator/jetstream/jetstream_queues.h"
#include "operator/kubernetes/api_client.h"
#include "operator/kubernetes/kubeconfig.h"
#include "operator/kubernetes/kubernetes_platform.h"
#include "operator/kubernetes/kubernetes_pool_source.h"
#include "operator/kubernetes/worker_pool_json.h"
#include "operator/operator_metrics.h"
#include "worker-runtime/base/log.h"
#include "worker-runtime/base/settings.h"
#include "worker-runtime/base/stop_signal.h"
#include "worker-runtime/nats/connection.h"
#include "worker-runtime/telemetry/telemetry_server.h"

namespace lanekeeper {
namespace {

// Every call of the reconcile thread has a deadline of seconds; a pass over many lanes against a
// server that hangs adds them up. Longer than that is a thread that is stuck.
constexpr std::chrono::seconds kBeatMax{180};

struct OperatorSettings {
  std::string kubeconfig;  // Empty: see FindKubeConfig.
  std::string context;
  std::string nats_url;
  std::string worker_nats_url;
  std::string only_namespace;
  std::chrono::milliseconds sample_interval{};
  int http_port = 0;
};

Result<OperatorSettings> ReadSettings() {
  using std::chrono::milliseconds;
  Settings settings;
  OperatorSettings read;
  read.nats_url = settings.Text("LANEKEEPER_NATS_URL", "nats://127.0.0.1:4222");
  read.worker_nats_url = settings.Text("LANEKEEPER_WORKER_NATS_URL", read.nats_url);
  read.only_namespace = settings.Text("LANEKEEPER_WATCH_NAMESPACE", "");
  read.sample_interval = settings.Duration("LANEKEEPER_SAMPLE_INTERVAL", milliseconds(500),
                                           milliseconds(50), milliseconds(60000));
  read.http_port = static_cast<int>(settings.Integer("LANEKEEPER_HTTP_PORT", 8080, 0, 65535));
  const std::string level = settings.Text("LANEKEEPER_LOG_LEVEL", "info");
  Result<void> checked = settings.Check();
  if (!checked) return tl::unexpected<Error>(std::move(checked).error());
  if (!log::SetLevel(level)) {
    return Fail(ErrorKind::kInvalid, "LANEKEEPER_LOG_LEVEL is \"" + level +
                                         "\"; it must be debug, info, warning or error");
  }
  return read;
}

struct Endpoints {
  std::unique_ptr<kubernetes::ApiClient> api;
  std::unique_ptr<nats::Connection> nats;
};

Result<Endpoints> Connect(const OperatorSettings& settings) {
  Result<kubernetes::KubeConfig> config =
      kubernetes::FindKubeConfig(settings.kubeconfig, settings.context);
  if (!config) return Wrap(std::move(config).error(), "finding the cluster");
  Result<std::unique_ptr<kubernetes::ApiClient>> api =
      kubernetes::ApiClient::Create(*std::move(config));
  if (!api) return Wrap(std::move(api).error(), "preparing the API client");
  Result<std::unique_ptr<nats::Connection>> nats = nats::Connection::Open(
      {.url = settings.nats_url, .name = "lanekeeper-operator", .shared_delivery = true});
  if (!nats) return Wrap(std::move(nats).error(), "LANEKEEPER_NATS_URL");
  return Endpoints{*std::move(api), *std::move(nats)};
}

Result<void> Run(StopSignal& stop, const OperatorSettings& settings) {
  Result<Endpoints> endpoints = Connect(settings);
  if (!endpoints) return tl::unexpected<Error>(std::move(endpoints).error());
  kubernetes::ApiClient& api = *endpoints->api;

  SystemClock clock;
  kubernetes::KubernetesPoolSource source(api, settings.only_namespace);
  kubernetes::KubernetesPlatform platform(
      api, clock,
      {.only_namespace = settings.only_namespace, .nats_url = settings.worker_nats_url});
  JetStreamLaneProbe probe(*endpoints->nats, clock, {.sample_interval = settings.sample_interval});
  JetStreamQueues queues(*endpoints->nats);
  JetStreamLedger ledger(*endpoints->nats);
  JetStreamPoolBoard board(*endpoints->nats, {.status_json = kubernetes::StatusToJson,
                                              .only_namespace = settings.only_namespace});
  const auto metrics = std::make_shared<OperatorMetrics>();
  metrics->AddCounter("lanekeeper_api_requests_total", "Requests to the API server.",
                      [&api] { return static_cast<double>(api.requests()); });
  metrics->AddCounter("lanekeeper_api_writes_total",
                      "Requests to the API server that may have changed something.",
                      [&api] { return static_cast<double>(api.writes()); });
  metrics->AddCounter("lanekeeper_events_dropped_total", "Events that were not sent.",
                      [&platform] { return static_cast<double>(platform.events_dropped()); });
  metrics->AddCounter("lanekeeper_samples_total", "Answers about a lane that could be used.",
                      [&probe] { return static_cast<double>(probe.stats().samples); });
  metrics->AddCounter("lanekeeper_ledger_entries_total", "Decisions written to the ledger.",
                      [&ledger] { return static_cast<double>(ledger.stored()); });
  metrics->AddCounter("lanekeeper_ledger_dropped_total", "Decisions the ledger could not take.",
                      [&ledger] { return static_cast<double>(ledger.dropped()); });
  metrics->AddCounter("lanekeeper_board_writes_total",
                      "Briefs and statuses of pools written for gateways.",
                      [&board] { return static_cast<double>(board.written()); });
  ControlLoop loop(source, probe, queues, platform, clock, metrics.get(), &ledger, &board);

  std::optional<telemetry::TelemetryServer> telemetry;
  if (settings.http_port != 0) {
    Result<telemetry::TelemetryServer> started = telemetry::TelemetryServer::Start(
        {.port = settings.http_port,
         .metrics = metrics,
         .healthy =
             [&] {
               const bool ok = clock.Now() - loop.last_beat() < kBeatMax;
               return telemetry::Health{ok, ok ? "ok" : "the reconcile thread is stuck"};
             },
         .ready =
             [&] {
               const bool ok = loop.synced() && platform.synced();
               return telemetry::Health{ok, ok ? "ok" : "waiting for the API server"};
             }});
    if (!started) return tl::unexpected<Error>(std::move(started).error());
    telemetry.emplace(*std::move(started));
  }

  ledger.Start();
  board.Start();
  loop.Start();
  platform.Start([&loop](const PoolKey& key) { loop.Poke(key); });
  log::Info("operator", "started",
            {{"nats", settings.nats_url.substr(settings.nats_url.find('@') + 1)},
             {"namespace", settings.only_namespace.empty() ? "all" : settings.only_namespace},
             {"sample_interval_ms", settings.sample_interval.count()}});
  const int signal = stop.Wait();
  log::Info("operator", "stopping", {{"signal", signal}});
  loop.Stop();
  platform.Stop();
  ledger.Stop();
  board.Stop();
  return {};
}

}  // namespace
}  // namespace lanekeeper

int main(int argc, char** argv) {
  using namespace lanekeeper;
  StopSignal stop;
  telemetry::SizeThreadPool(4);

  std::string kubeconfig;
  std::string context;
  CLI::App app{
      "Keeps one worker Deployment per lane of every WorkerPool at the size its backlog asks for.\n"
      "Settings come from LANEKEEPER_* environment variables, see operator/README.md."};
  app.add_option("--kubeconfig", kubeconfig,
                 "Path of a kubeconfig; else $KUBECONFIG, the pod's own account, ~/.kube/config");
  app.add_option("--context", context, "Context of the kubeconfig; else its current one");
  CLI11_PARSE(app, argc, argv);

  Result<OperatorSettings> settings = ReadSettings();
  if (!settings) {
    std::fprintf(stderr, "lanekeeper-operator: %s\n", settings.error().message.c_str());
    return 2;
  }
  settings->kubeconfig = kubeconfig;
  settings->context = context;
  const Result<void> ran = Run(stop, *settings);
  if (!ran) {
    std::fprintf(stderr, "lanekeeper-operator: %s\n", ran.error().message.c_str());
    return ran.error().kind == ErrorKind::kInvalid ? 2 : 1;
  }
  return 0;
}
