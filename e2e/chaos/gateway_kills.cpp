// Gateways and the nats-server die under load, again and again.
#include <chrono>
#include <random>
#include <stdexcept>
#include <thread>

#include "e2e/chaos/gateway_scenarios.h"
#include "e2e/chaos/gateway_stage.h"
#include "e2e/chaos/gateway_submitters.h"

namespace lanekeeper::e2e {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::int64_t kAnswersBetweenKills = 32;

class Killer {
 public:
  Killer(GatewayStage& stage, const GatewaySubmitters& submitters)
      : stage_(stage), submitters_(submitters) {}

  // One kill and the restart after it. Returns when everything takes jobs again.
  void Kill() {
    std::this_thread::sleep_for(milliseconds(random_() % 400));
    switch (random_() % 8) {
      case 0:
      case 1:
      case 2:
        KillServer();
        break;
      case 3:  // The server is gone as well while a gateway starts.
        stage_.KillGateway(0);
        stage_.KillServer();
        stage_.StartGateway(0);
        std::this_thread::sleep_for(milliseconds(random_() % 300));
        stage_.StartServer();
        break;
      default: {
        const std::size_t gateway = random_() % GatewayStage::kGateways;
        stage_.KillGateway(gateway);
        std::this_thread::sleep_for(milliseconds(random_() % 200));
        stage_.StartGateway(gateway);
        ++gateway_kills_;
      }
    }
    for (std::size_t gateway = 0; gateway < GatewayStage::kGateways; ++gateway) {
      if (!stage_.AwaitReady(gateway)) {
        throw std::runtime_error("a gateway is not ready a minute after a kill");
      }
    }
    AwaitAnswers();
  }
  int gateway_kills() const { return gateway_kills_; }
  int server_kills() const { return server_kills_; }

 private:
  // Jobs are accepted again: the next kill meets a gateway that works.
  void AwaitAnswers() const {
    const std::int64_t answered = submitters_.Counts().answered + kAnswersBetweenKills;
    const auto until = steady_clock::now() + std::chrono::minutes(2);
    while (submitters_.Counts().answered < answered) {
      if (steady_clock::now() > until) {
        throw std::runtime_error("no job is accepted two minutes after a kill");
      }
      std::this_thread::sleep_for(milliseconds(2));
    }
  }
  void KillServer() {
    stage_.KillServer();
    std::this_thread::sleep_for(milliseconds(random_() % 300));
    stage_.StartServer();
    ++server_kills_;
  }

  GatewayStage& stage_;
  const GatewaySubmitters& submitters_;
  std::mt19937 random_{std::random_device{}()};
  int gateway_kills_ = 0;
  int server_kills_ = 0;
};

std::string Examples(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t n = 0; n < names.size() && n < 3; ++n) text += " " + names[n];
  return text.empty() ? text : "; such as" + text;
}

void SayIdsOf(const std::string& key, const GatewayEvidence& evidence, const ChaosLane& lane) {
  std::string text = key + " answered as";
  for (const GatewayAnswer& answer : evidence.answers) {
    if (answer.submit == key) text += " " + answer.id;
  }
  text += "; ran as";
  for (const GatewayJob& job : evidence.jobs) {
    if (job.submit == key) text += " " + job.id;
  }
  lane.Say(text);
}

Bar None(const std::string& name, const std::vector<std::string>& found, const std::string& how) {
  return {.name = "gateways-killed: " + name,
          .value = static_cast<double>(found.size()),
          .unit = "jobs",
          .bar = 0.0,
          .how = how + Examples(found)};
}

}  // namespace

std::vector<Bar> KillGateways(int kills, int clients, const std::filesystem::path& folder) {
  GatewayStage stage("gateways-killed", folder);
  const LaneKey& key = stage.lane().key();
  GatewaySubmitters submitters(
      {.urls = stage.urls(), .pool = {key.pool_namespace, key.pool}, .clients = clients});

  Killer killer(stage, submitters);
  auto say_at = steady_clock::now();
  for (int kill = 1; kill <= kills; ++kill) {
    killer.Kill();
    if (steady_clock::now() < say_at) continue;
    const SubmitCounts counts = submitters.Counts();
    stage.lane().Say(std::to_string(kill) + " kills, " + std::to_string(counts.answered) +
                     " answered 202, " + std::to_string(counts.failed) + " tries failed, " +
                     std::to_string(stage.lane().Left()) + " jobs in the lane");
    say_at = steady_clock::now() + std::chrono::seconds(5);
  }
  submitters.Finish();
  stage.lane().Say("no more kills; the lane is drained");
  stage.Drain();

  GatewayEvidence evidence = submitters.Evidence();
  evidence.jobs = stage.Jobs();
  const GatewayVerdict verdict = DecideGatewayVerdict(evidence);
  for (const std::string& twice : verdict.keys_with_two_jobs)
    SayIdsOf(twice, evidence, stage.lane());
  const SubmitCounts counts = submitters.Counts();
  std::vector<std::string> accepted;
  for (const GatewayAnswer& answer : evidence.answers) accepted.push_back(answer.id);
  std::vector<Bar> bars = stage.lane().Judge(
      accepted,
      "SIGKILL of a gateway " + std::to_string(killer.gateway_kills()) + " times, of nats-server " +
          std::to_string(killer.server_kills()) + " times, of both at once the rest",
      kills);
  bars.push_back(None("accepted_lost", verdict.accepted_lost,
                      std::to_string(verdict.accepted) + " ids answered 202; ids without a job"));
  bars.push_back(None("keys_with_two_jobs", verdict.keys_with_two_jobs,
                      std::to_string(evidence.keyed.size()) + " keys"));
  bars.push_back(None("keys without a job", verdict.keys_without_a_job,
                      "sent until they were answered, for two minutes at most"));
  bars.push_back(None("plain submits with two jobs", verdict.plain_with_two_jobs,
                      std::to_string(evidence.plain.size()) + " plain submits, each sent once"));
  bars.push_back(None("jobs of nobody", verdict.jobs_of_nobody, "jobs that nobody handed in"));
  bars.push_back({.name = "gateways-killed: refused for good",
                  .value = static_cast<double>(counts.refused),
                  .unit = "answers",
                  .bar = 0.0,
                  .how = std::to_string(counts.failed) +
                         " tries failed; those that no retry helps " + counts.refusal});
  bars.push_back({.name = "gateways-killed: jobs without an answer",
                  .value = static_cast<double>(verdict.unanswered_jobs),
                  .unit = "jobs",
                  .bar = {},
                  .how = "of plain submits whose answer was lost"});
  return bars;
}

}  // namespace lanekeeper::e2e
