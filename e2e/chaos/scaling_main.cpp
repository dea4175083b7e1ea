// lanekeeper-chaos-scaling: scales, rolls out and drains nodes while jobs run on a real cluster,
// and shows that none is interrupted.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "e2e/bench/figures.h"
#include "e2e/chaos/only_option.h"
#include "e2e/chaos/scaling_gpu.h"
#include "e2e/chaos/scaling_head_of_line.h"
#include "e2e/chaos/scaling_replaced.h"
#include "e2e/chaos/scaling_scale_in.h"
#include "e2e/chaos/scaling_timings.h"

namespace {

using namespace lanekeeper::e2e;  // NOLINT: a main file.
using std::chrono::milliseconds;

struct Options {
  std::vector<int> scale_ins;  // By number; empty: all.
  int rollouts = 5;
  int node_drains = 5;
  int undrains = 25;
  int idle_releases = 8;
};

// A stage and its witness; the namespace goes with it.
class Ground {
 public:
  Ground(const Cluster& cluster, const std::string& part)
      : jobs_(cluster),
        stage_(cluster, jobs_, "chaos-" + part + "-" + std::to_string(getpid())),
        made_(MakeNamespace(cluster, stage_.pool_namespace())),
        witness_(cluster, jobs_.connection(), stage_.pool_namespace()) {}
  ~Ground() {
    std::printf("      lanekeeper_jobs_interrupted_total %.0f\n",
                OperatorMetric(stage_.cluster(), "lanekeeper_jobs_interrupted_total"));
    RemoveNamespace(stage_.cluster(), jobs_, stage_.pool_namespace());
  }
  Ground(const Ground&) = delete;
  Ground& operator=(const Ground&) = delete;
  Stage& stage() { return stage_; }
  Witness& witness() { return witness_; }

 private:
  // Before it is watched: kubectl would end at once.
  static bool MakeNamespace(const Cluster& cluster, const std::string& name) {
    return cluster.Kubectl({"create", "namespace", name}).status == 0;
  }

