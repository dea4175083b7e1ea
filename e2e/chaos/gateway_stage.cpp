#include "e2e/chaos/gateway_stage.h"

#include <chrono>
#include <limits>
#include <stdexcept>
#include <thread>
#include <utility>

#include "worker-runtime/job/pool_brief.h"
#include "worker-runtime/nats/pool_brief_json.h"
#include "worker-runtime/nats/queue_setup.h"

namespace lanekeeper::e2e {
namespace {

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
  // Without a worker of ours nobody is killed or cut off: no lease is to run out, however slow the
  // machine is. With one, it is certain that no job dies of being delivered again.
  const auto ack_wait = drained ? ChaosLaneOptions{}.ack_wait : std::chrono::milliseconds(60'000);
  lane_ = std::make_unique<ChaosLane>(ChaosLaneOptions{
      .scenario = scenario, .url = server_.url(), .folder = folder_, .ack_wait = ack_wait});
  TellOfPool();
  if (drained) StartWorker();
  gateways_.emplace(server_.url(), folder_);
  for (std::size_t gateway = 0; gateway < kGateways; ++gateway) {
    if (!gateways_->AwaitReady(gateway)) {
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
  lane_->Await("the pool is told of", [&] {
    return nats::EnsureBucket(lane_->jetstream(), kPoolBucket, {}) &&
           lane_->jetstream().PublishAck(PoolSpecSubject(key.pool_namespace, key.pool),
                                         nats::WritePoolBrief(brief));
  });
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
                              {kEnvCrashes, "100"},
                              {kEnvHttpPort, "0"},
                              {kEnvLogLevel, "warning"},
                              {"RESULTS_SUBJECT", kResultsSubject}},
                  folder_ / "worker.log");
}

void GatewayStage::StartServer() {
  if (const auto started = server_.Start(); !started) {
    throw std::runtime_error(started.error().message);
  }
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
  std::uint64_t last = 0;
  lane_->Await("the results are counted", [&] {
    const auto state = lane_->jetstream().StreamInfo(kResultsStream);
    if (state) last = state->last_sequence;
    return state.has_value();
  });
  std::vector<GatewayJob> jobs(last);
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
