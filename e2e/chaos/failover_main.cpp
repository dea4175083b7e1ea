// lanekeeper-chaos-failover: two operators, a real API server, and everything that can go wrong
// between them.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "e2e/bench/figures.h"
#include "e2e/chaos/failover_stage.h"
#include "e2e/chaos/only_option.h"
#include "worker-runtime/telemetry/telemetry_server.h"

namespace {

using namespace lanekeeper::e2e;  // NOLINT: a main file.
using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kActDeadline{90};

struct Times {
  std::vector<double> failover_ms;  // The leader was lost: to the first act of the other.
  std::vector<double> handover_ms;  // It was told to end.
  std::vector<double> recovery_ms;  // A fault that let nobody lead was over.
  std::vector<double> plain_ms;     // Somebody led all the time.
};

double Ms(const std::optional<milliseconds>& time) {
  return time ? static_cast<double>(time->count()) : NAN;
}

class Rounds {
 public:
  explicit Rounds(FailoverStage& stage) : stage_(stage) {}

  // More jobs at once, and the time until somebody has asked for the workers they need.
  std::optional<milliseconds> Act() {
    const int now = stage_.need("rounds");
    stage_.SetNeed("rounds", now + 2 > kWorkersMax ? now : now + 2);
    return stage_.AwaitNeed("rounds", kActDeadline);
  }

  void LeaderKilled() {
    const std::size_t leader = stage_.operators().AwaitLeader();
    stage_.operators().Kill(leader);
    Took("to the other's first act", times.failover_ms, Act());
    stage_.operators().Start(leader);
    stage_.operators().AwaitReady(leader);
  }
  void LeaderStopped() {
    const std::size_t leader = stage_.operators().AwaitLeader();
    stage_.operators().Signal(leader, SIGSTOP);
    Took("to the other's first act", times.failover_ms, Act());
    Load(seconds(3));
    stage_.operators().Signal(leader, SIGCONT);
    Load(seconds(5));
    Took("to an act afterwards", times.plain_ms, Act());
    stage_.operators().AwaitReady(leader);
  }
  void LeaderTold() {
    const std::size_t leader = stage_.operators().AwaitLeader();
    const SteadyTime begin = std::chrono::steady_clock::now();
    std::thread ends([&] { stage_.operators().Stop(leader); });
    const auto acted = Act();
    ends.join();
    std::printf("      the old one had ended after %lld ms\n",
                static_cast<long long>(std::chrono::duration_cast<milliseconds>(
                                           std::chrono::steady_clock::now() - begin)
                                           .count()));
    Took("from SIGTERM to an act", times.handover_ms, acted);
    stage_.operators().Start(leader);
    stage_.operators().AwaitReady(leader);
  }
  void LeaderCut(const json& fault) {
    const std::size_t leader = stage_.operators().AwaitLeader();
    stage_.SetFaults(leader, fault);
    Took("to the other's first act", times.failover_ms, Act());
    Load(seconds(5));
    stage_.SetFaults(leader, json::object());
    Load(seconds(5));
    Took("to an act afterwards", times.plain_ms, Act());
    stage_.operators().AwaitReady(leader);
  }
  void LeaseDeleted() {
    stage_.operators().AwaitLeader();
    stage_.operators().DeleteLease();
    Took("to an act", times.plain_ms, Act());
    Load(seconds(8));
    stage_.operators().AwaitLeader();
  }
  // For both operators. `nobody_leads`: while it lasts nothing can be done.
  void ServerFault(const json& fault, seconds lasts, bool nobody_leads) {
    for (std::size_t n = 0; n < kOperators; ++n) stage_.SetFaults(n, fault);
    Load(lasts);
    if (!nobody_leads) {
      Took("to an act meanwhile", fault.contains("cut_watch_s") ? times.plain_ms : ignored_, Act());
    }
    for (std::size_t n = 0; n < kOperators; ++n) stage_.SetFaults(n, json::object());
    Took("to an act afterwards", times.recovery_ms, Act());
    for (std::size_t n = 0; n < kOperators; ++n) stage_.operators().AwaitReady(n);
  }
  // Back to nothing: the steps down are the ones that can be wrong.
  void Rest() {
    stage_.SetNeed("rounds", 0);
    stage_.SetNeed("load", 0);
    const auto took = stage_.AwaitNeed("rounds", seconds(60));
    std::printf("      back at zero after %.1f s\n", Ms(took) / 1000);
    if (!took) ++stuck;
  }

  Times times;
  int stuck = 0;

 private:
  void Took(const char* what, std::vector<double>& into, std::optional<milliseconds> time) {
    std::printf("      %5.0f ms %s\n", Ms(time), what);
    std::fflush(stdout);
    into.push_back(Ms(time));
    if (!time) ++stuck;
  }
  // Another lane's jobs come and go meanwhile, so that there is always something to decide.
  void Load(seconds time) {
    const SteadyTime end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) {
      const int now = stage_.need("load");
      stage_.SetNeed("load", now >= 12 ? 3 : now + 1);
      std::this_thread::sleep_for(milliseconds(700));
    }
  }

  FailoverStage& stage_;
  std::vector<double> ignored_;
};

struct Round {
  const char* name;
  const char* what;
  int times;
  std::function<void(Rounds&)> run;
};

