#include "e2e/chaos/failover_stage.h"

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <utility>

#include "e2e/bench/lane_bench.h"
#include "operator/jetstream/jetstream_ledger.h"
#include "operator/kubernetes/kubeconfig.h"
#include "operator/kubernetes/requests.h"

namespace lanekeeper::e2e {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kNamespace = "failover";
constexpr const char* kPool = "media";
constexpr const char* kLeaseName = "lanekeeper-operator";
constexpr milliseconds kLook{10};
constexpr seconds kPatience{120};

// Whoever reads it sees the old or the new.
void WriteFile(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::path half = path;
  half += ".new";
  std::ofstream(half) << text;
  std::filesystem::rename(half, path);
}

template <typename Condition>
void AwaitOrThrow(const std::string& what, Condition holds) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) throw std::runtime_error("waited for " + what);
    std::this_thread::sleep_for(kLook);
  }
}

json Parsed(const Result<kubernetes::Answer>& answer) {
  return answer ? json::parse(answer->body, nullptr, false) : json();
}

std::string NameOf(std::size_t number) { return number == 0 ? "operator-a" : "operator-b"; }

// For an operator that goes through a proxy.
std::string ProxiedKubeConfig(int port, const std::string& token) {
  return json{
      {"apiVersion", "v1"},
      {"kind", "Config"},
      {"current-context", "c"},
      {"clusters",
       {{{"name", "c"}, {"cluster", {{"server", "http://127.0.0.1:" + std::to_string(port)}}}}}},
      {"users", {{{"name", "u"}, {"user", {{"token", token}}}}}},
      {"contexts", {{{"name", "c"}, {"context", {{"cluster", "c"}, {"user", "u"}}}}}}}
      .dump();
}

}  // namespace

ReplicaWitness::ReplicaWitness(kubernetes::Api& api, std::string pool_namespace)
    : api_(api),
      pool_namespace_(std::move(pool_namespace)),
      thread_([this](const std::stop_token& stop) { Run(stop); }) {}

int ReplicaWitness::Replicas(const std::string& deployment) const {
  const std::lock_guard lock(mutex_);
  const auto found = replicas_.find(deployment);
  return found == replicas_.end() ? -1 : found->second;
}

std::vector<ReplicaChange> ReplicaWitness::Changes(const std::string& deployment) const {
  const std::lock_guard lock(mutex_);
  const auto found = changes_.find(deployment);
  return found == changes_.end() ? std::vector<ReplicaChange>{} : found->second;
}

// A watch from the beginning tells of every object there is, so one that ends is begun again.
void ReplicaWitness::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const auto request = kubernetes::WatchRequest(
        kubernetes::kDeployments,
        {.only_namespace = pool_namespace_, .resource_version = "0", .timeout = seconds(3600)});
    (void)api_.Stream(
        request, seconds(3700),
        [this](std::string_view line) {
          const json event = json::parse(line, nullptr, false);
          if (event.is_object() && event.contains("object")) See(event["object"]);
          return true;
        },
        stop);
  }
}

void ReplicaWitness::See(const json& deployment) {
  const SteadyTime now = std::chrono::steady_clock::now();
  const json::json_pointer wanted("/spec/replicas");
  const json::json_pointer generation("/metadata/generation");
  const json::json_pointer seen("/status/observedGeneration");
  if (!deployment.contains(wanted)) return;
  const std::string name = deployment["metadata"].value("name", "");
  const int replicas = deployment.at(wanted).get<int>();
  {
    const std::lock_guard lock(mutex_);
    const auto [known, is_new] = replicas_.try_emplace(name, 0);
    if (known->second != replicas) changes_[name].push_back({now, known->second, replicas});
    known->second = replicas;
  }
  const json status = {{"status", {{"observedGeneration", deployment.at(generation)}}}};
  if (deployment.value(seen, json()) == deployment.at(generation)) return;
  (void)api_.Call(kubernetes::MergePatchStatusRequest(kubernetes::kDeployments,
                                                      {pool_namespace_, name}, status.dump()));
}

