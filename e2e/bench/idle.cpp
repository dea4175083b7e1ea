// The operator at rest: 100 lanes, each sampled every second or more often, nothing to do.
//
// Memory and CPU are the kernel's figures for the operator's process in its pod; API writes are
// counted by the API server, on the resources the operator may write. Needs to run on the node.
#include <CLI/CLI.hpp>

#include <fstream>
#include <regex>
#include <sstream>
#include <thread>

#include "e2e/bench/child.h"
#include "e2e/bench/figures.h"
#include "e2e/scenarios/harness.h"

namespace lanekeeper::e2e {
namespace {

using Clock = std::chrono::steady_clock;
const std::string kNamespace = "bench-idle";
constexpr int kLanesPerPool = 10;

struct Options {
  int lanes = 100;
  int seconds = 120;
};

struct Counters {
  double api_writes = 0;
  double samples = 0;
};

double SumOf(const std::string& text, const std::regex& series) {
  double sum = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (std::regex_search(line, series)) sum += std::atof(line.substr(line.rfind(' ') + 1).c_str());
  }
  return sum;
}

Counters ReadCounters(const Cluster& cluster) {
  static const std::regex kWrites(
      "^apiserver_request_total\\{.*resource=\"(workerpools|deployments|events)\".*"
      "verb=\"(APPLY|CREATE|DELETE|PATCH|POST|PUT|UPDATE)\"");
  static const std::regex kSamples("^lanekeeper_samples_total");
  Counters counters;
  counters.api_writes = SumOf(cluster.Kubectl({"get", "--raw", "/metrics"}).out, kWrites);
  const Ended pods = cluster.Kubectl(
      {"get", "pods", "-n", "lanekeeper-system", "-o", "jsonpath={.items[0].metadata.name}"});
  counters.samples = SumOf(cluster
                               .Kubectl({"get", "--raw",
                                         "/api/v1/namespaces/lanekeeper-system/pods/" + pods.out +
                                             ":8080/proxy/metrics"})
                               .out,
                           kSamples);
  return counters;
}

bool CreateLanes(const Cluster& cluster, int lanes) {
  for (int pool = 0; pool * kLanesPerPool < lanes; ++pool) {
    std::string text;
    for (int lane = 0; lane < kLanesPerPool && pool * kLanesPerPool + lane < lanes; ++lane) {
      text += "  - name: lane-" + std::to_string(lane) + "\n";
    }
    if (!cluster.Apply(PoolManifest(kNamespace, "pool-" + std::to_string(pool), text,
                                    "  queue: {deletePolicy: Delete}\n"))) {
      return false;
    }
  }
  return Await("every pool is Ready", [&] {
    const Ended ready = cluster.Kubectl(
        {"get", "workerpools", "-n", kNamespace, "-o",
         "jsonpath={range .items[*]}{.status.conditions[?(@.type=='Ready')].status}{' '}{end}"});
    std::istringstream words(ready.out);
    int count = 0;
    for (std::string word; words >> word;) count += word == "True" ? 1 : 0;
    return count * kLanesPerPool >= lanes;
  });
}

int Run(const Options& options) {
  const Cluster cluster;
  const pid_t pid = OperatorPid();
  if (pid == 0) {
    std::fprintf(stderr, "the operator's process is not on this machine; run `make e2e-up` here\n");
    return 1;
  }
  if (!CreateLanes(cluster, options.lanes)) return 1;
  std::printf("%d lanes in %d pools; letting them come to rest\n", options.lanes,
              (options.lanes + kLanesPerPool - 1) / kLanesPerPool);
  std::this_thread::sleep_for(std::chrono::seconds(20));

  const Counters before = ReadCounters(cluster);
  const double cpu_before = CpuSeconds(pid);
  const Clock::time_point started = Clock::now();
  std::vector<double> resident;
  std::printf("seconds  rss_mib  cpu_percent\n");
  double elapsed = 0;
  while (elapsed < options.seconds) {
    std::this_thread::sleep_for(std::chrono::seconds(10));
    elapsed = std::chrono::duration<double>(Clock::now() - started).count();
    resident.push_back(OneProcessMiB(pid, "VmRSS"));
    std::printf("%7.0f  %7.1f  %11.2f\n", elapsed, resident.back(),
                100 * (CpuSeconds(pid) - cpu_before) / elapsed);
    std::fflush(stdout);
  }
  const double cpu_percent = 100 * (CpuSeconds(pid) - cpu_before) / elapsed;
  const Counters after = ReadCounters(cluster);
  const double samples_per_lane_second = (after.samples - before.samples) / elapsed / options.lanes;
  std::printf("%.2f samples per lane and second\n", samples_per_lane_second);

  cluster.Kubectl({"delete", "workerpools", "--all", "-n", kNamespace, "--timeout=60s"});
  cluster.Kubectl({"delete", "namespace", kNamespace, "--wait=false"});

  const std::string how = std::to_string(options.lanes) + " lanes over " +
                          std::to_string(static_cast<int>(elapsed)) + " s, " +
                          std::to_string(samples_per_lane_second).substr(0, 4) +
                          " samples per lane and second";
  // A lane must be sampled at least each second for the other figures to count.
  return PrintBars({{"idle_rss", Percentile(resident, 1), "MiB", 40, how + ", highest VmRSS"},
                    {"idle_cpu", cpu_percent, "% of a core", 2, how + ", user + system"},
                    {"idle_api_writes", (after.api_writes - before.api_writes) * 60 / elapsed,
                     "per minute", 0, how + ", by the API server's own count"},
                    {"idle_sampling_gap",
                     samples_per_lane_second > 0 ? 1 / samples_per_lane_second : std::nan(""), "s",
                     1.05, how}})
             ? 0
             : 1;
}

}  // namespace
}  // namespace lanekeeper::e2e

int main(int argc, char** argv) {
  lanekeeper::e2e::Options options;
  CLI::App app{"Measures the operator at rest on the e2e cluster (make bench-idle)."};
  app.add_option("--lanes", options.lanes, "How many lanes")->check(CLI::Range(1, 2000));
  app.add_option("--seconds", options.seconds, "How long to watch")->check(CLI::Range(20, 3600));
  CLI11_PARSE(app, argc, argv);
  return lanekeeper::e2e::Run(options);
}
