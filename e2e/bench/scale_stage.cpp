#include "e2e/bench/scale_stage.h"

#include <stdlib.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>
#include <stdexcept>

#include "e2e/bench/lane_bench.h"
#include "operator/kubernetes/kubeconfig.h"
#include "operator/kubernetes/object_names.h"
#include "operator/kubernetes/requests.h"

namespace lanekeeper::e2e {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kLook{50};
// The page of a large list, the metrics of 10,000 lanes: on a busy machine they take their time.
constexpr seconds kDeadline{60};

std::unique_ptr<kubernetes::ApiClient> Client(kubernetes::KubeConfig config) {
  return Must(kubernetes::ApiClient::Create(std::move(config)), "an HTTP client");
}

std::string Get(kubernetes::Api& api, const std::string& path) {
  const auto answer = api.Call({.method = "GET", .path = path}, {.deadline = kDeadline});
  return answer ? answer->body : "";
}

// Every stream is an open file of the server, and every tapped or watched thing one here.
void AllowManyFiles() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

nats::NatsServer RunNats(const std::string& folder) {
  AllowManyFiles();
  return Must(nats::NatsServer::Run({.store_directory = folder + "/nats"}),
              "starting a nats-server");
}

}  // namespace

std::atomic<bool> scale_interrupted = false;

void Nap(milliseconds duration) {
  const auto until = std::chrono::steady_clock::now() + duration;
  do {
    if (scale_interrupted) throw std::runtime_error("interrupted");
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(
        kLook, std::max<std::chrono::nanoseconds>(milliseconds(0),
                                                  until - std::chrono::steady_clock::now())));
  } while (std::chrono::steady_clock::now() < until);
}

ScaleFolder::ScaleFolder() : path_((fs::temp_directory_path() / "lanekeeper-scale-XXXXXX")) {
  if (mkdtemp(path_.data()) == nullptr) throw std::runtime_error("making " + path_);
}

ScaleFolder::~ScaleFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

ScaleStage::ScaleStage()
    : api_server_(folder_.path() + "/api"),
      server_(RunNats(folder_.path())),
      api_(Client(api_server_.Config())),
      connection_(Must(nats::Connection::Open({.url = server_.url()}), "connecting to NATS")),
      port_(FreePort()),
      http_(Client({.scheme = "http", .host = "127.0.0.1", .port = port_})) {}

void ScaleStage::StartOperator() {
  operator_.emplace(std::vector<std::string>{ProgramBesideThis("lanekeeper-operator"),
                                             "--kubeconfig", api_server_.kubeconfig()},
                    Environment{{"LANEKEEPER_NATS_URL", server_.url()},
                                {"LANEKEEPER_SAMPLE_INTERVAL", "1s"},
                                {"LANEKEEPER_HTTP_PORT", std::to_string(port_)},
                                {"LANEKEEPER_LOG_LEVEL", "warning"}},
                    folder_.path() + "/operator.log");
}

void ScaleStage::KillOperator() {
  operator_->Signal(SIGKILL);
  operator_->Wait();
}

void ScaleStage::CheckOperator() const {
  // What has ended and was not waited for has no memory.
  if (!operator_ || !std::isnan(OneProcessMiB(operator_->pid(), "VmRSS"))) return;
  const std::string log = TextOf(folder_.path() + "/operator.log");
  constexpr std::size_t kShown = 2000;
  throw std::runtime_error("the operator has ended: " +
                           log.substr(log.size() - std::min(log.size(), kShown)));
}

bool ScaleStage::OperatorReady() {
  return http_->Call({.method = "GET", .path = "/readyz"}).has_value();
}

std::map<std::string, double> ScaleStage::OperatorMetrics() {
  std::map<std::string, double> metrics;
  std::istringstream lines(Get(*http_, "/metrics"));
  for (std::string line; std::getline(lines, line);) {
    const std::size_t space = line.find(' ');
    if (line.empty() || line[0] == '#' || line.find('{') != std::string::npos) continue;
    if (space != std::string::npos) metrics[line.substr(0, space)] = std::atof(&line[space + 1]);
  }
  return metrics;
}

