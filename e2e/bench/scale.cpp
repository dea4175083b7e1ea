// 10,000 lanes: how long until they are there, what the operator costs while nothing happens, how
// long a restart takes, and how soon one job in one lane is acted on.
//
// Everything is real but the workers: etcd, kube-apiserver and nats-server of the benchmark's own,
// and the operator as a process. No controllers and no kubelet, so a Deployment makes no pods: what
// is measured is the operator and what it asks of the servers.
#include <CLI/CLI.hpp>

#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "e2e/bench/figures.h"
#include "e2e/bench/lane_bench.h"
#include "e2e/bench/scale_stage.h"
#include "operator/kubernetes/requests.h"
#include "worker-runtime/base/log.h"
#include "worker-runtime/telemetry/telemetry_server.h"

namespace lanekeeper::e2e {
namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kLanesPerPool = 4;
constexpr const char* kLanes[kLanesPerPool] = {"short", "bulk", "mail", "long"};
constexpr int kCreators = 4;
const std::string kNamespace = "bench-scale";
// A sample each second, give or take the way there and back and a machine that is busy.
constexpr double kSampleAgeMax = 1.5;

struct Options {
  std::vector<int> lanes{10000};
  int seconds = 60;
  int jobs = 60;
};

// One run.
struct Figures {
  int lanes = 0;
  double create_seconds = 0;
  double operator_cores = 0, nats_cores = 0, api_cores = 0, etcd_cores = 0;
  double operator_mib = 0;      // Highest while idle.
  double create_peak_mib = 0;   // Highest while everything was made.
  double restart_peak_mib = 0;  // Highest of the restarted one.
  double nats_mib = 0, api_mib = 0;
  double api_writes_per_minute = 0;
  double nats_requests = 0;    // Per second.
  double samples = 0;          // Per lane and second.
  double sample_age_max = 0;   // Seconds.
  double ready_seconds = 0;    // From the restart.
  double sampled_seconds = 0;  // The same.
  double rest_seconds = 0;     // The same: until nothing is left to be looked at.
  double restart_writes = 0;
  std::vector<double> act_ms;
};

double Since(Clock::time_point then) {
  return std::chrono::duration<double>(Clock::now() - then).count();
}

LaneKey LaneOf(int lane) {
  return {kNamespace, "pool-" + std::to_string(lane / kLanesPerPool), kLanes[lane % kLanesPerPool]};
}

// As a person writes one: a template with a probe and resources, four lanes that differ in a few
// fields.
json Pool(int number, int lanes) {
  json pool = {{"apiVersion", "lanekeeper.dev/v1alpha1"},
               {"kind", "WorkerPool"},
               {"metadata",
                {{"name", "pool-" + std::to_string(number)},
                 {"namespace", kNamespace},
                 {"labels", {{"team", "team-" + std::to_string(number % 50)}}}}}};
  const json container = {
      {"name", "worker"},
      {"image", "registry.example.com/team/worker:1.2.3"},
      {"command", {"worker", "--config", "/etc/worker/config.yaml"}},
      {"env",
       {{{"name", "REGION"}, {"value", "eu-central"}}, {{"name", "LEVEL"}, {"value", "info"}}}},
      {"resources",
       {{"requests", {{"cpu", "250m"}, {"memory", "256Mi"}}}, {"limits", {{"memory", "512Mi"}}}}},
      {"volumeMounts", {{{"name", "config"}, {"mountPath", "/etc/worker"}}}}};
  pool["spec"]["template"]["spec"] = {
      {"containers", {container}},
      {"volumes", {{{"name", "config"}, {"configMap", {{"name", "worker"}}}}}}};
  for (int lane = 0; lane < lanes; ++lane) {
    json spec = {{"name", kLanes[lane]}, {"workers", {{"max", 5}}}};
    if (lane == kLanesPerPool - 1) spec["class"] = "Long";
    pool["spec"]["lanes"].push_back(std::move(spec));
  }
  return pool;
}

void Create(kubernetes::Api& api, const kubernetes::Resource& resource, const std::string& where,
            const json& object) {
  for (int attempt = 1;; ++attempt) {
    const auto made = api.Call(kubernetes::CreateRequest(resource, where, object.dump()),
                               {.deadline = seconds(30)});
    if (made) return;
    // Of a repeated request: it was made after all.
    if (attempt > 1 && made.error().message.find("already exists") != std::string::npos) return;
    if (attempt == 20 || made.error().kind == ErrorKind::kInvalid) {
      throw std::runtime_error("making an object: " + made.error().message);
    }
    Nap(milliseconds(500));  // The kind was registered a moment ago, or the server is busy.
  }
}

class ScaleBench {
 public:
  ScaleBench(int lanes, const Options& options) : options_(options) { figures_.lanes = lanes; }

