// lanekeeper-gateway: reads its settings, joins the gateway's parts, waits for a signal.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "operator/kubernetes/api_client.h"
#include "operator/kubernetes/kubeconfig.h"
#include "operator/kubernetes/token_review.h"
#include "operator/serve_gateway.h"
#include "worker-runtime/base/log.h"
#include "worker-runtime/base/settings.h"
#include "worker-runtime/base/stop_signal.h"
#include "worker-runtime/gateway/authorizer.h"
#include "worker-runtime/gateway/http_transport.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/nats/connect_settings.h"
#include "worker-runtime/nats/connection.h"
#include "worker-runtime/telemetry/telemetry_server.h"

namespace lanekeeper {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

enum class Auth { kNone, kTokens, kKubernetes };

struct Flags {
  std::string kubeconfig;  // Empty: see FindKubeConfig.
  std::string context;
  bool insecure = false;
};

struct GatewaySettings {
  Auth auth = Auth::kNone;
  std::string token_file;
  std::vector<std::string> audiences;
  nats::ConnectOptions nats;
  gateway::TransportOptions transport;
  GatewayServerOptions server;
  int telemetry_port = 0;
};

// A name such as 127.example.com is none.
bool IsLoopback(const std::string& address) {
  const std::string host = address.substr(0, address.rfind(':'));
  return host == "localhost" ||
         (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos);
}

// "host:port" with a port of 1..65535.
bool IsAddress(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  if (colon == 0 || colon == std::string::npos || address.find(':') != colon) return false;
  const std::string port = address.substr(colon + 1);
  if (port.empty() || port.size() > 5 ||
      port.find_first_not_of("0123456789") != std::string::npos) {
    return false;
  }
  const int number = std::stoi(port);
  return number >= 1 && number <= 65535;
}

std::vector<std::string> SplitList(const std::string& text) {
  std::vector<std::string> parts;
  std::string part;
  for (const char c : text + ",") {
    if (c != ',' && c != ' ') {
      part += c;
    } else if (!part.empty()) {
      parts.push_back(std::exchange(part, {}));
    }
  }
  return parts;
}

// Reads all settings and collects what is wrong with them.
class SettingsReader {
 public:
  explicit SettingsReader(const Flags& flags) : flags_(flags) {}

  Result<GatewaySettings> Read() {
    ReadAddressAndTls();
    ReadAuth();
    ReadLimits();
    ReadRest();
    if (const Result<void> checked = settings_.Check(); !checked) {
      problems_.insert(problems_.begin(), checked.error().message);
    }
    if (problems_.empty()) return std::move(read_);
    std::string all;
    for (const std::string& problem : problems_) all += (all.empty() ? "" : "; ") + problem;
    return Fail(ErrorKind::kInvalid, all);
  }

 private:
  void ReadAddressAndTls() {
    read_.server.http.address = settings_.Text("LANEKEEPER_GATEWAY_ADDRESS", "127.0.0.1:8090");
    if (!IsAddress(read_.server.http.address)) {
      problems_.push_back("LANEKEEPER_GATEWAY_ADDRESS is \"" + read_.server.http.address +
                          "\"; it must be an IPv4 address or a name, a colon and a port");
    }
    gateway::TransportTls& tls = read_.transport.tls;
    tls.certificate_file = settings_.Text("LANEKEEPER_GATEWAY_TLS_CERT", "");
    tls.key_file = settings_.Text("LANEKEEPER_GATEWAY_TLS_KEY", "");
    if (tls.certificate_file.empty() != tls.key_file.empty()) {
      problems_.push_back(
          "LANEKEEPER_GATEWAY_TLS_CERT and LANEKEEPER_GATEWAY_TLS_KEY go together; one is missing");
    }
    read_.server.http.tls = tls.enabled();
  }

