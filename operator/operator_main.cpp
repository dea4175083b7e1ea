// lanekeeper-operator: reads its settings, joins the ports, waits for a signal.
#include <CLI/CLI.hpp>

#include <malloc.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <memory>
#include <optional>
#include <random>
#include <string>

#include "operator/control/control_loop.h"
#include "operator/jetstream/jetstream_lane_probe.h"
#include "operator/jetstream/jetstream_ledger.h"
#include "operator/jetstream/jetstream_pool_board.h"
#include "operator/jetstream/jetstream_queues.h"
#include "operator/jetstream/tenants.h"
#include "operator/kubernetes/api_client.h"
#include "operator/kubernetes/kubeconfig.h"
#include "operator/kubernetes/kubernetes_platform.h"
#include "operator/kubernetes/kubernetes_pool_source.h"
#include "operator/kubernetes/kubernetes_secrets.h"
#include "operator/kubernetes/leader_api.h"
#include "operator/kubernetes/lease_elector.h"
#include "operator/kubernetes/worker_pool_json.h"
#include "operator/operator_metrics.h"
#include "worker-runtime/base/log.h"
#include "worker-runtime/base/settings.h"
#include "worker-runtime/base/stop_signal.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/nats/connect_settings.h"
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
  std::string nats_credentials;
  nats::TlsFiles nats_tls;
  std::string worker_nats_url;
  bool tenants = false;  // Pools may have a connection of their own.
  std::string only_namespace;
  std::chrono::milliseconds sample_interval{};
  int http_port = 0;
  // Leader election; nothing: this is the only operator.
  std::optional<kubernetes::LeaseTimes> lease_times;
  std::string lease_name;
  std::string lease_namespace;  // Empty: that of the kubeconfig.
  std::string pod_name;
};

