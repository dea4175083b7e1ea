#include "e2e/chaos/failover_stage.h"

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
constexpr milliseconds kLook{10};

// Whoever reads it sees the old or the new.
void WriteFile(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::path half = path;
  half += ".new";
  std::ofstream(half) << text;
  std::filesystem::rename(half, path);
}

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
  OperatorPairOptions options{
      .folder = folder_, .nats_url = nats_server_.url(), .pool_namespace = kNamespace};
  for (std::size_t n = 0; n < kOperators; ++n) {
    const int port = FreePort();
    SetFaults(n, json::object());
    const std::string faults = (folder_ / (OperatorName(n) + ".faults")).string();
    proxies_.at(n).emplace(
        std::vector<std::string>{
            "python3", "e2e/chaos/fault_proxy.py", "--listen", "127.0.0.1:" + std::to_string(port),
            "--upstream", config.host + ":" + std::to_string(config.port), "--faults", faults},
        Environment{{"HOME", std::getenv("HOME") != nullptr ? std::getenv("HOME") : ""}},
        (folder_ / (OperatorName(n) + ".proxy.log")).string());
    options.kubeconfigs.at(n) = (folder_ / (OperatorName(n) + ".kubeconfig")).string();
    WriteFile(options.kubeconfigs.at(n), ProxiedKubeConfig(port, config.token));
  }
  operators_.emplace(*api_, options);
}

LaneKey FailoverStage::Key(const std::string& lane) { return {kNamespace, kPool, lane}; }

std::string FailoverStage::Deployment(const std::string& lane) const {
  return std::string(kPool) + "-" + lane;
}

void FailoverStage::MakePool() {
  ApplyCrd(*api_);
  CreateNamespace(*api_, kNamespace);
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
  WaitFor("the pool to be taken", [&] {
    return api_->Call(kubernetes::CreateRequest(kubernetes::kWorkerPools, kNamespace, pool.dump()))
        .has_value();
  });
}

void FailoverStage::SetFaults(std::size_t number, const json& faults) {
  WriteFile(folder_ / (OperatorName(number) + ".faults"), faults.dump());
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
    WaitFor("a job to be stored",
            [&] { return jetstream_.PublishAck(JobSubject(Key(lane)), "1", headers).has_value(); });
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