  Jobs jobs_;
  Stage stage_;
  bool made_;
  Witness witness_;
};

using Bars = std::vector<Bar>;

constexpr double kNotMeasured = NAN;

std::vector<ScaleIn> ScaleIns() {
  const std::vector<Load> half = {{"one", 5, 5}};
  const std::vector<Load> both = {{"one", 4, 4}, {"two", 3, 3}};
  const auto at = [&](const char* name, Meanwhile meanwhile, Step step) {
    return ScaleIn{.name = name, .loads = half, .meanwhile = meanwhile, .at = step};
  };
  return {
      {.name = "half are busy", .loads = half},
      {.name = "few are busy", .loads = {{"one", 2, 8}}},
      {.name = "most are busy", .loads = {{"one", 8, 2}}},
      {.name = "four slots a worker", .loads = {{"wide", 4, 12}}},
      {.name = "maximum lowered", .loads = half, .meanwhile = Meanwhile::kMaxLowered},
      {.name = "maximum lowered, all busy",
       .loads = {{"one", 9, 1}},
       .meanwhile = Meanwhile::kMaxLowered},
      at("demand back at the first drain", Meanwhile::kDemandBack, Step::kDrainAsked),
      at("demand back when drained", Meanwhile::kDemandBack, Step::kDrained),
      at("demand back when marked", Meanwhile::kDemandBack, Step::kMarked),
      at("operator killed at the first drain", Meanwhile::kOperatorKilled, Step::kDrainAsked),
      at("operator killed when drained", Meanwhile::kOperatorKilled, Step::kDrained),
      at("operator killed when marked", Meanwhile::kOperatorKilled, Step::kMarked),
      at("operator killed when lowered", Meanwhile::kOperatorKilled, Step::kLowered),
      {.name = "idle pod deleted", .loads = half, .meanwhile = Meanwhile::kIdlePodDeleted},
      {.name = "busy pod deleted", .loads = half, .meanwhile = Meanwhile::kBusyPodDeleted},
      {.name = "two lanes", .loads = both},
      {.name = "two lanes, operator killed",
       .loads = both,
       .meanwhile = Meanwhile::kOperatorKilled,
       .at = Step::kDrained},
      {.name = "idle worker silent",
       .loads = half,
       .meanwhile = Meanwhile::kIdleWorkerSilent,
       .long_job = milliseconds(30000)},
      {.name = "busy worker silent",
       .loads = half,
       .meanwhile = Meanwhile::kBusyWorkerSilent,
       .long_job = milliseconds(30000)},
      {.name = "waves", .loads = half, .meanwhile = Meanwhile::kWaves},
  };
}

Bars RunScaleIns(const Cluster& cluster, const Options& options) {
  Ground ground(cluster, "in");
  if (!ground.stage().Apply(ScaleInLanes())) return {{"scale-ins", kNotMeasured}};
  const std::vector<ScaleIn> all = ScaleIns();
  int tried = 0;
  int carried_out = 0;
  std::size_t interrupted = 0;
  for (std::size_t n = 0; n < all.size(); ++n) {
    const auto& only = options.scale_ins;
    const int number = static_cast<int>(n) + 1;
    if (!only.empty() && std::find(only.begin(), only.end(), number) == only.end()) continue;
    std::printf("\n  scale-in %d: %s\n", number, all[n].name.c_str());
    const ScaleInResult result = RunScaleIn(ground.stage(), ground.witness(), all[n]);
    std::printf("  %2d  %s\n", number, Describe(all[n], result).c_str());
    std::fflush(stdout);
    ++tried;
    carried_out += result.carried_out ? 1 : 0;
    interrupted += result.interruptions.size();
  }
  const std::string how =
      "by the jobs' records (one start, no interruption) and a watch of the pods (none with a "
      "running job told to end)";
  return {
      {"scale-ins carried out", static_cast<double>(carried_out), "scale-ins",
       static_cast<double>(tried),
       "idle workers released while others were busy, and the lane came to rest", Limit::kAtLeast},
      {"jobs interrupted in " + std::to_string(tried) + " scale-ins",
       static_cast<double>(interrupted), "jobs", 0, how}};
}

// Rollouts, or node drains: `run` makes the one of that number.
template <typename RunOne>
Bars RunReplaced(Ground& ground, const std::string& what, int count, const RunOne& run) {
  if (!ground.stage().Apply(SteadyLanes())) return {{what, kNotMeasured}};
  std::size_t interrupted = 0;
  int carried_out = 0;
  for (int n = 1; n <= count; ++n) {
    const std::string name = what + " " + std::to_string(n);
    std::printf("\n  %s\n", name.c_str());
    const ReplacedResult result = run(n, name);
    std::printf("  %s\n", Describe(name, result).c_str());
    std::fflush(stdout);
    interrupted += result.interruptions.size();
    carried_out += result.troubles.empty() ? 1 : 0;
  }
  return {{what + "s carried out", static_cast<double>(carried_out), what + "s",
           static_cast<double>(count),
           "pods of busy workers told to end, all replaced, all jobs done", Limit::kAtLeast},
          {"jobs interrupted in " + std::to_string(count) + " " + what + "s",
           static_cast<double>(interrupted), "jobs", 0,
           "by the jobs' records: one start, no interruption"}};
}

Bars RunRollouts(const Cluster& cluster, const Options& options) {
  Ground ground(cluster, "rollout");
  return RunReplaced(ground, "rollout", options.rollouts, [&](int n, const std::string&) {
    return RunRollout(ground.stage(), ground.witness(), std::to_string(n), milliseconds(12000));
  });
}

Bars RunNodeDrains(const Cluster& cluster, const Options& options) {
  Ground ground(cluster, "drain");
  return RunReplaced(ground, "node drain", options.node_drains, [&](int, const std::string& name) {
    return RunNodeDrain(ground.stage(), ground.witness(), name, milliseconds(12000));
  });
}

Bars RunTimings(const Cluster& cluster, const Options& options) {
  std::vector<double> undrain;
  {
    Ground ground(cluster, "undrain");
    if (ground.stage().Apply(UndrainLanes())) {
      undrain = MeasureUndrain(ground.stage(), ground.witness(), options.undrains);
    }
  }
  std::vector<double> release;
  {
    Ground ground(cluster, "idle");
    if (ground.stage().Apply(ScaleInLanes())) {
      release = MeasureIdleRelease(ground.stage(), ground.witness(), options.idle_releases);
    }
  }
  const auto whole = [](const std::vector<double>& values, int wanted) {
    return static_cast<int>(values.size()) == wanted ? Percentile(values, 1) : kNotMeasured;
  };
  std::printf("  undrain to start: p50 %.1f ms, longest %.1f ms of %zu\n", Percentile(undrain, 0.5),
              Percentile(undrain, 1), undrain.size());
  std::printf("  idle release: median %.2f s, longest %.2f s of %zu\n", Percentile(release, 0.5),
              Percentile(release, 1), release.size());
  return {{"undrain to start of the next job", whole(undrain, options.undrains), "ms", 50,
           "longest of " + std::to_string(options.undrains) +
               ": undrain sent to a drained worker with a job waiting, until the handler's start "
               "by its own clock; p50 " +
               std::to_string(Percentile(undrain, 0.5))},
          {"idle release", whole(release, options.idle_releases), "s", 2,
           "longest of " + std::to_string(options.idle_releases) +
               ": end of the last job + window, until a watch sees the replicas lowered; median " +
               std::to_string(Percentile(release, 0.5))}};
}

Bars RunGpus(const Cluster& cluster, const Options&) {
  const AdvertisedGpus gpus(cluster, 2);
  Ground ground(cluster, "gpu");
  std::vector<std::string> troubles;
  GpuResult shortage;
  if (gpus && ground.stage().Apply(GpuLanes(), GpuBudget())) {
    shortage = RunGpuShortage(ground.stage(), ground.witness());
    troubles = RunGpuRollout(ground.stage(), ground.witness());
  } else {
    shortage.troubles.emplace_back("no GPUs, or the pool is not accepted");
  }
  troubles.insert(troubles.end(), shortage.troubles.begin(), shortage.troubles.end());
  std::printf("  at most %d Gpu workers, %d of both lanes; the other lane got %d; condition: %s\n",
              shortage.most_gpu_workers, shortage.most_workers, shortage.cpu_workers,
              shortage.capacity_message.c_str());
  for (const std::string& one : troubles) std::printf("      %s\n", one.c_str());
  return {{"Gpu claims that do not hold", static_cast<double>(troubles.size()), "claims", 0,
           "2 GPUs, 6 wanted, budget of 4: two run, CapacityShort names the resource, the other "
           "lane gets the rest, the budget is kept, a rollout on full GPUs ends"}};
}

Bars RunMixed(const Cluster& cluster, const Options&) {
  const MixedWork work;
  Ground shared(cluster, "shared");
  Ground lanes(cluster, "lanes");
  if (!shared.stage().Apply(SharedLane(work)) || !lanes.stage().Apply(SeparateLanes(work))) {
    return {{"head of line", kNotMeasured}};
  }
  const HeadOfLine result = RunHeadOfLine(shared.stage(), lanes.stage(), work);
  std::printf("%s", Describe(result).c_str());
  return {{"p99 wait of short jobs, lanes over shared pool", ShortWaitRatio(result), "x", 0.05,
           "50 ms and 60 s jobs at the same moments to 6 workers in one lane, and to 2 + 4 in two; "
           "wait = first start - storing, by the records; lanes " +
               std::to_string(Percentile(result.lanes.short_ms, 0.99)) + " ms, shared " +
               std::to_string(Percentile(result.shared.short_ms, 0.99)) + " ms"}};
}

struct Part {
  const char* name;
  const char* what;
  Bars (*run)(const Cluster&, const Options&);
};

constexpr Part kParts[] = {
    {"scale-ins", "20 scale-ins with busy workers", RunScaleIns},
    {"rollouts", "5 rollouts while jobs run", RunRollouts},
    {"node-drains", "5 drains of the node while jobs run", RunNodeDrains},
    {"timings", "undrain, and release of idle workers", RunTimings},
    {"gpu", "more GPUs asked for than there are", RunGpus},
    {"head-of-line", "short jobs beside long ones, shared pool and lanes", RunMixed},
};

std::string Description() {
  std::string text =
      "Scales, rolls out and drains nodes while jobs run, on the cluster of e2e/cluster or the "
      "one\n"
      "that E2E_KUBECONFIG names, and shows that no job is interrupted.\n\nParts:\n";
  for (const Part& part : kParts) {
    const std::string name = part.name;
    text += "  " + name + std::string(14 - name.size(), ' ') + part.what + "\n";
  }
  return text + "\nPrints one JSON line a bar at the end. Exit status: 0 all hold, 1 one does not.";
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(Description(), "lanekeeper-chaos-scaling");
  app.footer(
      "Examples:\n  lanekeeper-chaos-scaling\n"
      "  lanekeeper-chaos-scaling --only scale-ins --scale-ins 1,11");
  Options options;
  const OnlyOption only(app, kParts, "parts");
  app.add_option("--scale-ins", options.scale_ins, "only these, by number from 1")
      ->delimiter(',')
      ->check(CLI::Range(1, 20));
  app.add_option("--rollouts", options.rollouts)->check(CLI::PositiveNumber);
  app.add_option("--node-drains", options.node_drains)->check(CLI::PositiveNumber);
  app.add_option("--undrains", options.undrains)->check(CLI::PositiveNumber);
  app.add_option("--idle-releases", options.idle_releases)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);

  const Cluster cluster;
  Bars bars;
  for (const Part& part : kParts) {
    if (!only.Takes(part.name)) continue;
    std::printf("\n%s: %s\n", part.name, part.what);
    std::fflush(stdout);
    for (Bar& bar : part.run(cluster, options)) bars.push_back(std::move(bar));
  }
  std::printf("\n");
  return PrintBars(bars) ? 0 : 1;
}
