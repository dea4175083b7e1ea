// `lanekeeper up` as a developer of workers meets it: how soon the first job is done, how soon a
// handler starts, and what it costs while nothing happens.
#include <CLI/CLI.hpp>

#include <cmath>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "e2e/bench/child.h"
#include "e2e/bench/figures.h"
#include "e2e/bench/lane_bench.h"
#include "worker-runtime/base/clock.h"
#include "worker-runtime/client/client.h"
#include "worker-runtime/nats/jetstream.h"
#include "worker-runtime/nats/jetstream_answers.h"

namespace lanekeeper::e2e {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

const std::vector<std::string> kParts{"first", "start", "idle"};
constexpr const char* kExample = "e2e/examples/mixed.yaml";
constexpr const char* kResults = "bench.results";
constexpr seconds kPatience{60};
const PoolName kPool{"studio", "media"};

struct Options {
  std::vector<std::string> only = kParts;
  int runs = 20;
  int jobs = 500;
  int seconds_idle = 40;
};

std::string ReadText(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

template <typename T>
T Must(ClientResult<T> result, const std::string& what) {
  if (!result) throw std::runtime_error(what + ": " + result.error().message);
  return *std::move(result);
}

// A running `lanekeeper up` on a folder of its own. One thread.
class LocalBench {
 public:
  // `manifest`: the text of one.
  explicit LocalBench(const std::string& manifest) : nats_port_(FreePort()) {
    folder_ = fs::temp_directory_path() / "lanekeeper-bench-XXXXXX";
    if (mkdtemp(folder_.data()) == nullptr) throw std::runtime_error("making a folder");
    std::ofstream(folder_ + "/pool.yaml") << manifest;
    up_ = std::make_unique<Child>(
        std::vector<std::string>{ProgramBesideThis("lanekeeper"), "up", folder_ + "/pool.yaml",
                                 "--state", folder_ + "/state", "--gateway-port", "0", "--port",
                                 std::to_string(nats_port_)},
        HomeOfTools(), folder_ + "/up.log");
  }
  ~LocalBench() {
    up_.reset();
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  LocalBench(const LocalBench&) = delete;
  LocalBench& operator=(const LocalBench&) = delete;

  pid_t pid() const { return up_->pid(); }
  std::string nats_url() const { return "nats://127.0.0.1:" + std::to_string(nats_port_); }

  // Of its gateway, as soon as that can be found.
  std::unique_ptr<Client> Connect() const {
    std::string url;
    const auto until = Clock::now() + kPatience;
    while (url.empty()) {
      std::getline(std::ifstream(folder_ + "/state/gateway"), url);
      if (url.empty() && Clock::now() > until) {
        throw std::runtime_error("no gateway: " + ReadText(folder_ + "/up.log"));
      }
      if (url.empty()) std::this_thread::sleep_for(milliseconds(1));
    }
    return lanekeeper::e2e::Must(Client::Create({.url = url}), "connecting to the gateway");
  }

 private:
  // Where the nats-server is looked up.
  static Environment HomeOfTools() {
    Environment environment;
    for (const char* name :
         {"HOME", "LANEKEEPER_CACHE", "XDG_CACHE_HOME", "LANEKEEPER_NATS_SERVER"}) {
      if (const char* value = std::getenv(name); value != nullptr) environment[name] = value;
    }
    return environment;
  }

  const int nats_port_;
  std::string folder_;
  std::unique_ptr<Child> up_;
};

// From the start of the program, on an empty folder, to the answer that the job is done. The job is
// handed in as soon as the gateway can be found; its lane has no worker by then.
double MeasureFirstJob() {
  const std::string manifest = ReadText(kExample);
  const Clock::time_point begin = Clock::now();
  const LocalBench local(manifest);
  const auto client = local.Connect();
  const Clock::time_point found = Clock::now();
  const SubmittedJob job =
      Must(client->Submit(kPool, {.type = "sleep", .payload = "0", .lane = "short"}), "submitting");
  const JobStatus end = Must(client->Wait(job.id, kPatience), "waiting for the job");
  if (end.state != "done") throw std::runtime_error("the job is " + end.state);
  const std::chrono::duration<double, std::milli> all = Clock::now() - begin;
  const std::chrono::duration<double, std::milli> gateway = found - begin;
  std::printf("%9.0f  %9.0f\n", gateway.count(), all.count());
  std::fflush(stdout);
  return all.count();
}

void First(const Options& options, std::vector<Bar>& bars) {
  std::printf("first job: %d runs\ngateway_ms  done_ms\n", options.runs);
  std::vector<double> times;
  for (int run = 0; run < options.runs; ++run) times.push_back(MeasureFirstJob());
  std::printf("p50 %.0f ms, max %.0f ms\n\n", Percentile(times, 0.5), Percentile(times, 1));
  const std::string how = std::to_string(options.runs) +
                          " runs, each on an empty folder: start of the program to the answer that "
                          "a job is done, handed in over HTTP as soon as the gateway was found";
  bars.push_back({"local_first_job_p50", Percentile(times, 0.5) / 1000, "s", 2, how});
  bars.push_back({"local_first_job_max", Percentile(times, 1) / 1000, "s", 2, how});
}

constexpr const char* kWarmPool = R"(
kind: WorkerPool
metadata: {name: media, namespace: studio}
spec:
  template:
    spec:
      containers:
      - name: worker
        image: none
        command: [lanekeeper-example-worker]
        env: [{name: EXAMPLE_RESULTS_SUBJECT, value: bench.results}]
  lanes: [{name: short, class: Short, workers: {min: 1, max: 1}}]
)";

// What the handler recorded of the run of `job`: when it began.
WallTime StartOf(nats::Subscription& results, const std::string& job) {
  while (const auto message = results.Next(kPatience)) {
    const nlohmann::json record = nlohmann::json::parse(message->payload);
    // The gateway's id of the job begins with that of the queue.
    if (record.at("id") != job) continue;
    const auto started = nats::ParseServerTime(record.at("started").get<std::string>());
    if (!started) throw std::runtime_error("unreadable: " + message->payload);
    return *started;
  }
  throw std::runtime_error("no record of " + job);
}

void Start(const Options& options, std::vector<Bar>& bars) {
  constexpr int kWarmUp = 20;
  const LocalBench local(kWarmPool);
  const auto client = local.Connect();
  const auto connection = lanekeeper::e2e::Must(
      nats::Connection::Open({.url = local.nats_url(), .name = "bench-local"}),
      "connecting to NATS");
  lanekeeper::e2e::Must(
      nats::JetStream(*connection)
          .CreateStream("BENCH", R"({"name":"BENCH","subjects":["bench.results"]})"),
      "making a stream");
  const auto results =
      lanekeeper::e2e::Must(connection->Subscribe(kResults), "subscribing to results");
  lanekeeper::e2e::Must(connection->Flush(kPatience), "subscribing to results");

  std::printf("submit to handler start: %d jobs, one after the other\n", options.jobs);
  const SystemClock clock;
  std::minstd_rand random(std::random_device{}());
  std::vector<double> starts;
  std::vector<double> answers;
  for (int n = 0; n < options.jobs + kWarmUp; ++n) {
    // Out of step with everything that has a period.
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 5000));
    const WallTime before = clock.WallNow();
    const SubmittedJob job = Must(
        client->Submit(kPool, {.type = "sleep", .payload = "0", .lane = "short"}), "submitting");
    const WallTime answered = clock.WallNow();
    const WallTime started = StartOf(*results, job.id);
    if (n < kWarmUp) continue;
    starts.push_back(std::chrono::duration<double, std::milli>(started - before).count());
    answers.push_back(std::chrono::duration<double, std::milli>(answered - before).count());
  }
  std::printf(
      "           p50     p99     max\nanswer %7.2f %7.2f %7.2f ms\nstart  %7.2f %7.2f %7.2f "
      "ms\n\n",
      Percentile(answers, 0.5), Percentile(answers, 0.99), Percentile(answers, 1),
      Percentile(starts, 0.5), Percentile(starts, 0.99), Percentile(starts, 1));
  const std::string how = std::to_string(options.jobs) +
                          " jobs, one after the other, to one idle worker: before the submit over "
                          "HTTP to the first line of the handler, by one clock";
  bars.push_back({"local_start_p50", Percentile(starts, 0.5), "ms", 5, how});
  bars.push_back({"local_start_p99", Percentile(starts, 0.99), "ms", std::nullopt, how});
}

