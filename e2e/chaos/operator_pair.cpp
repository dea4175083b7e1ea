#include "e2e/chaos/operator_pair.h"

#include <cmath>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>
#include <vector>

#include "e2e/bench/lane_bench.h"
#include "operator/kubernetes/api_client.h"
#include "operator/kubernetes/requests.h"

namespace lanekeeper::e2e {
namespace {

using nlohmann::json;

constexpr const char* kLeaseName = "lanekeeper-operator";

std::unique_ptr<kubernetes::ApiClient> ClientOf(int port) {
  kubernetes::KubeConfig config;
  config.scheme = "http";
  config.host = "127.0.0.1";
  config.port = port;
  return Must(kubernetes::ApiClient::Create(config), "client");
}

}  // namespace

std::string OperatorName(std::size_t number) { return number == 0 ? "operator-a" : "operator-b"; }

OperatorPair::OperatorPair(kubernetes::Api& api, OperatorPairOptions options)
    : api_(api), options_(std::move(options)) {
  for (int& port : http_ports_) port = FreePort();
  for (std::size_t n = 0; n < kOperators; ++n) Start(n);
}

void OperatorPair::Start(std::size_t number) {
  operators_.at(number).emplace(
      std::vector<std::string>{ProgramBesideThis("lanekeeper-operator"), "--kubeconfig",
                               options_.kubeconfigs.at(number)},
      Environment{{"LANEKEEPER_NATS_URL", options_.nats_url},
                  {"LANEKEEPER_HTTP_PORT", std::to_string(http_ports_.at(number))},
                  {"LANEKEEPER_LEADER_ELECTION", "true"},
                  {"LANEKEEPER_LEASE_DURATION", std::to_string(kLeaseDuration.count()) + "s"},
                  {"LANEKEEPER_LEASE_NAME", kLeaseName},
                  {"POD_NAMESPACE", options_.pool_namespace},
                  {"POD_NAME", OperatorName(number)}},
      (options_.folder / (OperatorName(number) + ".log")).string());
}

void OperatorPair::Kill(std::size_t number) { End(number, SIGKILL); }

void OperatorPair::Stop(std::size_t number) { End(number, SIGTERM); }

void OperatorPair::End(std::size_t number, int signal) {
  operators_.at(number)->Signal(signal);
  operators_.at(number)->Wait();
  operators_.at(number).reset();
}

void OperatorPair::AwaitReady(std::size_t number) {
  const auto client = ClientOf(http_ports_.at(number));
  WaitFor(OperatorName(number) + " to be ready", [&] {
    const auto answer = client->Exchange({.method = "GET", .path = "/readyz"}, {});
    return answer && answer->status == 200;
  });
}

double OperatorPair::Metric(std::size_t number, const std::string& name) const {
  const auto answer =
      ClientOf(http_ports_.at(number))
          ->Exchange({.method = "GET", .path = "/metrics"}, {.deadline = std::chrono::seconds(2)});
  double sum = NAN;
  if (!answer || answer->status != 200) return sum;
  std::istringstream lines(answer->body);
  for (std::string line; std::getline(lines, line);) {
    const bool is_it = line.rfind(name, 0) == 0 && line.size() > name.size() &&
                       (line[name.size()] == ' ' || line[name.size()] == '{');
    if (!is_it) continue;
    sum = (std::isnan(sum) ? 0 : sum) + std::atof(line.c_str() + line.rfind(' ') + 1);
  }
  return sum;
}

std::optional<std::size_t> OperatorPair::Leader() {
  const auto answer =
      api_.Call(kubernetes::GetRequest(kubernetes::kLeases, {options_.pool_namespace, kLeaseName}));
  const json lease = answer ? json::parse(answer->body, nullptr, false) : json();
  const json::json_pointer holder("/spec/holderIdentity");
  if (!lease.is_object() || !lease.contains(holder)) return std::nullopt;
  const std::string name = lease.at(holder).get<std::string>();
  for (std::size_t n = 0; n < kOperators; ++n) {
    if (name.rfind(OperatorName(n), 0) == 0 && operators_.at(n)) return n;
  }
  return std::nullopt;
}

std::size_t OperatorPair::AwaitLeader() {
  std::optional<std::size_t> leader;
  WaitFor("a leader", [&] { return (leader = Leader()).has_value(); });
  return *leader;
}

void OperatorPair::DeleteLease() {
  Must(api_.Call(kubernetes::DeleteRequest(kubernetes::kLeases,
                                           {options_.pool_namespace, kLeaseName}, "")),
       "deleting the lease");
}

}  // namespace lanekeeper::e2e