FailoverStage::FailoverStage(std::filesystem::path folder)
    : folder_(std::move(folder)),
      server_(folder_),
      api_(Must(kubernetes::ApiClient::Create(server_.ConfigWithToken()), "API client")),
      nats_server_(Must(nats::NatsServer::Run(), "nats-server")),
      connection_(Must(nats::Connection::Open({.url = nats_server_.url(), .name = "failover"}),
                       "NATS connection")),
      jetstream_(*connection_, seconds(10)) {
  MakePool();
  witness_ = std::make_unique<ReplicaWitness>(*api_, kNamespace);
  const kubernetes::KubeConfig config = server_.ConfigWithToken();
  for (std::size_t n = 0; n < kOperators; ++n) {
    const int port = FreePort();
    http_ports_.at(n) = FreePort();
    SetFaults(n, json::object());
    const std::string faults = (folder_ / (NameOf(n) + ".faults")).string();
    proxies_.at(n).emplace(
        std::vector<std::string>{
            "python3", "e2e/chaos/fault_proxy.py", "--listen", "127.0.0.1:" + std::to_string(port),
            "--upstream", config.host + ":" + std::to_string(config.port), "--faults", faults},
        Environment{{"HOME", std::getenv("HOME") != nullptr ? std::getenv("HOME") : ""}},
        (folder_ / (NameOf(n) + ".proxy.log")).string());
    WriteFile(folder_ / (NameOf(n) + ".kubeconfig"), ProxiedKubeConfig(port, config.token));
    Start(n);
  }
}

LaneKey FailoverStage::Key(const std::string& lane) { return {kNamespace, kPool, lane}; }

std::string FailoverStage::Deployment(const std::string& lane) const {
  return std::string(kPool) + "-" + lane;
}

