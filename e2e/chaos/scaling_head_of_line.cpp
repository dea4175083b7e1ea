#include "e2e/chaos/scaling_head_of_line.h"

#include <cmath>
#include <cstdio>
#include <random>
#include <thread>

#include "e2e/bench/figures.h"

namespace lanekeeper::e2e {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr unsigned kSeed = 5;
constexpr milliseconds kLongJobsComeAt{3000};

std::string FixedLane(const std::string& name, const std::string& lane_class, int workers) {
  const std::string count = std::to_string(workers);
  return "  - name: " + name + "\n    class: " + lane_class + "\n    workers: {min: " + count +
         ", max: " + count + ", slots: 1}\n";
}

bool WorkersReady(const Stage& stage, const std::string& lane, int workers) {
  const Json deployment = stage.cluster().Get("deployment", stage.pool_namespace(),
                                              std::string(kStagePool) + "-" + lane);
  return deployment.is_object() && deployment["status"].value("readyReplicas", 0) == workers;
}

// Moments at which short jobs come, from the start.
std::vector<std::chrono::duration<double>> Arrivals(const MixedWork& work) {
  std::minstd_rand random(kSeed);
  std::exponential_distribution<double> gap(work.short_per_second);
  std::vector<std::chrono::duration<double>> arrivals;
  for (std::chrono::duration<double> at(gap(random)); at < work.lasts;
       at += std::chrono::duration<double>(gap(random))) {
    arrivals.push_back(at);
  }
  return arrivals;
}

bool PublishAll(Stage& shared, Stage& lanes, const MixedWork& work) {
  const int long_jobs = work.short_workers + work.long_workers;
  const Clock::time_point started = Clock::now();
  bool long_came = false;
  bool stored = true;
  for (const std::chrono::duration<double> at : Arrivals(work)) {
    if (!long_came && at >= kLongJobsComeAt) {
      stored = stored && shared.Publish("all", long_jobs, work.long_job) &&
               lanes.Publish("long", long_jobs, work.long_job);
      long_came = true;
    }
    std::this_thread::sleep_until(started + std::chrono::duration_cast<Clock::duration>(at));
    stored = stored && shared.Publish("all", 1, work.short_job) &&
             lanes.Publish("short", 1, work.short_job);
  }
  return stored && long_came;
}

// A short job cannot take half as long as a long one.
Waits WaitsOf(const std::vector<JobFate>& fates, const MixedWork& work) {
  Waits waits;
  for (const JobFate& fate : fates) {
    if (!fate.record) continue;
    const bool is_long = fate.record->ended_at - fate.record->started_at > work.long_job / 2;
    (is_long ? waits.long_ms : waits.short_ms).push_back(WaitMs(*fate.record));
  }
  return waits;
}

std::string Row(const char* name, const std::vector<double>& ms) {
  char line[160];
  std::snprintf(line, sizeof line, "      %-22s %6zu %10.0f %10.0f %10.0f\n", name, ms.size(),
                Percentile(ms, 0.5), Percentile(ms, 0.99), Percentile(ms, 1));
  return line;
}

}  // namespace

std::string SharedLane(const MixedWork& work) {
  return FixedLane("all", "Long", work.short_workers + work.long_workers);
}

std::string SeparateLanes(const MixedWork& work) {
  return FixedLane("short", "Short", work.short_workers) +
         FixedLane("long", "Long", work.long_workers);
}

HeadOfLine RunHeadOfLine(Stage& shared, Stage& lanes, const MixedWork& work) {
  HeadOfLine result;
  const auto need = [&](const std::string& what, bool holds) {
    if (!holds) result.troubles.push_back("not seen: " + what);
  };
  shared.Begin("mixed");
  lanes.Begin("mixed");
  need("workers are ready", Await("workers are ready", [&] {
         return WorkersReady(shared, "all", work.short_workers + work.long_workers) &&
                WorkersReady(lanes, "short", work.short_workers) &&
                WorkersReady(lanes, "long", work.long_workers);
       }));
  need("all jobs are stored", PublishAll(shared, lanes, work));
  const auto both_done = [&] { return shared.AllDone() && lanes.AllDone(); };
  need("all jobs are done", Await("all jobs are done", both_done));
  result.shared = WaitsOf(shared.Fates(), work);
  result.lanes = WaitsOf(lanes.Fates(), work);
  return result;
}

std::string Describe(const HeadOfLine& result) {
  char head[160];
  std::snprintf(head, sizeof head, "      %-22s %6s %10s %10s %10s\n", "wait in ms", "jobs", "p50",
                "p99", "longest");
  std::string text = head + Row("short, shared pool", result.shared.short_ms) +
                     Row("short, lanes", result.lanes.short_ms) +
                     Row("long, shared pool", result.shared.long_ms) +
                     Row("long, lanes", result.lanes.long_ms);
  for (const std::string& one : result.troubles) text += "      " + one + "\n";
  return text;
}

double ShortWaitRatio(const HeadOfLine& result) {
  if (!result.troubles.empty()) return std::nan("");
  return Percentile(result.lanes.short_ms, 0.99) / Percentile(result.shared.short_ms, 0.99);
}

}  // namespace lanekeeper::e2e
