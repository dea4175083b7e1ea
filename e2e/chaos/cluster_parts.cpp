#include "e2e/chaos/cluster_parts.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>

namespace lanekeeper::e2e {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

// A request that was under way when the quorum was lost may have been stored before.
constexpr milliseconds kUnderWay{1000};
// So long a sample counts as fresh (facts of the probe), and a second to act on it.
constexpr milliseconds kHeldAfter{4500};
// Generous: a person would call it broken.
constexpr double kRecoveryMax_ms = 60'000;

void Start(nats::NatsServer& node) {
  if (const auto started = node.Start(); !started) {
    throw std::runtime_error("starting a node: " + started.error().message);
  }
}

std::string Joined(const std::set<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::vector<std::string> DoubtsIn(const std::set<std::string>& reasons) {
  std::vector<std::string> doubts;
  for (const char* doubt : {"NoAnswer", "NatsDisconnected", "JetStreamUnavailable"}) {
    if (reasons.contains(doubt)) doubts.emplace_back(doubt);
  }
  return doubts;
}

}  // namespace

Recovery ClusterParts::Measure(const char* since_what, SteadyTime since) {
  const Recovery recovery = stage_.Recover(since);
  char text[160];
  std::snprintf(text, sizeof(text),
                "since %s: a job accepted after %.0f ms, done after %.0f ms; all lanes sampled "
                "after %.0f ms",
                since_what, recovery.accepted_ms, recovery.done_ms, recovery.sampled_ms);
  stage_.Say(text);
  recoveries_.push_back(recovery);
  return recovery;
}

void ClusterParts::LeadersStepDown(seconds lasts) {
  stage_.Say("every leader steps down each second, for " + std::to_string(lasts.count()) + " s");
  const auto end = steady_clock::now() + lasts;
  int agreed = 0;
  for (auto next = steady_clock::now(); steady_clock::now() < end; next += seconds(1)) {
    agreed += stage_.StepAllDown();
    std::this_thread::sleep_until(next + seconds(1));
  }
  bars_.push_back({.name = "leaders that stepped down",
                   .value = static_cast<double>(agreed),
                   .unit = "times",
                   .bar = 1.0,
                   .how = "of streams, consumers and the meta group",
                   .limit = Limit::kAtLeast});
  Measure("the last step-down", steady_clock::now());
  stage_.AwaitHealthy();
  LookForPassed(seconds(5));
}

// Nothing has stepped down since, so whoever leads has had the time to count.
void ClusterParts::LookForPassed(seconds lasts) {
  const auto end = steady_clock::now() + lasts;
  std::map<std::string, int> looks;
  std::map<std::string, std::int64_t> least;
  while (steady_clock::now() < end) {
    for (const char* lane : {kSteady, kWaves}) {
      const std::int64_t passed = stage_.Passed(lane);
      if (passed < 0) continue;
      const auto [known, is_new] = least.try_emplace(lane, passed);
      known->second = std::min(known->second, passed);
      ++looks[lane];
    }
    std::this_thread::sleep_for(milliseconds(500));
  }
  for (const auto& [lane, passed] : least) {
    passed_ += passed;
    if (passed == 0) continue;
    stage_.Say(lane + ": at all of " + std::to_string(looks[lane]) + " looks " +
               std::to_string(passed) +
               " jobs were in the stream that the consumer neither had to deliver nor had "
               "delivered");
  }
}

void ClusterParts::NodeLost(seconds lasts) {
  nats::NatsServer& node = stage_.StreamLeaderNode(kSteady);
  stage_.Say("SIGKILL of the node that leads the stream of steady");
  const SteadyTime begin = steady_clock::now();
  node.Kill();
  Measure("the kill", begin);
  std::this_thread::sleep_until(begin + lasts);
  Start(node);
  const SteadyTime back = steady_clock::now();
  Measure("its return", back);
  stage_.AwaitHealthy();
  stage_.Say("healthy again");
}

void ClusterParts::RollingRestart() {
  for (int n = 0; n < nats::NatsCluster::kNodes; ++n) {
    stage_.Say("SIGTERM of node " + std::to_string(n));
    const SteadyTime begin = steady_clock::now();
    stage_.node(n).Stop();
    Measure("the SIGTERM", begin);
    Start(stage_.node(n));
    stage_.AwaitHealthy();
    stage_.Say("healthy again");
  }
}

void ClusterParts::GatewayKilled() {
  stage_.Say("SIGKILL of a gateway");
  const SteadyTime begin = steady_clock::now();
  stage_.gateways().Kill(0);
  Measure("the kill", begin);
  std::this_thread::sleep_for(seconds(3));
  stage_.gateways().Start(0);
  if (!stage_.gateways().AwaitReady(0)) throw std::runtime_error("the gateway is not ready");
  stage_.Say("it is ready again");
}

void ClusterParts::QuorumLost(seconds lasts) {
  // Whoever is left leads neither consumer: what it would say of them is old.
  std::set<nats::NatsServer*> lost = {&stage_.ConsumerLeaderNode(kSteady),
                                      &stage_.ConsumerLeaderNode(kWaves)};
  for (int n = 0; lost.size() < 2; ++n) lost.insert(&stage_.node(n));
  stage_.Say("SIGKILL of two nodes");
  for (nats::NatsServer* node : lost) node->Kill();
  const SteadyTime begin = steady_clock::now();
  const SteadyTime end = begin + lasts;

  std::mutex mutex;
  std::vector<Refusal> refusals;
  std::set<std::string> reasons;
  {
    // stage_.TryOnce is for one thread, and a gateway may take its time.
    std::this_thread::sleep_for(kUnderWay);
    std::jthread condition([&] {
      while (steady_clock::now() < end) {
        const std::string reason = stage_.QueueReachable();
        {
          const std::lock_guard lock(mutex);
          reasons.insert(reason);
        }
        std::this_thread::sleep_for(milliseconds(200));
      }
    });
    for (std::size_t n = 0; steady_clock::now() < end; ++n) {
      const auto refusal = stage_.TryOnce(n % GatewayPair::kGateways);
      if (refusal) refusals.push_back(*refusal);
    }
  }
  const SteadyTime back = steady_clock::now();
  quorumless_.push_back({begin, back});
  for (nats::NatsServer* node : lost) Start(*node);
  Measure("the return of both", back);
  stage_.AwaitHealthy();
  stage_.Say("healthy again; QueueReachable was " + Joined(reasons));
  Count("dishonest refusals without quorum", DishonestRefusals(refusals), "answers",
        std::to_string(refusals.size()) + " answers; all but 503 with Retry-After");
  bars_.push_back({.name = "answers without quorum",
                   .value = static_cast<double>(refusals.size()),
                   .unit = "answers",
                   .bar = 1.0,
                   .how = "within " + std::to_string(lasts.count()) + " s, two gateways in turns",
                   .limit = Limit::kAtLeast});
  bars_.push_back({.name = "doubt said without quorum",
                   .value = static_cast<double>(DoubtsIn(reasons).size()),
                   .unit = "reasons",
                   .bar = 1.0,
                   .how = "condition QueueReachable: " + Joined(reasons),
                   .limit = Limit::kAtLeast});
}

void ClusterParts::Count(const std::string& name, const std::vector<std::string>& faults,
                         const char* unit, const std::string& how) {
  for (const std::string& fault : faults) stage_.Say(name + ": " + fault);
  const std::string example = faults.empty() ? "" : "; such as: " + faults.front();
  bars_.push_back({.name = name,
                   .value = static_cast<double>(faults.size()),
                   .unit = unit,
                   .bar = 0.0,
                   .how = how + example});
}

void ClusterParts::JudgeLane(const std::string& lane) {
  const auto verdict = stage_.Verify(lane);
  stage_.Say(lane + ": " + verdict.dump());
  const auto number = [&](const char* what, const char* field, const char* how) {
    bars_.push_back({.name = lane + ": " + what,
                     .value = verdict.value(field, NAN),
                     .unit = "jobs",
                     .bar = 0.0,
                     .how = how});
  };
  number("lost", "lost", "accepted ids = done + dead + waiting");
  number("left in the lane", "queued", "after it had run empty");
  number("dead", "dead", "no handler fails");
  number("stale results", "stale", "records with the result of a run that lost");
  number("contradictory records", "contradictory", "the record says something else than the queue");
  number("ran to the end twice without a reason", "unexplained",
         "no crash, failure or interruption in the record");
  bars_.push_back({.name = lane + ": ran to the end twice",
                   .value = verdict.value("duplicates", NAN),
                   .unit = "jobs",
                   .bar = {},
                   .how = "of " + std::to_string(verdict.value("accepted", 0)) + "; explained"});
  Count(lane + ": without a result", stage_.WithoutResult(lane), "jobs", "by their records");
  const GatewayVerdict promises = stage_.OfGateways(lane);
  Count(lane + ": keys without a job", promises.keys_without_a_job, "keys",
        "sent until they were answered, for two minutes at most");
  Count(lane + ": keys with two jobs", promises.keys_with_two_jobs, "keys",
        "ids answered or run, by key");
  Count(lane + ": plain submits with two jobs", promises.plain_with_two_jobs, "submits",
        "each was sent once");

  const auto changes = stage_.Changes(lane);
  const auto busy = stage_.kubelet().Busy(lane);
  const auto ends = stage_.kubelet().Ends(lane);
  const std::string of_changes = std::to_string(changes.size()) + " changes of replicas, " +
                                 std::to_string(busy.size()) + " busy times, " +
                                 std::to_string(ends.size()) + " workers told to end";
  Count(lane + ": steps below the busy workers", StepsBelowBusy(changes, busy, slack_), "steps",
        of_changes);
  Count(lane + ": workers told to end with jobs in hand", EndedWhileBusy(ends, busy, slack_),
        "workers", of_changes);
  Count(lane + ": scaled to zero while jobs waited",
        ZeroWhileJobsWait(changes, stage_.Jobs(lane), slack_), "steps", of_changes);
  for (const Quorumless& time : quorumless_) {
    Count(lane + ": steps without quorum", StepsWithin(changes, time.from + kHeldAfter, time.to),
          "steps", "from 4.5 s after its loss: a sample counts for 3 s");
    Count(lane + ": accepted without quorum",
          AcceptedWithin(stage_.Answers(lane), time.from + kUnderWay, time.to), "jobs",
          "ids first answered 202 from a second after its loss");
  }
  const auto decisions = stage_.Decisions(lane);
  Count(lane + ": decisions of two leaders", DecisionsOfTwoLeaders(decisions), "decisions",
        "by lead and leader of all " + std::to_string(decisions.size()) +
            " entries of the ledger, in order");
}

void ClusterParts::Longest(const std::string& name, double Recovery::*part,
                           const std::string& how) {
  double longest = 0;
  for (const Recovery& one : recoveries_) {
    longest = std::isnan(one.*part) ? NAN : std::max(longest, one.*part);
    if (std::isnan(longest)) break;
  }
  bars_.push_back(
      {.name = name, .value = longest, .unit = "ms", .bar = kRecoveryMax_ms, .how = how});
}

std::vector<Bar> ClusterParts::Judge() {
  stage_.Drain();
  for (const char* lane : {kSteady, kWaves}) JudgeLane(lane);
  Count("streams that are less safe than the pool asks for", stage_.LessSafeStreams(), "streams",
        "lanes, dead letters, records, keys, pools, ledger; at least three replicas each");
  bars_.push_back({.name = "jobs their consumer had passed",
                   .value = static_cast<double>(passed_),
                   .unit = "jobs",
                   .bar = {},
                   .how =
                       "in the stream, in neither of its consumer's counts, for 5 s after the last "
                       "step-down: nats-server's own; nobody gets them until it counts anew"});
  const SubmitCounts counts = stage_.Counts();
  bars_.push_back({.name = "refused for good",
                   .value = static_cast<double>(counts.refused),
                   .unit = "answers",
                   .bar = 0.0,
                   .how = std::to_string(counts.answered) + " answered 202, " +
                          std::to_string(counts.failed) +
                          " tries failed; those that no retry helps " + counts.refusal});
  const std::string of = "longest of " + std::to_string(recoveries_.size());
  Longest("fault to the next job accepted", &Recovery::accepted_ms, of);
  Longest("fault to the first job handed in since done", &Recovery::done_ms, of);
  Longest("fault to all lanes sampled", &Recovery::sampled_ms, of);
  return bars_;
}

}  // namespace lanekeeper::e2e