std::vector<Round> AllRounds() {
  const auto fault = [](const json& one, seconds lasts, bool nobody_leads) {
    return [=](Rounds& rounds) { rounds.ServerFault(one, lasts, nobody_leads); };
  };
  return {
      {"killed", "SIGKILL of the leader", 5, &Rounds::LeaderKilled},
      {"told", "SIGTERM of the leader", 3, &Rounds::LeaderTold},
      {"stopped", "SIGSTOP of the leader for longer than its lease, then SIGCONT", 3,
       &Rounds::LeaderStopped},
      {"cut", "the leader is cut from the API server, and not from NATS", 2,
       [](Rounds& rounds) {
         rounds.LeaderCut({{"down", true}});
       }},
      {"half-open", "the same, and its connections go silent", 2,
       [](Rounds& rounds) {
         rounds.LeaderCut({{"half_open", true}});
       }},
      {"lease-deleted", "the lease is deleted under the leader", 2, &Rounds::LeaseDeleted},
      {"server-down", "API server unreachable for a minute", 1,
       fault({{"down", true}}, seconds(60), true)},
      {"server-slow", "5 s per call", 1, fault({{"delay_s", 5}}, seconds(25), true)},
      {"server-refuses", "30 % of the calls are answered 429 or 500", 1,
       fault({{"refuse_share", 0.3}}, seconds(20), false)},
      {"watches-cut", "every watch is cut after a second", 1,
       fault({{"cut_watch_s", 1}}, seconds(15), false)},
  };
}

double Most(const std::vector<double>& values) {
  double most = values.empty() ? NAN : 0;
  for (const double value : values) most = std::isnan(value) ? NAN : std::max(most, value);
  return most;
}

std::vector<Bar> Verdict(FailoverStage& stage, const Rounds& rounds) {
  std::size_t decisions = 0;
  std::vector<std::string> two_leaders;
  std::vector<std::string> wrong;
  for (const char* lane : {"rounds", "load"}) {
    const std::vector<LedDecision> of_lane = stage.Decisions(lane);
    decisions += of_lane.size();
    for (std::string& one : DecisionsOfTwoLeaders(of_lane)) {
      two_leaders.push_back(std::string(lane) + ": " + one);
    }
    for (std::string& one :
         WrongSteps(stage.needs(lane), stage.Changes(lane), {.window = kWindow})) {
      wrong.push_back(std::string(lane) + ": " + one);
    }
  }
  std::printf("\n%zu decisions in the ledger\n", decisions);
  for (const auto* list : {&two_leaders, &wrong}) {
    for (const std::string& one : *list) std::printf("  %s\n", one.c_str());
  }
  const Times& times = rounds.times;
  const double lease_ms = std::chrono::duration<double, std::milli>(kLeaseDuration).count();
  std::vector<Bar> bars;
  const auto add = [&](const char* name, const std::vector<double>& values,
                       std::optional<double> bar, const std::string& how) {
    if (!values.empty()) bars.push_back({name, Most(values), "ms", bar, how});
  };
  add("failover, longest", times.failover_ms, lease_ms + 1000,
      "leader killed, stopped or cut off, jobs published at once, to the Deployment's new number; "
      "lease of 6 s; median " +
          std::to_string(std::lround(Percentile(times.failover_ms, 0.5))) + " ms of " +
          std::to_string(times.failover_ms.size()));
  add("planned handover, longest", times.handover_ms, 1000,
      "SIGTERM of the leader, jobs published at once, to the Deployment's new number");
  add("act after a fault of the API server, longest", times.recovery_ms, lease_ms + 1000,
      "API server down 60 s, 5 s a call, 30 % refused, watches cut: from its end");
  add("act while somebody leads, longest", times.plain_ms, std::nullopt,
      "lease deleted, old leader back, watches cut each second");
  bars.push_back({"decisions of two leaders", static_cast<double>(two_leaders.size()), "decisions",
                  0,
                  "by lead and leader of all " + std::to_string(decisions) +
                      " entries of the ledger, in order"});
  bars.push_back({"wrong steps", static_cast<double>(wrong.size()), "steps", 0,
                  "by a watch of the Deployments: none down within the window of what was needed, "
                  "none up beyond it"});
  bars.push_back(
      {"acts that never came", static_cast<double>(rounds.stuck), "acts", 0, "within 90 s"});
  return bars;
}

}  // namespace

int main(int argc, char** argv) {
  lanekeeper::telemetry::SizeThreadPool(4);
  CLI::App app(
      "Two operators stand by for one another: kills, stops and cuts off the one that leads, "
      "breaks "
      "what\nis between them and the API server, and shows that the other acts in time, that no "
      "decision is\ntaken by both, and that no step is wrong.",
      "lanekeeper-chaos-failover");
  const std::vector<Round> all = AllRounds();
  const OnlyOption only(app, all, "rounds");
  CLI11_PARSE(app, argc, argv);

  std::string folder = "/tmp/lanekeeper-failover-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) return 2;
  bool hold = false;
  try {
    FailoverStage stage(folder);
    Rounds rounds(stage);
    stage.SetNeed("rounds", 0);
    stage.operators().AwaitLeader();
    for (std::size_t n = 0; n < kOperators; ++n) stage.operators().AwaitReady(n);
    (void)rounds.Act();
    for (const Round& round : all) {
      if (!only.Takes(round.name)) continue;
      for (int n = 1; n <= round.times; ++n) {
        std::printf("\n%s %d: %s\n", round.name, n, round.what);
        std::fflush(stdout);
        round.run(rounds);
      }
      rounds.Rest();
    }
    const std::vector<Bar> bars = Verdict(stage, rounds);
    std::printf("\n");
    hold = PrintBars(bars);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "lanekeeper-chaos-failover: %s\n", error.what());
  }
  std::error_code ignored;
  if (hold) {
    std::filesystem::remove_all(folder, ignored);
    std::filesystem::remove(folder + ".lock", ignored);
  } else {
    std::printf("logs: %s\n", folder.c_str());
  }
  return hold ? 0 : 1;
}