// Of the program and everything it started but the nats-server.
struct Cost {
  double rss_mib = 0;
  double cpu_seconds = 0;
  double nats_cpu_seconds = 0;
  int processes = 0;
};

Cost CostOf(pid_t up) {
  Cost cost;
  for (const auto& [pid, name] : ProcessTree(up)) {
    if (name == "nats-server") {
      cost.nats_cpu_seconds += CpuSeconds(pid);
      continue;
    }
    ++cost.processes;
    cost.rss_mib += OneProcessMiB(pid, "VmRSS");
    cost.cpu_seconds += CpuSeconds(pid);
  }
  return cost;
}

// Jobs in all lanes, and none left: what has worked before rests otherwise than what has not.
void WorkALittle(const LocalBench& local) {
  const auto client = local.Connect();
  std::vector<NewJob> jobs;
  for (const char* lane : {"short", "long", "gpu"}) {
    for (int n = 0; n < 20; ++n) jobs.push_back({.type = "sleep", .payload = "100", .lane = lane});
  }
  for (auto& submitted : client->SubmitMany(kPool, jobs)) {
    const std::string id = Must(std::move(submitted), "submitting").id;
    Must(client->Wait(id, kPatience), "waiting for a job");
  }
  WaitFor("all workers to be gone", [&] { return CostOf(local.pid()).processes == 1; });
}