  Figures Run() {
    Register();
    stage_.StartOperator();
    WaitUntil("the operator to be ready", [this] { return stage_.OperatorReady(); });
    watch_.emplace(stage_.api());
    MakePools();
    Idle();
    Restart();
    Act();
    std::printf("taking it down: some ten files for each lane\n");
    std::fflush(stdout);
    return figures_;
  }

 private:
  int pools() const { return (figures_.lanes + kLanesPerPool - 1) / kLanesPerPool; }

  // Throws after half an hour: a machine may be busy with other things.
  void WaitUntil(const std::string& what, const std::function<bool()>& holds,
                 const std::function<void()>& say = {}) {
    const auto begin = Clock::now();
    auto said = begin;
    while (!holds()) {
      stage_.CheckOperator();
      if (Since(begin) > 1800) throw std::runtime_error("waiting for " + what);
      Nap(milliseconds(50));
      if (!say || Since(said) < 5) continue;
      said = Clock::now();
      say();
    }
  }

  void Register() {
    ApplyCrd(stage_.api());
    CreateNamespace(stage_.api(), kNamespace);
    // Served, with the newest schema, a moment later.
    WaitUntil("WorkerPool to be served", [this] {
      return stage_.api()
          .Call(kubernetes::ListRequest(kubernetes::kWorkerPools, {.limit = 1}))
          .has_value();
    });
  }

  void MakePools() {
    std::printf("making %d pools of %d lanes\n", pools(), kLanesPerPool);
    const auto begin = Clock::now();
    std::atomic<int> next = 0;
    std::mutex mutex;
    std::string failed;
    std::vector<std::jthread> creators;
    for (int n = 0; n < kCreators; ++n) {
      creators.emplace_back([&] {
        try {
          for (int pool = next++; pool < pools(); pool = next++) {
            const int lanes = std::min(kLanesPerPool, figures_.lanes - pool * kLanesPerPool);
            Create(stage_.api(), kubernetes::kWorkerPools, kNamespace, Pool(pool, lanes));
          }
        } catch (const std::exception& error) {
          const std::lock_guard lock(mutex);
          failed = error.what();
        }
      });
    }
    WaitUntil(
        "every pool to be Ready",
        [&] {
          const std::lock_guard lock(mutex);
          if (!failed.empty()) throw std::runtime_error(failed);
          return watch_->pools_ready() >= pools() && watch_->deployments() >= figures_.lanes;
        },
        [&] {
          std::printf("%5.0f s: %d pools posted, %d Ready, %d Deployments; operator %.0f MiB\n",
                      Since(begin), std::min<int>(next, pools()), watch_->pools_ready(),
                      watch_->deployments(), ProcessMiB(stage_.operator_pid(), "VmRSS"));
          std::fflush(stdout);
        });
    figures_.create_seconds = Since(begin);
    figures_.create_peak_mib = ProcessMiB(stage_.operator_pid(), "VmHWM");
    std::printf("all Ready after %.1f s: %.0f lanes per second; operator's peak %.1f MiB\n",
                figures_.create_seconds, figures_.lanes / figures_.create_seconds,
                figures_.create_peak_mib);
  }

  struct Look {
    Clock::time_point at = Clock::now();
    double operator_cpu, nats_cpu, api_cpu, etcd_cpu, writes, requests, samples;
  };
  Look LookAround() {
    Look look;
    look.writes = stage_.ApiWrites();
    look.requests = stage_.NatsRequests();
    look.samples = stage_.OperatorMetrics()["lanekeeper_samples_total"];
    look.operator_cpu = CpuSeconds(stage_.operator_pid());
    look.nats_cpu = CpuSeconds(stage_.nats_pid());
    look.api_cpu = CpuSeconds(stage_.api_pid());
    look.etcd_cpu = CpuSeconds(stage_.etcd_pid());
    look.at = Clock::now();
    return look;
  }

