// The scaling policies side by side, on traces: what Lanekeeper's decisions come to against KEDA
// with the HPA, tuned. Everything is simulated, so the figures are the same on every machine; only
// the time a simulation takes is not.
//
// LANEKEEPER_TRACES is a folder with llm-conversation.csv (Azure, LLM inference, 2023) and
// gpu-image-requests.csv (Alibaba, GenAI, 2026). Without it only made-up traces are run.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "e2e/bench/figures.h"
#include "operator/simulate/clairvoyant.h"
#include "operator/simulate/comparison.h"
#include "operator/simulate/make_trace.h"
#include "operator/simulate/read_trace.h"

namespace lanekeeper::e2e {
namespace {

using namespace simulate;  // NOLINT(google-build-using-namespace): its words are this file's.
using std::chrono::milliseconds;
using std::chrono::seconds;

// One setting for all traces: a lane of class Long (one slot, 60 s window) with targetWait: 1s.
constexpr milliseconds kTargetWait{1000};
constexpr int kWorkersMax = 500;
constexpr double kCostMax = 1.1;

ComparedPool OneLane() {
  ComparedLane lane{"lane", {}, seconds(30)};
  lane.scaled.policy = {.workers_min = 0,
                        .workers_max = kWorkersMax,
                        .jobs_per_worker = 1,
                        .scale_down_window = seconds(60),
                        .slots = 1,
                        .target_wait = kTargetWait};
  return {{lane}, {}};
}

struct Ratio {
  double p99;   // Of Lanekeeper's p99 wait to KEDA's.
  double cost;  // Of the worker-seconds.
};

Ratio CompareOn(const std::string& name, const Trace& trace) {
  const ComparedPool pool = OneLane();
  const std::vector<RoutedJob> jobs = Route(trace, {});
  const LaneOutcome ours = RunPolicy(Policy::kLanekeeper, pool, jobs, seconds(30)).lanes[0];
  const LaneOutcome theirs = RunPolicy(Policy::kKedaTuned, pool, jobs, seconds(30)).lanes[0];
  std::vector<LaneJob> lane_jobs;
  for (const RoutedJob& job : jobs) lane_jobs.push_back(job.job);
  const LowerBound bound = BoundFromBelow({1, seconds(30)}, lane_jobs);
  const Ratio ratio{ours.waits.p99 / std::max(theirs.waits.p99, 1e-3),
                    ours.worker_seconds / theirs.worker_seconds};
  std::printf(
      "%-34s %7lld jobs | p99 %6.1f s vs %6.1f s: %.2f | worker-seconds %8.0f vs %8.0f: %.2f "
      "(at least %.2f) | reversals %lld vs %lld, killed 0 vs %lld\n",
      name.c_str(), static_cast<long long>(ours.waits.jobs), ours.waits.p99, theirs.waits.p99,
      ratio.p99, ours.worker_seconds, theirs.worker_seconds, ratio.cost,
      bound.worker_seconds / theirs.worker_seconds, static_cast<long long>(ours.reversals),
      static_cast<long long>(theirs.reversals), static_cast<long long>(theirs.kills));
  return ratio;
}

void Worsen(Ratio& worst, const Ratio& ratio) {
  worst = {std::max(worst.p99, ratio.p99), std::max(worst.cost, ratio.cost)};
}

using Service = std::function<double(Dice&)>;
Service Exponential(double mean) {
  return [mean](Dice& dice) { return dice.Exponential(mean); };
}
Service LogNormal(double mean, double sigma) {
  return [mean, sigma](Dice& dice) { return dice.LogNormal(mean, sigma); };
}
Service Pareto(double mean, double shape) {
  return [mean, shape](Dice& dice) { return dice.Pareto(mean, shape); };
}

// The worst of both over traces of every kind.
Ratio MadeUp() {
  constexpr double kDay = 86400;
  struct Named {
    const char* name;
    Trace trace;
  };
  const std::vector<Named> traces{
      {"steady, 0.3 busy, 10 s", SteadyTrace(1, kDay, 0.03, Exponential(10))},
      {"steady, 2 busy, 10 s", SteadyTrace(2, kDay, 0.2, Exponential(10))},
      {"steady, 20 busy, 10 s", SteadyTrace(3, kDay, 2, Exponential(10))},
      {"steady, 20 busy, 1 s", SteadyTrace(4, kDay / 4, 20, Exponential(1))},
      {"steady, 20 busy, 5 min", SteadyTrace(5, kDay, 20.0 / 300, Exponential(300))},
      {"steady, 5 busy, 1 min", SteadyTrace(6, kDay, 5.0 / 60, LogNormal(60, 1))},
      {"bursts, 2 min of 12, 5 s", BurstyTrace(7, kDay, 2, 120, 600, LogNormal(5, 0.7))},
      {"bursts, 5 min of 10, 20 s", BurstyTrace(8, kDay, 0.5, 300, 300, LogNormal(20, 0.7))},
      {"bursts, 30 s of 2 min, 1 s", BurstyTrace(9, kDay / 2, 10, 30, 90, LogNormal(1, 0.7))},
      {"daily, up to 20 busy, 10 s", DailyTrace(10, kDay, 0.02, 2, LogNormal(10, 0.7))},
      {"daily, up to 9 busy, 30 s", DailyTrace(11, kDay, 0, 0.3, LogNormal(30, 0.7))},
      {"heavy tail (Pareto 1.5), 20 s", SteadyTrace(12, kDay, 0.5, Pareto(20, 1.5))},
      {"heavy tail (log-normal 2), 20 s", SteadyTrace(13, kDay, 0.5, LogNormal(20, 2))},
  };
  Ratio worst{0, 0};
  for (const Named& named : traces) {
    Worsen(worst, CompareOn(named.name, named.trace));
  }
  return worst;
}

// Nothing when the file is not there; ends the program when it cannot be understood.
std::optional<Trace> Load(const std::string& folder, const char* file, TraceReading reading) {
  if (folder.empty()) return std::nullopt;
  std::ifstream stream(folder + "/" + file, std::ios::binary);
  if (!stream) {
    std::printf("%s is not in %s: skipped\n", file, folder.c_str());
    return std::nullopt;
  }
  const std::string text(std::istreambuf_iterator<char>(stream), {});
  Result<Trace> trace = ReadTrace(text, reading);
  if (trace) return *std::move(trace);
  std::printf("%s: %s\n", file, trace.error().message.c_str());
  std::exit(2);
}

constexpr const char* kHow =
    "simulated, 30 s cold start, one slot, targetWait 1s, against KEDA + HPA with 1 s polling, 15 "
    "s "
    "sync, 60 s window and cooldown";

void AddRatio(std::vector<Bar>& bars, const std::string& name, const Ratio& ratio, double p99_max) {
  bars.push_back({name + ": p99 wait against KEDA's", ratio.p99, "ratio", p99_max, kHow});
  bars.push_back({name + ": worker-seconds against KEDA's", ratio.cost, "ratio", kCostMax, kHow});
}

struct RecordedTrace {
  const char* name;
  const char* file;
  TraceFormat format;
  double speed_up;
  double p99_max;
  std::vector<double> other_speed_ups;
};

std::string NameAt(const RecordedTrace& recorded, double speed_up) {
  if (speed_up == 1) return recorded.name;
  char times[32];
  std::snprintf(times, sizeof times, "%g", speed_up);
  return std::string(recorded.name) + ", clock times " + times;
}

void Recorded(const std::string& folder, std::vector<Bar>& bars) {
  const RecordedTrace traces[] = {
      {"LLM trace", "llm-conversation.csv", TraceFormat::kAzureLlm, 1, 0.15, {0.25, 0.5, 2, 3}},
      {"GPU trace", "gpu-image-requests.csv", TraceFormat::kAlibabaGenAi, 10, 0.7, {1, 3, 30, 100}},
  };
  for (const RecordedTrace& recorded : traces) {
    const auto compare = [&](double speed_up) -> std::optional<Ratio> {
      const auto trace =
          Load(folder, recorded.file, {.format = recorded.format, .speed_up = speed_up});
      if (!trace) return std::nullopt;
      return CompareOn(NameAt(recorded, speed_up), *trace);
    };
    const std::optional<Ratio> ratio = compare(recorded.speed_up);
    if (!ratio) continue;
    AddRatio(bars, NameAt(recorded, recorded.speed_up), *ratio, recorded.p99_max);
    Ratio worst{0, 0};
    for (const double speed_up : recorded.other_speed_ups) Worsen(worst, *compare(speed_up));
    AddRatio(bars, std::string(recorded.name) + " at other speeds, the worst", worst, 1.0);
  }
}

// Jobs of 5 s and of 5 h, in one lane and in two with the same workers together.
Bar HeadOfLine() {
  Trace trace = SteadyTrace(21, 86400, 0.5, [](Dice& dice) { return dice.LogNormal(5, 0.5); });
  const Trace long_jobs = BurstyTrace(22, 86400, 0.05, 600, 3600,
                                      [](Dice& dice) { return dice.LogNormal(18000, 0.3); });
  trace.insert(trace.end(), long_jobs.begin(), long_jobs.end());
  std::stable_sort(trace.begin(), trace.end(),
                   [](const Job& a, const Job& b) { return a.arrival < b.arrival; });

  ComparedPool pool = OneLane();
  pool.lanes[0].name = "short";
  pool.lanes[0].scaled.policy.workers_max = 20;
  pool.lanes.push_back(pool.lanes[0]);
  pool.lanes[1].name = "long";
  pool.lanes[1].scaled.policy.workers_max = 60;
  const std::vector<RoutedJob> jobs = Route(trace, {{}, {{std::chrono::hours(1), 1}}});
  const Outcome apart = RunPolicy(Policy::kLanekeeper, pool, jobs, seconds(30));
  const Outcome together =
      RunPolicy(Policy::kLanekeeper, Joined(pool, 0), Joined(jobs), seconds(30));
  std::printf(
      "head of line: %zu jobs of about 5 s, %zu of about 5 h, 80 workers at most | p99 wait of the "
      "short ones %.1f s in a lane of their own, %.1f s in one lane with the others\n",
      trace.size() - long_jobs.size(), long_jobs.size(), apart.groups[0].p99,
      together.groups[0].p99);
  return {"head of line: p99 wait of 5 s jobs, one lane for all against lanes",
          together.groups[0].p99 / std::max(apart.groups[0].p99, 1e-3),
          "times as long",
          100,
          "simulated: 43,000 jobs of 5 s and bursts of 5 h jobs over a day, the same 80 workers",
          Limit::kAtLeast};
}

Bar Speed() {
  const Trace trace = DailyTrace(31, 86400, 0.1, 4, LogNormal(10, 0.7));
  const std::vector<RoutedJob> jobs = Route(trace, {});
  const ComparedPool pool = OneLane();
  const auto begin = std::chrono::steady_clock::now();
  const Outcome outcome = RunPolicy(Policy::kLanekeeper, pool, jobs, seconds(30));
  const double took =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::printf("24 hours, %lld jobs, %lld decisions: %.2f s\n",
              static_cast<long long>(outcome.lanes[0].waits.jobs),
              static_cast<long long>(outcome.steps), took);
  return {"24 hours of a trace", took, "s", 5, "wall time of one simulation, two samples a second"};
}

int Run() {
  const char* folder = std::getenv("LANEKEEPER_TRACES");
  std::vector<Bar> bars;
  if (folder == nullptr || *folder == '\0') {
    std::printf("LANEKEEPER_TRACES is not set: the recorded traces are skipped\n");
  } else {
    Recorded(folder, bars);
  }
  const Ratio worst = MadeUp();
  AddRatio(bars, "made-up traces, the worst", worst, 1.0);
  bars.push_back(HeadOfLine());
  bars.push_back(Speed());
  return PrintBars(bars) ? 0 : 1;
}

}  // namespace
}  // namespace lanekeeper::e2e

int main(int argc, char** argv) {
  CLI::App app("Scaling policies side by side, simulated");
  CLI11_PARSE(app, argc, argv);
  return lanekeeper::e2e::Run();
}