  void ReadAuth() {
    const bool loopback = IsLoopback(read_.server.http.address);
    const std::string auth = settings_.Text("LANEKEEPER_GATEWAY_AUTH", loopback ? "none" : "");
    read_.token_file = settings_.Text("LANEKEEPER_GATEWAY_TOKENS", "");
    read_.audiences = SplitList(settings_.Text("LANEKEEPER_GATEWAY_AUDIENCES", ""));
    if (auth == "none") {
      read_.auth = Auth::kNone;
      if (!loopback && !flags_.insecure) {
        problems_.push_back("LANEKEEPER_GATEWAY_AUTH=none lets everybody who reaches " +
                            read_.server.http.address +
                            " do everything; choose tokens or kubernetes, or say --insecure");
      }
    } else if (auth == "tokens") {
      read_.auth = Auth::kTokens;
      if (read_.token_file.empty()) {
        problems_.push_back("LANEKEEPER_GATEWAY_AUTH=tokens needs LANEKEEPER_GATEWAY_TOKENS");
      }
    } else if (auth == "kubernetes") {
      read_.auth = Auth::kKubernetes;
    } else {
      problems_.push_back(
          auth.empty() ? "LANEKEEPER_GATEWAY_AUTH must be set to tokens or kubernetes, because " +
                             read_.server.http.address + " is not loopback"
                       : "LANEKEEPER_GATEWAY_AUTH is \"" + auth +
                             "\"; it must be none, tokens or kubernetes");
    }
    if (read_.auth != Auth::kNone && !loopback && !read_.server.http.tls && !flags_.insecure) {
      problems_.push_back("tokens would travel in the clear to " + read_.server.http.address +
                          "; set LANEKEEPER_GATEWAY_TLS_CERT and _KEY, or say --insecure where "
                          "something in front ends TLS");
    }
    if (read_.auth != Auth::kTokens && !read_.token_file.empty()) {
      problems_.push_back("LANEKEEPER_GATEWAY_TOKENS is for LANEKEEPER_GATEWAY_AUTH=tokens");
    }
  }

  void ReadLimits() {
    gateway::TransportLimits& limits = read_.transport.limits;
    const auto bytes = [this](const char* name, std::size_t fallback, std::int64_t min,
                              std::int64_t max) {
      return static_cast<std::size_t>(
          settings_.Integer(name, static_cast<std::int64_t>(fallback), min, max));
    };
    limits.body_bytes_max =
        bytes("LANEKEEPER_GATEWAY_BODY_MAX", limits.body_bytes_max, 1024, 64 << 20);
    limits.header_bytes_max =
        bytes("LANEKEEPER_GATEWAY_HEADER_MAX", limits.header_bytes_max, 1024, 1 << 20);
    limits.connections_max =
        bytes("LANEKEEPER_GATEWAY_CONNECTIONS", limits.connections_max, 1, 1'000'000);
    limits.idle_timeout = settings_.Duration("LANEKEEPER_GATEWAY_IDLE_TIMEOUT", limits.idle_timeout,
                                             seconds(1), seconds(3600));
    read_.server.gateway.in_hand_max = static_cast<int>(settings_.Integer(
        "LANEKEEPER_GATEWAY_IN_HAND", read_.server.gateway.in_hand_max, 1, 1'000'000));
    read_.server.desk.watches_max =
        bytes("LANEKEEPER_GATEWAY_WATCHERS", read_.server.desk.watches_max, 1, 1'000'000);
  }

  void ReadRest() {
    read_.nats = GatewayConnection(settings_.Text(kEnvNatsUrl, "nats://127.0.0.1:4222"),
                                   settings_.Text(kEnvNatsCredentials, ""));
    read_.nats.tls = nats::ReadTlsFiles(settings_);
    read_.server.http.cors_origins =
        SplitList(settings_.Text("LANEKEEPER_GATEWAY_CORS_ORIGINS", ""));
    for (const std::string& origin : read_.server.http.cors_origins) {
      const bool good = (origin.starts_with("https://") || origin.starts_with("http://")) &&
                        std::count(origin.begin(), origin.end(), '/') == 2;
      if (good) continue;
      problems_.push_back("LANEKEEPER_GATEWAY_CORS_ORIGINS has \"" + origin +
                          "\"; an origin is https://host or https://host:port, without a path");
    }
    read_.telemetry_port = static_cast<int>(settings_.Integer(kEnvHttpPort, 8082, 0, 65535));
    const std::string level = settings_.Text(kEnvLogLevel, "info");
    if (!log::SetLevel(level)) {
      problems_.push_back("LANEKEEPER_LOG_LEVEL is \"" + level +
                          "\"; it must be debug, info, warning or error");
    }
  }