  // Scraped every ten seconds, as by a Prometheus that looks often.
  void Idle() {
    std::printf("letting them come to rest, then %d s of nothing\n", options_.seconds);
    std::fflush(stdout);
    Nap(seconds(15));
    std::ofstream("/proc/" + std::to_string(stage_.operator_pid()) + "/clear_refs") << "5";
    const Look before = LookAround();
    std::printf("seconds  rss_mib  cores  oldest_sample_s  samples\n");
    while (Since(before.at) < options_.seconds) {
      Nap(seconds(10));
      auto metrics = stage_.OperatorMetrics();
      figures_.sample_age_max =
          std::max(figures_.sample_age_max, metrics["lanekeeper_sample_age_seconds"]);
      const double elapsed = Since(before.at);
      std::printf("%7.0f  %7.1f  %5.2f  %15.2f  %7.0f\n", elapsed,
                  ProcessMiB(stage_.operator_pid(), "VmRSS"),
                  (CpuSeconds(stage_.operator_pid()) - before.operator_cpu) / elapsed,
                  metrics["lanekeeper_sample_age_seconds"],
                  metrics["lanekeeper_samples_total"] - before.samples);
      std::fflush(stdout);
    }
    const Look after = LookAround();
    const double elapsed = std::chrono::duration<double>(after.at - before.at).count();
    figures_.operator_cores = (after.operator_cpu - before.operator_cpu) / elapsed;
    figures_.nats_cores = (after.nats_cpu - before.nats_cpu) / elapsed;
    figures_.api_cores = (after.api_cpu - before.api_cpu) / elapsed;
    figures_.etcd_cores = (after.etcd_cpu - before.etcd_cpu) / elapsed;
    figures_.operator_mib = ProcessMiB(stage_.operator_pid(), "VmHWM");
    figures_.nats_mib = ProcessMiB(stage_.nats_pid(), "VmRSS");
    figures_.api_mib = ProcessMiB(stage_.api_pid(), "VmRSS");
    figures_.api_writes_per_minute = (after.writes - before.writes) * 60 / elapsed;
    figures_.nats_requests = (after.requests - before.requests) / elapsed;
    figures_.samples = (after.samples - before.samples) / elapsed / figures_.lanes;
    std::printf(
        "cores: operator %.2f, nats-server %.2f, kube-apiserver %.2f, etcd %.2f; "
        "MiB: operator %.1f at most, nats-server %.0f, kube-apiserver %.0f\n",
        figures_.operator_cores, figures_.nats_cores, figures_.api_cores, figures_.etcd_cores,
        figures_.operator_mib, figures_.nats_mib, figures_.api_mib);
    std::printf(
        "%.0f JetStream requests per second, %.2f samples per lane and second, %.0f API "
        "writes per minute\n",
        figures_.nats_requests, figures_.samples, figures_.api_writes_per_minute);
  }

  void Restart() {
    std::printf("kill -9 and start again\n");
    const double writes = stage_.ApiWrites();
    stage_.KillOperator();
    const auto begin = Clock::now();
    stage_.StartOperator();
    WaitUntil("the operator to be ready", [this] { return stage_.OperatorReady(); });
    figures_.ready_seconds = Since(begin);
    double answered = 0;
    WaitUntil(
        "every lane to be sampled",
        [&] {
          Nap(milliseconds(200));
          answered = stage_.OperatorMetrics()["lanekeeper_lanes_answered"];
          return answered >= figures_.lanes;
        },
        [&] {
          std::printf("%5.0f s: %.0f lanes sampled\n", Since(begin), answered);
          std::fflush(stdout);
        });
    figures_.sampled_seconds = Since(begin);
    figures_.rest_seconds = AwaitRest(begin);
    Nap(seconds(10));  // What it writes, it writes now.
    figures_.restart_writes = stage_.ApiWrites() - writes;
    figures_.restart_peak_mib = ProcessMiB(stage_.operator_pid(), "VmHWM");
    std::printf(
        "ready after %.1f s, all lanes sampled after %.1f s, every pool looked at after "
        "%.1f s, %.0f API writes, peak %.1f MiB\n",
        figures_.ready_seconds, figures_.sampled_seconds, figures_.rest_seconds,
        figures_.restart_writes, figures_.restart_peak_mib);
  }