void FailoverStage::MakePool() {
  ApplyCrd(*api_);
  Must(api_->Call(kubernetes::CreateRequest(
           {"/api/v1", "namespaces", "v1", "Namespace"}, "",
           json{{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", kNamespace}}}}
               .dump())),
       "namespace");
  json lanes = json::array();
  for (const char* lane : {"rounds", "load"}) {
    needs_[lane].push_back({std::chrono::steady_clock::now(), 0});
    lanes.push_back({{"name", lane},
                     {"workers", {{"min", 0}, {"max", kWorkersMax}}},
                     {"scaling",
                      {{"jobsPerWorker", kJobsPerWorker},
                       {"scaleDownWindow", std::to_string(kWindow.count()) + "s"}}}});
  }
  const json pool = {
      {"apiVersion", kubernetes::kWorkerPools.api_version},
      {"kind", kubernetes::kWorkerPools.kind},
      {"metadata", {{"name", kPool}}},
      {"spec",
       {{"template", {{"spec", {{"containers", {{{"name", "worker"}, {"image", "worker:1"}}}}}}}},
        {"lanes", lanes}}}};
  AwaitOrThrow("the pool to be taken", [&] {
    return api_->Call(kubernetes::CreateRequest(kubernetes::kWorkerPools, kNamespace, pool.dump()))
        .has_value();
  });
}

void FailoverStage::Start(std::size_t number) {
  operators_.at(number).emplace(
      std::vector<std::string>{ProgramBesideThis("lanekeeper-operator"), "--kubeconfig",
                               (folder_ / (NameOf(number) + ".kubeconfig")).string()},
      Environment{{"LANEKEEPER_NATS_URL", nats_server_.url()},
                  {"LANEKEEPER_HTTP_PORT", std::to_string(http_ports_.at(number))},
                  {"LANEKEEPER_LEADER_ELECTION", "true"},
                  {"LANEKEEPER_LEASE_DURATION", std::to_string(kLeaseDuration.count()) + "s"},
                  {"LANEKEEPER_LEASE_NAME", kLeaseName},
                  {"POD_NAMESPACE", kNamespace},
                  {"POD_NAME", NameOf(number)}},
      (folder_ / (NameOf(number) + ".log")).string());
}

void FailoverStage::Kill(std::size_t number) {
  operators_.at(number)->Signal(SIGKILL);
  operators_.at(number)->Wait();
  operators_.at(number).reset();
}

void FailoverStage::Stop(std::size_t number) {
  operators_.at(number)->Signal(SIGTERM);
  operators_.at(number)->Wait();
  operators_.at(number).reset();
}

void FailoverStage::AwaitReady(std::size_t number) {
  kubernetes::KubeConfig config;
  config.scheme = "http";
  config.host = "127.0.0.1";
  config.port = http_ports_.at(number);
  const auto client = Must(kubernetes::ApiClient::Create(config), "client");
  AwaitOrThrow(NameOf(number) + " to be ready", [&] {
    const auto answer = client->Exchange({.method = "GET", .path = "/readyz"}, {});
    return answer && answer->status == 200;
  });
}

void FailoverStage::SetFaults(std::size_t number, const json& faults) {
  WriteFile(folder_ / (NameOf(number) + ".faults"), faults.dump());
}

std::optional<std::size_t> FailoverStage::Leader() {
  const json lease =
      Parsed(api_->Call(kubernetes::GetRequest(kubernetes::kLeases, {kNamespace, kLeaseName})));
  const json::json_pointer holder("/spec/holderIdentity");
  if (!lease.is_object() || !lease.contains(holder)) return std::nullopt;
  const std::string name = lease.at(holder).get<std::string>();
  for (std::size_t n = 0; n < kOperators; ++n) {
    if (name.rfind(NameOf(n), 0) == 0 && operators_.at(n)) return n;
  }
  return std::nullopt;
}

std::size_t FailoverStage::AwaitLeader() {
  std::optional<std::size_t> leader;
  AwaitOrThrow("a leader", [&] { return (leader = Leader()).has_value(); });
  return *leader;
}

void FailoverStage::DeleteLease() {
  Must(api_->Call(kubernetes::DeleteRequest(kubernetes::kLeases, {kNamespace, kLeaseName}, "")),
       "deleting the lease");
}

void FailoverStage::SetNeed(const std::string& lane, int workers) {
  const int wanted = workers * kJobsPerWorker;
  int& jobs = jobs_[lane];
  // Said first when it rises and last when it falls: what was needed in between is not less.
  const Need need{std::chrono::steady_clock::now(), workers};
  if (wanted >= jobs) needs_[lane].push_back(need);
  if (wanted < jobs) {
    const auto purged =
        jetstream_.Call("STREAM.PURGE." + JobStreamName(Key(lane)), json{{"keep", wanted}}.dump());
    if (!purged) throw std::runtime_error("purging: " + purged.error().error.message);
    needs_[lane].push_back({std::chrono::steady_clock::now(), workers});
  }
  for (; jobs < wanted; ++jobs) {
    const nats::Headers headers = {
        {std::string(kHeaderMessageId), "job-" + std::to_string(++published_)},
        {std::string(kHeaderType), "sleep"}};
    AwaitOrThrow("a job to be stored", [&] {
      return jetstream_.PublishAck(JobSubject(Key(lane)), "1", headers).has_value();
    });
  }
  jobs = wanted;
}

std::optional<milliseconds> FailoverStage::AwaitNeed(const std::string& lane, seconds deadline) {
  const SteadyTime begin = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() < begin + deadline) {
    if (witness_->Replicas(Deployment(lane)) == need(lane)) {
      return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begin);
    }
    std::this_thread::sleep_for(kLook);
  }
  return std::nullopt;
}

std::vector<ReplicaChange> FailoverStage::Changes(const std::string& lane) const {
  return witness_->Changes(Deployment(lane));
}

std::vector<LedDecision> FailoverStage::Decisions(const std::string& lane) {
  const LedgerPage page =
      Must(ReadLedger(jetstream_, Key(lane), static_cast<std::size_t>(kLedgerEntriesPerLaneMax)),
           "reading the ledger");
  if (!page.skipped.empty()) throw std::runtime_error(page.skipped.front().message);
  std::vector<LedDecision> decisions;
  for (const LedgerEntry& entry : page.entries) decisions.push_back({entry.leader, entry.epoch});
  return decisions;
}

}  // namespace lanekeeper::e2e