void Idle(const Options& options, std::vector<Bar>& bars) {
  const LocalBench local(ReadText(kExample));
  std::printf("at rest: 60 jobs in three lanes, then nothing\n");
  WorkALittle(local);
  std::this_thread::sleep_for(seconds(5));
  std::printf("seconds  rss_mib  cpu_percent  nats_cpu_percent\n");
  const Cost before = CostOf(local.pid());
  const Clock::time_point begin = Clock::now();
  std::vector<double> resident;
  double cpu_percent = std::nan("");
  double elapsed = 0;
  while (elapsed < options.seconds_idle) {
    std::this_thread::sleep_for(seconds(5));
    elapsed = std::chrono::duration<double>(Clock::now() - begin).count();
    const Cost now = CostOf(local.pid());
    resident.push_back(now.rss_mib);
    cpu_percent = 100 * (now.cpu_seconds - before.cpu_seconds) / elapsed;
    std::printf("%7.0f  %7.1f  %11.2f  %16.2f\n", elapsed, now.rss_mib, cpu_percent,
                100 * (now.nats_cpu_seconds - before.nats_cpu_seconds) / elapsed);
    std::fflush(stdout);
  }
  const std::string how = "three lanes at rest after 60 jobs, over " +
                          std::to_string(static_cast<int>(elapsed)) +
                          " s: all processes but the nats-server";
  bars.push_back({"local_idle_rss", Percentile(resident, 1), "MiB", 60, how + ", highest VmRSS"});
  bars.push_back({"local_idle_cpu", cpu_percent, "% of a core", 1, how + ", user + system"});
}

int Run(const Options& options) {
  std::vector<Bar> bars;
  for (const std::string& part : options.only) {
    if (part == "first") First(options, bars);
    if (part == "start") Start(options, bars);
    if (part == "idle") Idle(options, bars);
  }
  return PrintBars(bars) ? 0 : 1;
}

}  // namespace
}  // namespace lanekeeper::e2e

int main(int argc, char** argv) {
  lanekeeper::e2e::Options options;
  CLI::App app{"Measures `lanekeeper up` against its bars (make bench-local)."};
  app.add_option("--runs", options.runs, "Starts")->check(CLI::Range(1, 1000));
  app.add_option("--jobs", options.jobs, "Jobs to a warm worker")->check(CLI::Range(1, 100000));
  app.add_option("--seconds", options.seconds_idle, "Of rest")->check(CLI::Range(5, 3600));
  app.add_option("--only", options.only, "Which measurements, with commas between")
      ->delimiter(',')
      ->check(CLI::IsMember(lanekeeper::e2e::kParts));
  CLI11_PARSE(app, argc, argv);
  try {
    return lanekeeper::e2e::Run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "lanekeeper-bench-local: %s\n", error.what());
    return 1;
  }
}