  // Returns how long after `begin` the operator had nothing more to look at.
  double AwaitRest(Clock::time_point begin) {
    double passes = -1;
    double last_news = Since(begin);
    WaitUntil("the operator to be at rest", [&] {
      const double seen = stage_.OperatorMetrics()["lanekeeper_reconcile_seconds_count"];
      if (std::exchange(passes, seen) != seen) last_news = Since(begin);
      Nap(milliseconds(500));
      return Since(begin) - last_news > 2;
    });
    return last_news;
  }

  // One job each, into lanes chosen by chance, without the hint that a Lanekeeper client sends.
  void Act() {
    std::printf("%d jobs, each into another lane\n", options_.jobs);
    std::mt19937 random(std::random_device{}());
    std::set<int> used;
    while (static_cast<int>(used.size()) < std::min(options_.jobs, figures_.lanes)) {
      const int lane = static_cast<int>(random() % static_cast<unsigned>(figures_.lanes));
      if (!used.insert(lane).second) continue;
      Nap(milliseconds(random() % 1000));
      const auto begin = Clock::now();
      Must(stage_.connection().Publish(JobSubject(LaneOf(lane)), "{}",
                                       {{std::string(kHeaderType), "sleep"}}),
           "publishing a job");
      const auto seen = watch_->AwaitWorker(LaneOf(lane), seconds(60));
      figures_.act_ms.push_back(
          seen ? std::chrono::duration<double, std::milli>(*seen - begin).count() : std::nan(""));
      if (!seen) std::printf("lane %s got no worker\n", ToString(LaneOf(lane)).c_str());
    }
    std::printf("job to patched Deployment: min %.0f, p50 %.0f, p90 %.0f, p99 %.0f, max %.0f ms\n",
                Percentile(figures_.act_ms, 0), Percentile(figures_.act_ms, 0.5),
                Percentile(figures_.act_ms, 0.9), Percentile(figures_.act_ms, 0.99),
                Percentile(figures_.act_ms, 1));
    std::fflush(stdout);
  }

