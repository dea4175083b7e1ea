#include "worker-runtime/nats/testing/nats_cluster.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <utility>

namespace lanekeeper::nats {
namespace {

using nlohmann::json;
using Ports = std::array<int, NatsCluster::kNodes>;

constexpr std::chrono::seconds kReadyDeadline{60};
constexpr std::chrono::milliseconds kProbePause{100};
constexpr int kStartsMax = 3;
constexpr const char* kProbeStream = "LK_CLUSTER_PROBE";

// A socket of 127.0.0.1 that keeps its port from being chosen twice.
class ReservedPort {
 public:
  ReservedPort() : descriptor_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    if (bind(descriptor_, generic, length) == 0 &&
        getsockname(descriptor_, generic, &length) == 0) {
      port_ = ntohs(address.sin_port);
    }
  }
  ~ReservedPort() { close(descriptor_); }
  ReservedPort(const ReservedPort&) = delete;
  ReservedPort& operator=(const ReservedPort&) = delete;
  int port() const { return port_; }

 private:
  const int descriptor_;
  int port_ = 0;
};

// Every node has to know the others' ports before the first one starts.
Ports ChoosePorts() {
  std::array<ReservedPort, NatsCluster::kNodes> reserved;
  Ports ports{};
  for (std::size_t n = 0; n < ports.size(); ++n) ports[n] = reserved[n].port();
  return ports;
}

std::string NodeName(std::size_t index) { return "n" + std::to_string(index); }

std::string NodeConfig(const Ports& ports, std::size_t index) {
  std::string routes;
  for (const int port : ports) {
    routes +=
        (routes.empty() ? "\"" : ", \"") + ("nats://127.0.0.1:" + std::to_string(port)) + "\"";
  }
  return "server_name: " + NodeName(index) + "\ncluster: {name: lanekeeper-test, listen: \"" +
         "127.0.0.1:" + std::to_string(ports[index]) + "\", routes: [" + routes + "]}\n";
}

Result<std::vector<NatsServer>> StartNodes(const std::string& config) {
  const Ports ports = ChoosePorts();
  std::vector<NatsServer> nodes;
  for (std::size_t n = 0; n < ports.size(); ++n) {
    auto node = NatsServer::Run({.config = NodeConfig(ports, n) + config});
    if (!node) return Wrap(std::move(node).error(), "node " + NodeName(n));
    nodes.push_back(*std::move(node));
  }
  return nodes;
}

Result<std::string> Leader(const JetStream& jetstream, const std::string& api,
                           const std::string& what) {
  auto answer = jetstream.Call(api, "");
  if (!answer) return Wrap(std::move(answer).error(), "asking for the leader of " + what);
  const json info = json::parse(answer->payload, nullptr, /*allow_exceptions=*/false);
  const std::string leader =
      info.is_object() ? info.value(json::json_pointer("/cluster/leader"), "") : "";
  if (leader.empty()) return Fail(ErrorKind::kRetryable, what + " has no leader");
  return leader;
}

Result<void> StepDown(const JetStream& jetstream, const std::string& api) {
  auto answer = jetstream.Call(api, "");
  if (!answer) return Wrap(std::move(answer).error(), api);
  return {};
}

std::string Name(std::string_view stream, std::string_view consumer) {
  return std::string(stream) + "." + std::string(consumer);
}

}  // namespace

Result<NatsCluster> NatsCluster::Run(const std::string& config) {
  auto nodes = StartNodes(config);
  // Somebody may have taken a port between its choice and its use.
  for (int start = 2; !nodes && start <= kStartsMax; ++start) nodes = StartNodes(config);
  if (!nodes) return tl::unexpected(std::move(nodes).error());
  NatsCluster cluster(*std::move(nodes));
  if (auto ready = cluster.WaitReady(); !ready) return tl::unexpected(std::move(ready).error());
  return cluster;
}

NatsServer* NatsCluster::node(std::string_view name) {
  for (std::size_t n = 0; n < nodes_.size(); ++n) {
    if (NodeName(n) == name) return &nodes_[n];
  }
  return nullptr;
}

std::string NatsCluster::url() const {
  std::string urls;
  for (const NatsServer& node : nodes_) urls += (urls.empty() ? "" : ",") + node.url();
  return urls;
}

Result<void> NatsCluster::WaitReady() const {
  auto connection = Connection::Open({.url = url(), .name = "cluster-probe"});
  if (!connection) return tl::unexpected(std::move(connection).error());
  const JetStream jetstream(**connection, std::chrono::seconds(2));
  const std::string config =
      json{{"name", kProbeStream}, {"storage", "memory"}, {"num_replicas", kNodes}}.dump();
  std::string problem;
  const auto deadline = std::chrono::steady_clock::now() + kReadyDeadline;
  while (std::chrono::steady_clock::now() < deadline) {
    const auto stored = jetstream.CreateStream(kProbeStream, config);
    if (stored) {
      const auto removed = jetstream.DeleteStream(kProbeStream);
      if (removed) return {};
      problem = removed.error().error.message;
    } else {
      problem = stored.error().error.message;
    }
    std::this_thread::sleep_for(kProbePause);
  }
  return Fail(ErrorKind::kRetryable, "the cluster does not store a stream: " + problem);
}

Result<std::string> StreamLeader(const JetStream& jetstream, std::string_view stream) {
  return Leader(jetstream, "STREAM.INFO." + std::string(stream), std::string(stream));
}

Result<std::string> ConsumerLeader(const JetStream& jetstream, std::string_view stream,
                                   std::string_view consumer) {
  const std::string name = Name(stream, consumer);
  return Leader(jetstream, "CONSUMER.INFO." + name, name);
}

Result<void> StepDownStream(const JetStream& jetstream, std::string_view stream) {
  return StepDown(jetstream, "STREAM.LEADER.STEPDOWN." + std::string(stream));
}

Result<void> StepDownConsumer(const JetStream& jetstream, std::string_view stream,
                              std::string_view consumer) {
  return StepDown(jetstream, "CONSUMER.LEADER.STEPDOWN." + Name(stream, consumer));
}

}  // namespace lanekeeper::nats
