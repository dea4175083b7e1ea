#include "e2e/chaos/gateway_stage.h"

#include <cpprest/http_client.h>

#include <chrono>
#include <csignal>
#include <exception>
#include <limits>
#include <stdexcept>
#include <thread>
#include <utility>

#include "worker-runtime/job/pool_brief.h"
#include "worker-runtime/nats/pool_brief_json.h"
#include "worker-runtime/nats/queue_setup.h"

namespace lanekeeper::e2e {
namespace {

constexpr std::chrono::seconds kPatience{60};
constexpr std::chrono::milliseconds kLook{10};
constexpr std::size_t kReaders = 8;
constexpr const char* kResultsStream = "RESULTS";
constexpr const char* kResultsSubject = "results";

nats::NatsServer MustRunServer() {
  auto server = nats::NatsServer::Run();
  if (!server) throw std::runtime_error(server.error().message);
  return *std::move(server);
}

}  // namespace

GatewayStage::GatewayStage(const std::string& scenario, const std::filesystem::path& folder,
                           bool drained)
    : folder_(folder), server_(MustRunServer()) {
  lane_ = std::make_unique<ChaosLane>(
      ChaosLaneOptions{.scenario = scenario, .url = server_.url(), .folder = folder_});
  TellOfPool();
  if (drained) StartWorker();
  for (std::size_t gateway = 0; gateway < kGateways; ++gateway) {
    ports_.at(gateway) = FreePort();
    urls_.at(gateway) = "http://127.0.0.1:" + std::to_string(ports_.at(gateway));
    StartGateway(gateway);
  }
  for (std::size_t gateway = 0; gateway < kGateways; ++gateway) {
    if (!AwaitReady(gateway)) {
      throw std::runtime_error("a gateway does not become ready; see " + folder_.string());
    }
  }
}

GatewayStage::~GatewayStage() = default;

void GatewayStage::TellOfPool() {
  const LaneKey& key = lane_->key();
  const PoolBrief brief{.pool_namespace = key.pool_namespace,
                        .pool = key.pool,
                        .lanes = {{.name = key.lane,
                                   .stream = JobStreamName(key),
                                   .consumer = std::string(kConsumerName),
                                   .depth_max = 1'000'000}},
                        .routes = {}};
  const auto bucket = nats::EnsureBucket(lane_->jetstream(), kPoolBucket, {});
  if (!bucket) throw std::runtime_error(bucket.error().message);
  const auto told = lane_->jetstream().PublishAck(PoolSpecSubject(key.pool_namespace, key.pool),
                                                  nats::WritePoolBrief(brief));
  if (!told) throw std::runtime_error(told.error().error.message);
}

void GatewayStage::StartWorker() {
  const LaneKey& key = lane_->key();
  worker_.emplace(std::vector<std::string>{ProgramBesideThis("lanekeeper-chaos-gateway-worker")},
                  Environment{{kEnvNatsUrl, server_.url()},
                              {kEnvNamespace, key.pool_namespace},
                              {kEnvPool, key.pool},
                              {kEnvLane, key.lane},
                              {kEnvWorker, "w1"},
                              {kEnvSlots, "16"},
                              {kEnvHttpPort, "0"},
                              {kEnvLogLevel, "warning"},
                              {"RESULTS_SUBJECT", kResultsSubject}},
                  folder_ / "worker.log");
}

void GatewayStage::StartGateway(std::size_t gateway) {
  gateways_.at(gateway).emplace(
      std::vector<std::string>{ProgramBesideThis("lanekeeper-gateway")},
      Environment{{kEnvNatsUrl, server_.url()},
                  {"LANEKEEPER_GATEWAY_ADDRESS", "127.0.0.1:" + std::to_string(ports_.at(gateway))},
                  {"LANEKEEPER_GATEWAY_AUTH", "none"},
                  {kEnvHttpPort, "0"},
                  {kEnvLogLevel, "info"}},
      folder_ / ("gateway" + std::to_string(gateway) + ".log"));
}

void GatewayStage::KillGateway(std::size_t gateway) {
  gateways_.at(gateway)->Signal(SIGKILL);
  gateways_.at(gateway)->Wait();
}

void GatewayStage::RestartGateway(std::size_t gateway) {
  KillGateway(gateway);
  StartGateway(gateway);
}

void GatewayStage::StartServer() {
  if (const auto started = server_.Start(); !started) {
    throw std::runtime_error(started.error().message);
  }
}

bool GatewayStage::AwaitReady(std::size_t gateway) const {
  web::http::client::http_client_config config;
  config.set_timeout(std::chrono::seconds(2));
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < until) {
    try {
      web::http::client::http_client client(urls_.at(gateway), config);
      if (client.request(web::http::methods::GET, "/readyz").get().status_code() == 200)
        return true;
    } catch (const std::exception&) {
    }
    std::this_thread::sleep_for(kLook);
  }
  return false;
}

void GatewayStage::Drain() {
  // As long as it gets emptier: a busy machine takes its time.
  constexpr std::chrono::seconds kStill{60};
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  auto give_up_at = std::chrono::steady_clock::now() + kStill;
  auto say_at = std::chrono::steady_clock::now();
  while (true) {
    const std::int64_t left = lane_->Left();
    const auto now = std::chrono::steady_clock::now();
    if (left == 0) return;
    if (left > 0 && left < least) {
      least = left;
      give_up_at = now + kStill;
    }
    if (now >= give_up_at) {
      throw std::runtime_error("the worker has not settled a job for a minute; " +
                               std::to_string(left) + " are left, " +
                               std::to_string(lane_->Running()) + " of them delivered");
    }
    if (now >= say_at) {
      lane_->Say(std::to_string(left) + " jobs left");
      say_at = now + std::chrono::seconds(5);
    }
    std::this_thread::sleep_for(kLook);
  }
}

std::vector<GatewayJob> GatewayStage::Jobs() const {
  const auto state = lane_->jetstream().StreamInfo(kResultsStream);
  if (!state) throw std::runtime_error(state.error().error.message);
  std::vector<GatewayJob> jobs(state->last_sequence);
  {
    std::vector<std::jthread> readers;
    for (std::size_t first = 0; first < kReaders; ++first) {
      readers.emplace_back([&, first] {
        for (std::size_t n = first; n < jobs.size(); n += kReaders) {
          const auto run = lane_->Result(n + 1);
          if (run.is_object()) jobs[n] = {.submit = run.at("type"), .id = run.at("id")};
        }
      });
    }
  }
  for (const GatewayJob& job : jobs) {
    if (job.id.empty()) throw std::runtime_error("a result cannot be read");
  }
  return jobs;
}

}  // namespace lanekeeper::e2e
