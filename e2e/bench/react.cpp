// publish → Deployment patched: how long the operator takes to see a burst and ask for all workers.
//
// Each burst publishes jobs to a lane at zero and waits, on a watch of its own, for the
// Deployment's spec.replicas to become what the policy says. The clock starts before the first
// publish and stops when the event of the full count arrives here, so it holds everything: publish,
// sample, decision, patch, and the API server's watch. Pods are real: the jobs run and the lane
// goes back to zero before the next burst, which comes at a random moment of the operator's
// sampling interval.
#include <CLI/CLI.hpp>

#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>

#include "e2e/bench/figures.h"
#include "e2e/scenarios/harness.h"
#include "operator/kubernetes/api_client.h"
#include "operator/kubernetes/kubeconfig.h"
#include "operator/kubernetes/object_names.h"
#include "operator/kubernetes/requests.h"
#include "worker-runtime/telemetry/telemetry_server.h"

namespace lanekeeper::e2e {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int kJobsPerWorker = 8;
const std::string kNamespace = "bench-react";
const LaneKey kLane{kNamespace, "media", "short"};

struct Change {
  Clock::time_point at;
  int replicas;
};

// Every change of the lane's spec.replicas, with the moment the watch brought it.
class ReplicaWatch {
 public:
  explicit ReplicaWatch(kubernetes::Api& api)
      : thread_([this, &api](std::stop_token stop) { Run(api, stop); }) {}

  std::size_t Count() {
    const std::lock_guard lock(mutex_);
    return changes_.size();
  }
  // Changes from `from` on, once one of them is `replicas`; empty at the deadline.
  std::vector<Change> Await(std::size_t from, int replicas, std::chrono::seconds deadline) {
    std::unique_lock lock(mutex_);
    const auto reached = [&] {
      return std::any_of(changes_.begin() + static_cast<std::ptrdiff_t>(from), changes_.end(),
                         [&](const Change& change) { return change.replicas == replicas; });
    };
    if (!changed_.wait_for(lock, deadline, reached)) return {};
    return {changes_.begin() + static_cast<std::ptrdiff_t>(from), changes_.end()};
  }

 private:
  void Run(kubernetes::Api& api, std::stop_token stop) {
    while (!stop.stop_requested()) {
      const auto request = kubernetes::WatchRequest(kubernetes::kDeployments,
                                                    {.only_namespace = kNamespace,
                                                     .resource_version = "0",
                                                     .timeout = std::chrono::seconds(600)});
      (void)api.Stream(
          request, std::chrono::seconds(700), [this](std::string_view line) { return Take(line); },
          stop);
    }
  }