  const Options& options_;
  Figures figures_;
  ScaleStage stage_;
  std::optional<ScaleWatch> watch_;
};

std::vector<Bar> BarsOf(const Figures& run, const Options& options) {
  const std::string lanes = "_" + std::to_string(run.lanes);
  const std::string how = std::to_string(run.lanes) + " lanes over " +
                          std::to_string(options.seconds) +
                          " s of nothing, a sample of each a second";
  const std::string restart = std::to_string(run.lanes) + " lanes, kill -9 and a new process";
  const bool complete = static_cast<int>(run.act_ms.size()) == std::min(options.jobs, run.lanes) &&
                        std::none_of(run.act_ms.begin(), run.act_ms.end(),
                                     [](double value) { return std::isnan(value); });
  const std::string act = std::to_string(run.act_ms.size()) +
                          " jobs, one a lane, publish to the watch event of the patch";
  return {{"scale_cpu" + lanes, run.operator_cores, "cores", 0.5, how + ", user + system"},
          {"scale_rss" + lanes, run.operator_mib, "MiB", 150, how + ", highest, scrapes included"},
          {"scale_api_writes" + lanes, run.api_writes_per_minute, "per minute", 0,
           how + ", by the API server's own count"},
          // The lanes must be sampled each second for the other figures to count.
          {"scale_samples" + lanes, run.samples, "per lane and second", 0.95, how, Limit::kAtLeast},
          {"scale_sample_age" + lanes, run.sample_age_max, "s", kSampleAgeMax,
           how + ", the oldest sample of any lane, at each scrape"},
          {"scale_restart" + lanes, run.sampled_seconds, "s", 30,
           restart + ", until every lane is sampled"},
          {"scale_restart_writes" + lanes, run.restart_writes, "writes", 0,
           restart + ", by the API server's own count"},
          {"scale_act_p50" + lanes, complete ? Percentile(run.act_ms, 0.5) : std::nan(""), "ms",
           std::nullopt, act},
          {"scale_act_p99" + lanes, complete ? Percentile(run.act_ms, 0.99) : std::nan(""), "ms",
           1500, act},
          {"scale_create" + lanes, run.lanes / run.create_seconds, "lanes per second", std::nullopt,
           "from the first pool's POST until the last is Ready"},
          {"scale_create_peak" + lanes, run.create_peak_mib, "MiB", std::nullopt,
           "the operator's highest while the pools were made"},
          {"scale_restart_peak" + lanes, run.restart_peak_mib, "MiB", std::nullopt,
           "the operator's highest after the restart"}};
}

std::string Number(double value, int decimals) {
  char text[64];
  std::snprintf(text, sizeof(text), "%.*f", decimals, value);
  return text;
}

struct Row {
  const char* name;
  std::function<std::string(const Figures&)> value;
};

const std::vector<Row>& Rows() {
  static const std::vector<Row> kRows = {
      {"all pools Ready after", [](auto& run) { return Number(run.create_seconds, 0) + " s"; }},
      {"operator, idle: cores", [](auto& run) { return Number(run.operator_cores, 3); }},
      {"operator, idle, scraped: at most",
       [](auto& run) { return Number(run.operator_mib, 0) + " MiB"; }},
      {"operator, while all is made or taken up again: at most",
       [](auto& run) {
         return Number(std::max(run.create_peak_mib, run.restart_peak_mib), 0) + " MiB";
       }},
      {"API writes per minute, idle",
       [](auto& run) { return Number(run.api_writes_per_minute, 0); }},
      {"JetStream requests per second, idle",
       [](auto& run) { return Number(run.nats_requests, 0); }},
      {"oldest sample of any lane", [](auto& run) { return Number(run.sample_age_max, 2) + " s"; }},
      {"nats-server, idle",
       [](auto& run) {
         return Number(run.nats_cores, 2) + " cores, " + Number(run.nats_mib, 0) + " MiB";
       }},
      {"kube-apiserver, idle",
       [](auto& run) {
         return Number(run.api_cores, 2) + " cores, " + Number(run.api_mib, 0) + " MiB";
       }},
      {"kill -9 to /readyz", [](auto& run) { return Number(run.ready_seconds, 1) + " s"; }},
      {"kill -9 to all lanes sampled",
       [](auto& run) { return Number(run.sampled_seconds, 1) + " s"; }},
      {"kill -9 to every pool looked at",
       [](auto& run) { return Number(run.rest_seconds, 1) + " s"; }},
      {"API writes of a restart", [](auto& run) { return Number(run.restart_writes, 0); }},
      {"one job to the patched Deployment, p50; p99", [](auto& run) {
         return Number(Percentile(run.act_ms, 0.5), 0) + "; " +
                Number(Percentile(run.act_ms, 0.99), 0) + " ms";
       }}};
  return kRows;
}

void PrintTable(const std::vector<Figures>& runs) {
  std::string head = "| lanes |";
  std::string line = "|---|";
  for (const Figures& run : runs) {
    head += " " + std::to_string(run.lanes) + " |";
    line += "---|";
  }
  std::printf("\n%s\n%s\n", head.c_str(), line.c_str());
  for (const Row& row : Rows()) {
    std::string text = std::string("| ") + row.name + " |";
    for (const Figures& run : runs) text += " " + row.value(run) + " |";
    std::printf("%s\n", text.c_str());
  }
  std::printf("\n");
}

int Run(const Options& options) {
  std::vector<Figures> runs;
  std::vector<Bar> bars;
  for (const int lanes : options.lanes) {
    std::printf("--- %d lanes: starting etcd, kube-apiserver, nats-server, lanekeeper-operator\n",
                lanes);
    std::fflush(stdout);
    runs.push_back(ScaleBench(lanes, options).Run());
    const std::vector<Bar> of_run = BarsOf(runs.back(), options);
    bars.insert(bars.end(), of_run.begin(), of_run.end());
  }
  PrintTable(runs);
  return PrintBars(bars) ? 0 : 1;
}

}  // namespace
}  // namespace lanekeeper::e2e

int main(int argc, char** argv) {
  using namespace lanekeeper;
  e2e::Options options;
  CLI::App app{"Measures the operator with thousands of lanes (make bench-scale)."};
  app.add_option("--lanes", options.lanes, "How many lanes; several are run one after the other")
      ->check(CLI::Range(1, 40000));
  app.add_option("--seconds", options.seconds, "How long to watch it idle")
      ->check(CLI::Range(10, 3600));
  app.add_option("--jobs", options.jobs, "How many jobs to act on")->check(CLI::Range(1, 1000));
  CLI11_PARSE(app, argc, argv);
  telemetry::SizeThreadPool(6);
  log::SetLevel("error");
  std::signal(SIGPIPE, SIG_IGN);
  for (const int signal : {SIGINT, SIGTERM}) {
    std::signal(signal, [](int) { e2e::scale_interrupted = true; });
  }
  try {
    return e2e::Run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench-scale: %s\n", error.what());
    return 1;
  }
}