double ScaleStage::ApiWrites() {
  static const std::regex kWrites(
      "^apiserver_request_total\\{.*resource=\"(workerpools|deployments|events|pods)\".*"
      "verb=\"(APPLY|CREATE|DELETE|PATCH|POST|PUT|UPDATE)\"");
  const std::string text = Get(*api_, "/metrics");
  if (text.empty()) return std::nan("");
  double sum = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("apiserver_request_total{", 0) != 0) continue;
    if (std::regex_search(line, kWrites)) sum += std::atof(&line[line.rfind(' ') + 1]);
  }
  return sum;
}

double ScaleStage::NatsRequests() {
  const auto answer = Must(connection_->Request("$JS.API.INFO", "", {}, kDeadline), "asking NATS");
  const auto object = nlohmann::json::parse(answer.payload, nullptr, false);
  const nlohmann::json::json_pointer total("/api/total");
  return object.is_object() && object.contains(total) ? object.at(total).get<double>()
                                                      : std::nan("");
}

namespace {

// Hands over every object of a watch, for as long as the thread is wanted.
std::jthread Watch(kubernetes::Api& api, const kubernetes::Resource& resource,
                   std::function<void(const nlohmann::json&)> on_object) {
  return std::jthread([&api, resource, on_object = std::move(on_object)](std::stop_token stop) {
    const auto take = [&](std::string_view line) {
      const auto event = nlohmann::json::parse(line, nullptr, false);
      if (event.is_object() && event.contains("object")) on_object(event["object"]);
      return !stop.stop_requested();
    };
    while (!stop.stop_requested()) {
      const auto request = kubernetes::WatchRequest(
          resource, {.resource_version = "0", .timeout = std::chrono::seconds(3000)});
      (void)api.Stream(request, std::chrono::seconds(3100), take, stop);
    }
  });
}

std::string NameOf(const nlohmann::json& object) { return object["metadata"]["name"]; }

}  // namespace

ScaleWatch::ScaleWatch(kubernetes::Api& api)
    : pools_(Watch(api, kubernetes::kWorkerPools, [this](const auto& object) { OnPool(object); })),
      workloads_(Watch(api, kubernetes::kDeployments,
                       [this](const auto& object) { OnDeployment(object); })) {}

void ScaleWatch::OnPool(const nlohmann::json& object) {
  const nlohmann::json::json_pointer conditions("/status/conditions");
  if (!object.contains(conditions)) return;
  bool ready = false;
  for (const auto& condition : object.at(conditions)) {
    ready = ready || (condition["type"] == "Ready" && condition["status"] == "True");
  }
  bool& kept = ready_[NameOf(object)];
  pools_ready_ += static_cast<int>(ready) - static_cast<int>(kept);
  kept = ready;
}

void ScaleWatch::OnDeployment(const nlohmann::json& object) {
  const Time now = std::chrono::steady_clock::now();
  const nlohmann::json::json_pointer metadata("/metadata/name");
  const nlohmann::json::json_pointer replicas("/spec/replicas");
  if (!object.contains(metadata)) return;
  if (seen_.insert(NameOf(object)).second) ++deployments_;
  if (!object.contains(replicas) || object.at(replicas) == 0) return;
  const std::lock_guard lock(mutex_);
  if (with_worker_.emplace(NameOf(object), now).second) changed_.notify_all();
}

std::optional<ScaleWatch::Time> ScaleWatch::AwaitWorker(const LaneKey& lane, seconds deadline) {
  const std::string name = lane.pool + "-" + lane.lane;
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, deadline, [&] { return with_worker_.contains(name); })) return {};
  return with_worker_.at(name);
}

}  // namespace lanekeeper::e2e