void ReadElection(Settings& settings, OperatorSettings& read) {
  using std::chrono::milliseconds;
  kubernetes::LeaseTimes times;
  const bool on = settings.Flag("LANEKEEPER_LEADER_ELECTION", false);
  times.duration = settings.Duration("LANEKEEPER_LEASE_DURATION", times.duration,
                                     milliseconds(1000), milliseconds(600'000));
  times.renew_deadline = settings.Duration("LANEKEEPER_LEASE_RENEW_DEADLINE", times.renew_deadline,
                                           milliseconds(500), milliseconds(600'000));
  times.retry = settings.Duration("LANEKEEPER_LEASE_RETRY", times.retry, milliseconds(100),
                                  milliseconds(600'000));
  if (on) read.lease_times = times;
  read.lease_name = settings.Text("LANEKEEPER_LEASE_NAME", "lanekeeper-operator");
  read.lease_namespace =
      settings.Text("LANEKEEPER_LEASE_NAMESPACE", settings.Text("POD_NAMESPACE", ""));
  read.pod_name = settings.Text("POD_NAME", "");
}

Result<OperatorSettings> ReadSettings() {
  using std::chrono::milliseconds;
  Settings settings;
  OperatorSettings read;
  read.nats_url = settings.Text("LANEKEEPER_NATS_URL", "nats://127.0.0.1:4222");
  read.nats_credentials = settings.Text(kEnvNatsCredentials, "");
  read.nats_tls = nats::ReadTlsFiles(settings);
  read.tenants = settings.Flag("LANEKEEPER_TENANTS", false);
  read.worker_nats_url = settings.Text("LANEKEEPER_WORKER_NATS_URL", read.nats_url);
  read.only_namespace = settings.Text("LANEKEEPER_WATCH_NAMESPACE", "");
  read.sample_interval = settings.Duration("LANEKEEPER_SAMPLE_INTERVAL", milliseconds(500),
                                           milliseconds(50), milliseconds(60000));
  read.http_port = static_cast<int>(settings.Integer("LANEKEEPER_HTTP_PORT", 8080, 0, 65535));
  ReadElection(settings, read);
  const std::string level = settings.Text("LANEKEEPER_LOG_LEVEL", "info");
  Result<void> checked = settings.Check();
  if (!checked) return tl::unexpected<Error>(std::move(checked).error());
  if (read.lease_times) {
    Result<void> times = kubernetes::Check(*read.lease_times);
    if (!times) return tl::unexpected<Error>(std::move(times).error());
  }
  if (!log::SetLevel(level)) {
    return Fail(ErrorKind::kInvalid, "LANEKEEPER_LOG_LEVEL is \"" + level +
                                         "\"; it must be debug, info, warning or error");
  }
  return read;
}

struct Endpoints {
  std::unique_ptr<kubernetes::ApiClient> api;
  std::unique_ptr<kubernetes::ApiClient> lease_api;  // nullptr without leader election.
  std::string lease_namespace;
  std::unique_ptr<nats::Connection> nats;
};

Result<Endpoints> Connect(const OperatorSettings& settings) {
  Result<kubernetes::KubeConfig> config =
      kubernetes::FindKubeConfig(settings.kubeconfig, settings.context);
  if (!config) return Wrap(std::move(config).error(), "finding the cluster");
  Endpoints endpoints{.lease_namespace = settings.lease_namespace.empty()
                                             ? config->default_namespace
                                             : settings.lease_namespace};
  for (auto* client : {&endpoints.api, &endpoints.lease_api}) {
    if (client == &endpoints.lease_api && !settings.lease_times) continue;
    Result<std::unique_ptr<kubernetes::ApiClient>> api = kubernetes::ApiClient::Create(*config);
    if (!api) return Wrap(std::move(api).error(), "preparing the API client");
    *client = *std::move(api);
  }
  Result<std::unique_ptr<nats::Connection>> nats =
      nats::Connection::Open({.url = settings.nats_url,
                              .name = "lanekeeper-operator",
                              .credentials_file = settings.nats_credentials,
                              .tls = settings.nats_tls,
                              .shared_delivery = true});
  if (!nats) return Wrap(std::move(nats).error(), "LANEKEEPER_NATS_*");
  endpoints.nats = *std::move(nats);
  return endpoints;
}

// Who this process is in the lease. A pod keeps its name when its container starts again.
std::string Identity(const OperatorSettings& settings) {
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  const std::string name = settings.pod_name.empty() ? host.data() : settings.pod_name;
  std::array<char, 16> random{};
  std::snprintf(random.data(), random.size(), "%08x",
                static_cast<unsigned>(std::random_device{}()));
  return name + "_" + random.data();
}

// Whether this operator leads, where several stand by for one another. Without leader election
// there is no elector, and it always does.
class Election {
 public:
  Election(const OperatorSettings& settings, const Endpoints& endpoints, const Clock& clock)
      : api_(endpoints.lease_api.get()) {
    if (!settings.lease_times) return;
    elector_.emplace(
        *api_, clock,
        kubernetes::LeaseElector::Options{.lease = {endpoints.lease_namespace, settings.lease_name},
                                          .identity = Identity(settings),
                                          .times = *settings.lease_times});
    taken_.emplace(*elector_);
  }

  // nullptr: there is one operator.
  const Leadership* leadership() const { return taken_ ? &*taken_ : nullptr; }
  std::optional<Standby> StandbyWith(kubernetes::KubernetesPoolSource& source,
                                     kubernetes::KubernetesPlatform& platform) {
    if (!taken_) return std::nullopt;
    return Standby{.lead = &*taken_,
                   .refresh =
                       [&] {
                         source.Refresh();
                         platform.Refresh();
                       },
                   .fresh = [&] { return source.synced() && platform.synced(); }};
  }
  void Start(ControlLoop& loop) {
    if (elector_) elector_->Start([&loop] { loop.OnLeadChange(); });
  }
  void Stop() {
    if (elector_) elector_->Stop();
  }

  bool leads() const { return !taken_ || taken_->Current().has_value(); }
  std::uint64_t lease_writes() const { return api_ != nullptr ? api_->writes() : 0; }
  telemetry::Health Ready() const {
    const auto refused = elector_ ? elector_->refused() : std::nullopt;
    if (refused) return {false, "the lease is refused: " + *refused};
    return {true, leads() ? "ok" : "standby"};
  }

 private:
  kubernetes::ApiClient* api_;
  std::optional<kubernetes::LeaseElector> elector_;
  std::optional<TakenLead> taken_;
};

void AddElectionMetrics(OperatorMetrics& metrics, const Election& election) {
  metrics.AddGauge("lanekeeper_leader", "1 while this operator acts, 0 while it stands by.",
                   [&election] { return election.leads() ? 1.0 : 0.0; });
  metrics.AddCounter("lanekeeper_lease_writes_total",
                     "Writes of the lease of the leader; not among lanekeeper_api_writes_total.",
                     [&election] { return static_cast<double>(election.lease_writes()); });
}

TenantsOptions TenantsOf(const OperatorSettings& settings, const Election& election,
                         const Clock& clock) {
  const TenantLineOptions line{.sample_interval = settings.sample_interval,
                               .status_json = kubernetes::StatusToJson,
                               .leadership = election.leadership()};
  return {.allowed = settings.tenants,
          .open_line =
              [line, &clock](const TenantAddress& address, nats::Access access,
                             std::function<void(const LaneKey&)> on_change) {
                return OpenJetStreamLine(address, std::move(access), clock, line,
                                         std::move(on_change));
              },
          .leadership = election.leadership()};
}

void AddTenantMetrics(OperatorMetrics& metrics, const Tenants& tenants) {
  metrics.AddGauge("lanekeeper_tenants", "Different spec.nats of all pools.",
                   [&] { return static_cast<double>(tenants.counts().tenants); });
  metrics.AddGauge("lanekeeper_tenants_connected", "Those whose server is connected.",
                   [&] { return static_cast<double>(tenants.counts().connected); });
  metrics.AddCounter("lanekeeper_secret_reads_total", "Secrets read for them.",
                     [&] { return static_cast<double>(tenants.counts().secret_reads); });
}

Result<void> Run(StopSignal& stop, const OperatorSettings& settings) {
  Result<Endpoints> endpoints = Connect(settings);
  if (!endpoints) return tl::unexpected<Error>(std::move(endpoints).error());
  kubernetes::ApiClient& api = *endpoints->api;

  SystemClock clock;
  Election election(settings, *endpoints, clock);
  kubernetes::LeaderApi leader_api(api, clock, election.leadership());
  kubernetes::KubernetesPoolSource source(api, settings.only_namespace);
  kubernetes::KubernetesPlatform platform(
      leader_api, clock,
      {.only_namespace = settings.only_namespace, .nats_url = settings.worker_nats_url});
  JetStreamLaneProbe probe(*endpoints->nats, clock, {.sample_interval = settings.sample_interval});
  JetStreamQueues queues(*endpoints->nats);
  JetStreamLedger ledger(*endpoints->nats, {.leadership = election.leadership()});
  JetStreamPoolBoard board(*endpoints->nats, {.status_json = kubernetes::StatusToJson,
                                              .only_namespace = settings.only_namespace,
                                              .leadership = election.leadership()});
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
  metrics->AddGauge("lanekeeper_lanes", "Lanes that are sampled.",
                    [&probe] { return static_cast<double>(probe.stats().lanes); });
  metrics->AddGauge("lanekeeper_lanes_answered", "Lanes whose last sample is a good one.",
                    [&probe] { return static_cast<double>(probe.stats().lanes_answered); });
  metrics->AddGauge(
      "lanekeeper_sample_age_seconds",
      "Of all lanes, how long ago the last good sample was taken; the oldest.",
      [&probe] { return std::chrono::duration<double>(probe.stats().sample_age_max).count(); });
  metrics->AddCounter("lanekeeper_ledger_entries_total", "Decisions written to the ledger.",
                      [&ledger] { return static_cast<double>(ledger.stored()); });
  metrics->AddCounter("lanekeeper_ledger_dropped_total", "Decisions the ledger could not take.",
                      [&ledger] { return static_cast<double>(ledger.dropped()); });
  metrics->AddCounter("lanekeeper_board_writes_total",
                      "Briefs and statuses of pools written for gateways.",
                      [&board] { return static_cast<double>(board.written()); });
  AddElectionMetrics(*metrics, election);
  kubernetes::KubernetesSecrets secrets(api);
  Tenants tenants({source, probe, queues, ledger, board}, &secrets, clock,
                  TenantsOf(settings, election, clock));
  AddTenantMetrics(*metrics, tenants);
  ControlLoop loop(tenants.source(), tenants.probe(), tenants.queues(), platform, clock,
                   metrics.get(), &tenants.ledger(), &tenants.board(),
                   election.StandbyWith(source, platform));

  std::optional<telemetry::TelemetryServer> telemetry;
  if (settings.http_port != 0) {
    Result<telemetry::TelemetryServer> started = telemetry::TelemetryServer::Start(
        {.port = settings.http_port,
         .metrics_text = [metrics] { return metrics->Text(); },
         .healthy =
             [&] {
               const bool ok = clock.Now() - loop.last_beat() < kBeatMax;
               return telemetry::Health{ok, ok ? "ok" : "the reconcile thread is stuck"};
             },
         .ready =
             [&] {
               const bool synced = loop.synced() && platform.synced();
               return synced ? election.Ready()
                             : telemetry::Health{false, "waiting for the API server"};
             }});
    if (!started) return tl::unexpected<Error>(std::move(started).error());
    telemetry.emplace(*std::move(started));
  }

  ledger.Start();
  board.Start();
  loop.Start();
  platform.Start([&loop](const PoolKey& key) { loop.Poke(key); });
  election.Start(loop);
  log::Info("operator", "started",
            {{"nats", settings.nats_url.substr(settings.nats_url.find('@') + 1)},
             {"namespace", settings.only_namespace.empty() ? "all" : settings.only_namespace},
             {"sample_interval_ms", settings.sample_interval.count()}});
  const int signal = stop.Wait();
  log::Info("operator", "stopping", {{"signal", signal}});
  // The lease is handed back once nothing is done any more, and before anything that takes time.
  loop.StopActing();
  ledger.Stop();
  board.Stop();
  election.Stop();
  loop.Stop();
  platform.Stop();
  return {};
}

// Many threads read documents and drop them, between things that stay. With an arena of malloc for
// each thread, what is free in one is of no use to the others; and what is large goes back to the
// system at once: a page of a list, the text of a scrape.
void KeepMemoryTogether() {
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_MMAP_THRESHOLD, 256 << 10);
  mallopt(M_TRIM_THRESHOLD, 1 << 20);
}

}  // namespace
}  // namespace lanekeeper

int main(int argc, char** argv) {
  using namespace lanekeeper;
  KeepMemoryTogether();
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
