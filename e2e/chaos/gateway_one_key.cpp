// Many clients, one key, and a gateway that dies in between.
#include <chrono>
#include <latch>
#include <mutex>
#include <random>
#include <set>
#include <stdexcept>
#include <thread>

#include "e2e/chaos/gateway_scenarios.h"
#include "e2e/chaos/gateway_stage.h"
#include "worker-runtime/client/client.h"

namespace lanekeeper::e2e {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int kClients = 64;
constexpr milliseconds kAgainPause{10};
constexpr std::chrono::seconds kAnsweredWithin{60};

struct Round {
  std::mutex mutex;
  GatewayEvidence evidence;
  std::string refusal;
};

void SubmitUntilAnswered(Client& client, const PoolName& pool, const std::string& key,
                         Round& round) {
  const auto until = steady_clock::now() + kAnsweredWithin;
  while (steady_clock::now() < until) {
    const auto job = client.Submit(pool, {.type = key, .payload = key, .idempotency_key = key});
    const std::lock_guard lock(round.mutex);
    if (job) {
      round.evidence.answers.push_back({.submit = key, .id = job->id});
      return;
    }
    if (job.error().kind != ErrorKind::kRetryable) {
      round.refusal = job.error().message;
      return;
    }
    std::this_thread::sleep_for(kAgainPause);
  }
}

}  // namespace

std::vector<Bar> RaceForOneKey(int rounds, const std::filesystem::path& folder) {
  GatewayStage stage("idempotency", folder);
  const LaneKey& lane = stage.lane().key();
  const PoolName pool{lane.pool_namespace, lane.pool};
  std::vector<std::unique_ptr<Client>> clients;
  for (std::size_t n = 0; n < GatewayStage::kGateways; ++n) {
    auto client = Client::Create({.url = stage.url(n), .retries = 0});
    if (!client) throw std::runtime_error(client.error().message);
    clients.push_back(*std::move(client));
  }
  std::mt19937 random(std::random_device{}());
  GatewayEvidence evidence;
  std::string refusal;
  int unanswered = 0;
  for (int number = 0; number < rounds; ++number) {
    const std::string key = "round-" + std::to_string(number);
    Round round;
    {
      std::latch start(kClients + 1);
      std::vector<std::jthread> threads;
      for (int n = 0; n < kClients; ++n) {
        Client& client = *clients[static_cast<std::size_t>(n) % clients.size()];
        threads.emplace_back([&] {
          start.arrive_and_wait();
          SubmitUntilAnswered(client, pool, key, round);
        });
      }
      start.arrive_and_wait();
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 30'000));
      stage.RestartGateway(random() % GatewayStage::kGateways);
    }
    std::set<std::string> ids;
    for (const GatewayAnswer& answer : round.evidence.answers) {
      ids.insert(answer.id);
      evidence.answers.push_back(answer);
    }
    evidence.keyed.insert(key);
    unanswered += kClients - static_cast<int>(round.evidence.answers.size());
    if (!round.refusal.empty()) refusal = round.refusal;
    if (ids.size() != 1) {
      stage.lane().Say(key + " has " + std::to_string(ids.size()) + " ids");
    } else if (number % 10 == 9) {
      stage.lane().Say(std::to_string(number + 1) + " rounds");
    }
    for (std::size_t n = 0; n < GatewayStage::kGateways; ++n) {
      if (!stage.AwaitReady(n)) throw std::runtime_error("a gateway is not ready after a kill");
    }
  }
  stage.Drain();
  evidence.jobs = stage.Jobs();
  const GatewayVerdict verdict = DecideGatewayVerdict(evidence);
  const auto bar = [](const std::string& name, std::size_t value, const std::string& how) {
    return Bar{.name = "idempotency: " + name,
               .value = static_cast<double>(value),
               .unit = "keys",
               .bar = 0.0,
               .how = how};
  };
  const std::string what = std::to_string(rounds) + " keys, each by " + std::to_string(kClients) +
                           " clients at once over two gateways, one of them killed within 30 ms";
  return {bar("keys_with_two_jobs", verdict.keys_with_two_jobs.size(), what),
          bar("keys without a job", verdict.keys_without_a_job.size(), what),
          bar("accepted_lost", verdict.accepted_lost.size(), "ids without a job"),
          bar("clients without an answer", static_cast<std::size_t>(unanswered),
              "within a minute; refused for good: " + (refusal.empty() ? "none" : refusal))};
}

}  // namespace lanekeeper::e2e