  const Flags& flags_;
  Settings settings_;
  GatewaySettings read_;
  std::vector<std::string> problems_;
};

// Who answers for callers, and what that stands on.
struct Doorkeeper {
  std::unique_ptr<kubernetes::ApiClient> api;
  std::unique_ptr<gateway::Authorizer> authorizer;
};

Result<Doorkeeper> MakeDoorkeeper(const GatewaySettings& settings, const Flags& flags) {
  Doorkeeper made;
  if (settings.auth == Auth::kNone) {
    made.authorizer = gateway::MakeOpenAuthorizer();
    return made;
  }
  if (settings.auth == Auth::kTokens) {
    auto authorizer = gateway::MakeTokenFileAuthorizer(settings.token_file);
    if (!authorizer) return Wrap(std::move(authorizer).error(), "LANEKEEPER_GATEWAY_TOKENS");
    made.authorizer = *std::move(authorizer);
    return made;
  }
  Result<kubernetes::KubeConfig> config =
      kubernetes::FindKubeConfig(flags.kubeconfig, flags.context);
  if (!config) return Wrap(std::move(config).error(), "finding the cluster");
  Result<std::unique_ptr<kubernetes::ApiClient>> api =
      kubernetes::ApiClient::Create(*std::move(config));
  if (!api) return Wrap(std::move(api).error(), "preparing the API client");
  made.api = *std::move(api);
  made.authorizer = gateway::MakeCachingAuthorizer(
      kubernetes::MakeKubernetesAuthorizer(*made.api, {.audiences = settings.audiences}));
  return made;
}

Result<void> Run(StopSignal& stop, const GatewaySettings& settings, const Flags& flags) {
  // Before the first listener, the one for metrics included.
  Result<void> transport = gateway::InstallTransport(settings.transport);
  if (!transport) return Wrap(std::move(transport).error(), "LANEKEEPER_GATEWAY_TLS_CERT, _KEY");
  Result<Doorkeeper> doorkeeper = MakeDoorkeeper(settings, flags);
  if (!doorkeeper) return tl::unexpected<Error>(std::move(doorkeeper).error());
  Result<std::unique_ptr<nats::Connection>> nats = nats::Connection::Open(settings.nats);
  if (!nats) return Wrap(std::move(nats).error(), kEnvNatsUrl);
  auto server = GatewayServer::Start(settings.server, **nats, *doorkeeper->authorizer);
  if (!server) return tl::unexpected<Error>(std::move(server).error());

  std::optional<telemetry::TelemetryServer> telemetry;
  if (settings.telemetry_port != 0) {
    Result<telemetry::TelemetryServer> started = telemetry::TelemetryServer::Start(
        {.port = settings.telemetry_port, .metrics = (*server)->metrics(), .ready = [&] {
           const auto [ready, why] = (*server)->Ready();
           return telemetry::Health{ready, why};
         }});
    if (!started) return tl::unexpected<Error>(std::move(started).error());
    telemetry.emplace(*std::move(started));
  }
  log::Info("gateway", "started",
            {{"address", settings.server.http.address},
             {"tls", settings.server.http.tls},
             {"auth", settings.auth == Auth::kNone     ? "none"
                      : settings.auth == Auth::kTokens ? "tokens"
                                                       : "kubernetes"},
             {"nats", settings.nats.url.substr(settings.nats.url.find('@') + 1)}});
  const int signal = stop.Wait();
  log::Info("gateway", "stopping", {{"signal", signal}});
  (*server)->Stop();
  return {};
}

}  // namespace
}  // namespace lanekeeper

int main(int argc, char** argv) {
  using namespace lanekeeper;
  StopSignal stop;
  telemetry::SizeThreadPool(4);

  Flags flags;
  CLI::App app{
      "Takes jobs for the pools of Lanekeeper over HTTP and shows what becomes of them.\n"
      "Settings come from LANEKEEPER_* environment variables, see "
      "worker-runtime/gateway/README.md."};
  app.add_option("--kubeconfig", flags.kubeconfig,
                 "With LANEKEEPER_GATEWAY_AUTH=kubernetes: path of a kubeconfig; else $KUBECONFIG, "
                 "the pod's own account, ~/.kube/config");
  app.add_option("--context", flags.context, "Context of the kubeconfig; else its current one");
  app.add_flag(
      "--insecure", flags.insecure,
      "Allow an address other than loopback without authentication, or tokens without TLS");
  CLI11_PARSE(app, argc, argv);

  Result<GatewaySettings> settings = SettingsReader(flags).Read();
  if (!settings) {
    std::fprintf(stderr, "lanekeeper-gateway: %s\n", settings.error().message.c_str());
    return 2;
  }
  const Result<void> ran = Run(stop, *settings, flags);
  if (!ran) {
    std::fprintf(stderr, "lanekeeper-gateway: %s\n", ran.error().message.c_str());
    return ran.error().kind == ErrorKind::kInvalid ? 2 : 1;
  }
  return 0;
}