  bool Take(std::string_view line) {
    const Clock::time_point now = Clock::now();
    const Json event = Json::parse(line, nullptr, false);
    const Json::json_pointer path("/object/spec/replicas");
    if (!event.is_object() || !event.contains(path)) return true;
    const int replicas = event.at(path).get<int>();
    const std::lock_guard lock(mutex_);
    if (changes_.empty() || changes_.back().replicas != replicas) {
      changes_.push_back({now, replicas});
      changed_.notify_all();
    }
    return true;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Change> changes_;
  std::jthread thread_;
};

struct Options {
  int bursts = 40;
  int workers = 5;
  bool wake = false;
};

struct Burst {
  double full_ms = std::nan("");  // First publish → all workers asked for.
  int steps = 0;                  // Patches until then.
};

Burst MeasureBurst(const Options& options, Jobs& jobs, ReplicaWatch& watch) {
  const std::size_t before = watch.Count();
  const Clock::time_point started = Clock::now();
  for (int n = 0; n < options.workers * kJobsPerWorker; ++n) {
    // Without waiting for each acknowledgement: a burst is many callers at once.
    (void)jobs.connection().Publish(JobSubject(kLane), "20", {{std::string(kHeaderType), "sleep"}});
  }
  if (options.wake) (void)jobs.connection().Publish(WakeSubject(kLane), "");
  Burst burst;
  for (const Change& change : watch.Await(before, options.workers, std::chrono::seconds(60))) {
    ++burst.steps;
    if (change.replicas != options.workers) continue;
    burst.full_ms = std::chrono::duration<double, std::milli>(change.at - started).count();
    break;
  }
  return burst;
}

int Run(const Options& options) {
  const Cluster cluster;
  Jobs jobs(cluster);
  auto config = kubernetes::ReadKubeConfig(cluster.kubeconfig(), "");
  if (!config) return std::fprintf(stderr, "%s\n", config.error().message.c_str()), 1;
  auto api = kubernetes::ApiClient::Create(*std::move(config));
  if (!api) return std::fprintf(stderr, "%s\n", api.error().message.c_str()), 1;

  const std::string lanes =
      "  - name: short\n"
      "    workers: {max: " +
      std::to_string(options.workers) +
      ", slots: 8}\n"
      "    scaling: {jobsPerWorker: " +
      std::to_string(kJobsPerWorker) + ", scaleDownWindow: 1s}\n";
  const auto at_zero = [&] {
    const Json deployment = cluster.Get("deployment", kNamespace, "media-short");
    return deployment.is_object() && deployment["spec"].value("replicas", 1) == 0;
  };
  if (!cluster.Apply(PoolManifest(kNamespace, "media", lanes)) || !Await("lane exists", at_zero)) {
    return 1;
  }

  ReplicaWatch watch(**api);
  if (watch.Await(0, 0, std::chrono::seconds(30)).empty()) return 1;
  std::mt19937 random(std::random_device{}());
  std::vector<double> full_ms;
  int one_step = 0;
  std::printf("burst  full_ms  steps   (%d jobs, 0 -> %d workers%s)\n",
              options.workers * kJobsPerWorker, options.workers,
              options.wake ? ", with a wake-up" : "");
  for (int n = 1; n <= options.bursts; ++n) {
    std::this_thread::sleep_for(milliseconds(random() % 1500));
    const std::size_t before = watch.Count();
    const Burst burst = MeasureBurst(options, jobs, watch);
    full_ms.push_back(burst.full_ms);
    one_step += burst.steps == 1 ? 1 : 0;
    std::printf("%5d  %7.1f  %5d\n", n, burst.full_ms, burst.steps);
    std::fflush(stdout);
    if (std::isnan(burst.full_ms) ||
        watch.Await(before + 1, 0, std::chrono::seconds(120)).empty()) {
      break;  // Reported below: fewer bursts than asked for, or one that never got its workers.
    }
    // Workers that are on their way out could still take jobs of the next burst.
    if (!Await("workers are gone", [&] { return cluster.List("pods", kNamespace).empty(); })) break;
  }
  cluster.Kubectl({"delete", "workerpool", "media", "-n", kNamespace, "--timeout=60s"});
  cluster.Kubectl({"delete", "namespace", kNamespace, "--wait=false"});
  for (const auto& stream : {JobStreamName(kLane), DeadStreamName(kNamespace, "media")}) {
    (void)jobs.jetstream().DeleteStream(stream);
  }

  const bool complete = static_cast<int>(full_ms.size()) == options.bursts;
  const double p50 = complete ? Percentile(full_ms, 0.50) : std::nan("");
  const double p99 = complete ? Percentile(full_ms, 0.99) : std::nan("");
  std::printf("min %.1f  p50 %.1f  p90 %.1f  p99 %.1f  max %.1f ms; %d of %zu in one step\n",
              Percentile(full_ms, 0), Percentile(full_ms, 0.5), Percentile(full_ms, 0.9),
              Percentile(full_ms, 0.99), Percentile(full_ms, 1), one_step, full_ms.size());
  const std::string how = std::to_string(full_ms.size()) +
                          " bursts on the real cluster, first publish to the watch event of the "
                          "full count, real pods";
  return PrintBars({{"react_p50", p50, "ms", 400, how}, {"react_p99", p99, "ms", 1000, how}}) ? 0
                                                                                              : 1;
}

}  // namespace
}  // namespace lanekeeper::e2e

int main(int argc, char** argv) {
  lanekeeper::e2e::Options options;
  CLI::App app{"Measures publish -> Deployment patched on the e2e cluster (make bench-react)."};
  app.add_option("--bursts", options.bursts, "How many bursts")->check(CLI::Range(1, 1000));
  app.add_option("--workers", options.workers, "Workers a burst asks for")
      ->check(CLI::Range(1, 100));
  app.add_flag("--wake", options.wake, "Send the producer's wake-up after each burst");
  CLI11_PARSE(app, argc, argv);
  lanekeeper::telemetry::SizeThreadPool(4);
  return lanekeeper::e2e::Run(options);
}
