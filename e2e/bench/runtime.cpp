// The worker runtime against its bars: see README.md for what each measurement does and does not
// say.
#include <CLI/CLI.hpp>

#include <csignal>
#include <functional>
#include <future>
#include <map>
#include <thread>

#include "e2e/bench/bare_loop.h"
#include "e2e/bench/figures.h"
#include "e2e/bench/lane_bench.h"

namespace lanekeeper::e2e {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kAckWaitOfRestarts{3};
constexpr int kParkedJobs = 10'000;
constexpr int kSlotsOfWave = 256;

const std::vector<std::string> kParts{"throughput", "start",   "memory",
                                      "wave",       "restart", "evenness"};

struct Options {
  int jobs = 100'000;
  int repeat = 3;
  std::vector<std::string> only = kParts;
};

double Median(const std::vector<double>& values) { return Percentile(values, 0.5); }

std::string LowerCase(std::string text) {
  for (char& letter : text) letter = static_cast<char>(std::tolower(letter));
  return text;
}

std::string Count(double value) { return std::to_string(std::llround(value)); }

void PrintRates(const std::string& name, const std::vector<double>& rates) {
  std::printf("  %-28s median %8.0f jobs/s   %.0f .. %.0f\n", name.c_str(), Median(rates),
              Percentile(rates, 0), Percentile(rates, 1));
  std::fflush(stdout);
}

void PrintTimes(const std::string& name, const std::vector<double>& times_ms) {
  std::printf("  %-28s p50 %8.3f   p99 %8.3f   max %8.3f ms   of %zu\n", name.c_str(),
              Median(times_ms), Percentile(times_ms, 0.99), Percentile(times_ms, 1),
              times_ms.size());
  std::fflush(stdout);
}

double BareRate(LaneBench& bench, const LaneKey& lane, int jobs, const BareLoop& loop) {
  std::future<void> drain;
  const double rate = bench.MeasureDrain(lane, jobs, [&] {
    drain = std::async(std::launch::async, [&] {
      DrainBare(loop, bench.url(), JobStreamName(lane), std::string(kConsumerName),
                JobSubject(lane), jobs);
    });
  });
  drain.get();
  return rate;
}

// The batch size and sending that suit the bare loop best here.
BareLoop BestBareLoop(LaneBench& bench, const LaneKey& lane, int jobs) {
  std::printf("bare libnats loop, one run each: which batch suits it best\n");
  BareLoop best;
  double best_rate = 0;
  for (const int batch : {1, 10, 50, 100, 250, 500, 1000}) {
    for (const bool send_asap : {false, true}) {
      const BareLoop loop{batch, send_asap};
      // A single job per round trip takes long enough with fewer of them.
      const double rate = BareRate(bench, lane, batch == 1 ? jobs / 50 : jobs / 2, loop);
      std::printf("  batch %4d  send_asap %-3s  %8.0f jobs/s\n", batch, send_asap ? "on" : "off",
                  rate);
      std::fflush(stdout);
      if (rate <= best_rate) continue;
      best_rate = rate;
      best = loop;
    }
  }
  return best;
}

double WorkerRate(LaneBench& bench, const LaneKey& lane, int jobs, const std::string& tracking,
                  int slots, bool confirm_acks = true) {
  return bench.MeasureWorkerDrain(lane, jobs,
                                  {{kEnvSlots, std::to_string(slots)},
                                   {kEnvTracking, tracking},
                                   {kEnvConfirmAcks, confirm_acks ? "true" : "false"}});
}

// The number of slots that suits a worker best here: its counterpart of the batch.
int BestSlots(LaneBench& bench, const LaneKey& lane, int jobs, const std::string& tracking) {
  std::printf("worker, tracking %s, one run each: how many slots suit it best\n", tracking.c_str());
  int best = 0;
  double best_rate = 0;
  for (const int slots : {8, 64, 256, 500, 1000}) {
    const double rate = WorkerRate(bench, lane, slots == 8 ? jobs / 4 : jobs / 2, tracking, slots);
    std::printf("  slots %4d  %8.0f jobs/s\n", slots, rate);
    std::fflush(stdout);
    if (rate <= best_rate) continue;
    best_rate = rate;
    best = slots;
  }
  return best;
}

void MeasureThroughput(const Options& options, LaneBench& bench, std::vector<Bar>& bars) {
  const LaneKey lane = bench.MakeLane("throughput");
  const BareLoop loop = BestBareLoop(bench, lane, options.jobs);
  const int slots_none = BestSlots(bench, lane, options.jobs, "None");
  const int slots_full = BestSlots(bench, lane, options.jobs, "Full");

  const auto bare_rate = [&](bool confirm_acks) {
    return BareRate(bench, lane, options.jobs, {loop.batch, loop.send_asap, confirm_acks});
  };
  const auto worker_rate = [&](const char* tracking, int slots, bool confirm_acks) {
    return WorkerRate(bench, lane, options.jobs, tracking, slots, confirm_acks);
  };
  struct Contender {
    const char* name;
    std::function<double()> run;
    std::vector<double> rates{};
  };
  std::vector<Contender> contenders{
      {"bare libnats loop", [&] { return bare_rate(false); }},
      {"bare loop, confirmed acks", [&] { return bare_rate(true); }},
      {"tracking None", [&] { return worker_rate("None", slots_none, true); }},
      {"tracking None, unconfirmed", [&] { return worker_rate("None", slots_none, false); }},
      {"tracking Failures", [&] { return worker_rate("Failures", slots_none, true); }},
      {"tracking Full", [&] { return worker_rate("Full", slots_full, true); }}};
  std::printf("no-op jobs of %zu bytes, %d a run\n", kPayloadBytes, options.jobs);
  for (int round = 1; round <= options.repeat; ++round) {
    for (Contender& contender : contenders) {
      contender.rates.push_back(contender.run());
      std::printf("  round %d  %-28s %8.0f jobs/s\n", round, contender.name,
                  contender.rates.back());
      std::fflush(stdout);
    }
  }
  for (const Contender& contender : contenders) PrintRates(contender.name, contender.rates);

  const double bare = Median(contenders[0].rates);
  const double bare_confirmed = Median(contenders[1].rates);
  const double none = Median(contenders[2].rates);
  const double failures = Median(contenders[4].rates);
  const double full = Median(contenders[5].rates);
  const std::string how = "medians of " + std::to_string(options.repeat) + " rounds of " +
                          std::to_string(options.jobs) + " jobs; bare loop " + Count(bare) +
                          "/s with batch " + std::to_string(loop.batch) + ", send_asap " +
                          (loop.send_asap ? "on" : "off");
  bars.push_back({"throughput_none", none / bare, "of the bare loop", 0.6,
                  "None " + Count(none) + "/s with " + std::to_string(slots_none) +
                      " slots, acks confirmed; " + how,
                  Limit::kAtLeast});
  bars.push_back({"throughput_none_confirmed", none / bare_confirmed,
                  "of the bare loop with confirmed acks", std::nullopt,
                  "bare loop with confirmed acks " + Count(bare_confirmed) + "/s; " + how});
  bars.push_back({"throughput_failures", failures / bare, "of the bare loop", std::nullopt,
                  "Failures " + Count(failures) + "/s; " + how});
  bars.push_back({"throughput_full", full, "jobs/s", std::max(20'000.0, 0.2 * bare),
                  std::to_string(slots_full) +
                      " slots; bar: 20,000/s or 20 % of the bare loop, whichever is higher; " + how,
                  Limit::kAtLeast});
}

// Queue -> handler start, one job at a time.
std::vector<double> StartTimes(LaneBench& bench, const LaneKey& lane, RunReports& reports,
                               int jobs) {
  std::vector<double> times_ms;
  for (int n = 0; n < jobs; ++n) {
    // Not in step with any timer of the worker.
    std::this_thread::sleep_for(std::chrono::microseconds(2000 + n * 37 % 2000));
    bench.PublishOne(lane, kJobStamp);
    const RunReport report = reports.Next();
    times_ms.push_back(static_cast<double>(report.at_ns - report.published_ns) / 1e6);
  }
  return times_ms;
}

void MeasureStart(const Options&, LaneBench& bench, std::vector<Bar>& bars) {
  constexpr int kJobs = 1000;
  std::printf("queue -> handler start on an idle lane, one slot, %d jobs one at a time\n", kJobs);
  for (const std::string tracking : {"Full", "None"}) {
    const LaneKey lane = bench.MakeLane("start-" + LowerCase(tracking));
    RunReports reports(bench.connection(), "runs." + lane.lane);
    const Child worker = bench.StartWorker(
        lane, "starter", {{kEnvTracking, tracking}, {kEnvRunReports, reports.subject()}});
    bench.WaitForPulls(lane, 1);
    const std::vector<double> times_ms = StartTimes(bench, lane, reports, kJobs);
    PrintTimes("tracking " + tracking, times_ms);
    const std::string how = std::to_string(kJobs) + " jobs, tracking " + tracking +
                            ", from before the publish to the handler's first line";
    const std::string name = "start_" + LowerCase(tracking);
    bars.push_back({name + "_p50", Median(times_ms), "ms", 1, how});
    bars.push_back({name + "_p99", Percentile(times_ms, 0.99), "ms", 5, how});
  }
}

void MeasureMemory(const Options&, LaneBench& bench, std::vector<Bar>& bars) {
  constexpr int kJobs = 10'000;
  const LaneKey lane = bench.MakeLane("memory");
  const Child worker = bench.StartWorker(
      lane, "idler",
      {{kEnvSlots, "8"}, {kEnvTracking, "Full"}, {kEnvHttpPort, std::to_string(FreePort())}});
  bench.WaitForPulls(lane, 1);
  std::this_thread::sleep_for(seconds(3));
  const double idle = ProcessMiB(worker.pid(), "VmRSS");
  const double idle_peak = ProcessMiB(worker.pid(), "VmHWM");
  bench.Publish(lane, "noop", kJobs);
  bench.WaitDrained(lane);
  std::this_thread::sleep_for(seconds(2));
  const double after = ProcessMiB(worker.pid(), "VmRSS");
  std::printf(
      "idle worker, 8 slots, metrics on: %.1f MiB resident, %.1f at its peak; %.1f idle "
      "after %d jobs\n",
      idle, idle_peak, after, kJobs);
  bars.push_back({"idle_rss", idle, "MiB", 20,
                  "VmRSS 3 s after the first pull, 8 slots, tracking Full, metrics on; peak " +
                      Count(idle_peak) + ", idle after " + Count(kJobs) + " jobs " + Count(after)});
}

void MeasureWave(const Options& options, LaneBench& bench, std::vector<Bar>& bars) {
  constexpr int kStarts = 500;
  const int jobs = options.jobs / 2;
  struct Lane {
    const char* name;
    int parked;
    LaneKey key{};
    std::vector<double> rates{};
    std::vector<double> starts_ms{};
  };
  std::vector<Lane> lanes{{"calm", 0}, {"wave", kParkedJobs}};
  std::printf("retry wave: fresh jobs in a lane without and with %d parked ones\n", kParkedJobs);
  const Environment settings{{kEnvSlots, std::to_string(kSlotsOfWave)},
                             {kEnvTracking, "Full"},
                             {kEnvAttempts, "5"},
                             {kEnvBackoffInitial, "1h"},
                             {kEnvBackoffMax, "2h"}};
  for (Lane& lane : lanes) {
    lane.key = bench.MakeLane(lane.name);
    bench.Publish(lane.key, kJobFail, lane.parked);
    const Child worker = bench.StartWorker(lane.key, "failer", settings);
    WaitFor("parked jobs", [&] {
      const nats::ConsumerState state = bench.Look(lane.key);
      return state.pending == 0 && state.ack_pending == lane.parked;
    });
    std::this_thread::sleep_for(seconds(1));  // The last failures are being settled.
  }
  for (int round = 1; round <= options.repeat; ++round) {
    for (Lane& lane : lanes) {
      lane.rates.push_back(bench.MeasureWorkerDrain(lane.key, jobs, settings));
      RunReports reports(bench.connection(), std::string("runs.") + lane.name);
      Environment reporting = settings;
      reporting[kEnvRunReports] = reports.subject();
      const Child worker = bench.StartWorker(lane.key, "starter", reporting);
      bench.WaitForPulls(lane.key, 1);
      const std::vector<double> times = StartTimes(bench, lane.key, reports, kStarts);
      bench.WaitDrained(lane.key, lane.parked);
      lane.starts_ms.insert(lane.starts_ms.end(), times.begin(), times.end());
    }
  }
  for (const Lane& lane : lanes) {
    PrintRates(lane.name, lane.rates);
    PrintTimes(lane.name, lane.starts_ms);
  }
  const std::int64_t parked = bench.Look(lanes[1].key).ack_pending;
  if (parked != kParkedJobs) {
    throw std::runtime_error("the wave did not stay parked: " + std::to_string(parked) +
                             " jobs are left");
  }
  const double ratio = Median(lanes[1].rates) / Median(lanes[0].rates);
  std::printf("  with the wave: %.2f of the throughput\n", ratio);
  const std::string how = std::to_string(kParkedJobs) + " failed jobs parked for an hour, Full; " +
                          std::to_string(options.repeat) + " interleaved rounds of ";
  bars.push_back({"wave_start_p99", Percentile(lanes[1].starts_ms, 0.99), "ms", 5,
                  how + std::to_string(kStarts) + " jobs one at a time; without " +
                      std::to_string(Percentile(lanes[0].starts_ms, 0.99)).substr(0, 5)});
  bars.push_back({"wave_throughput", ratio, "of a calm lane", 0.8,
                  how + std::to_string(jobs) + " jobs, medians", Limit::kAtLeast});
}

// One restart: jobs held by a worker that is told `signal`. Adds how long after that (SIGTERM:
// after its handler was told to stop) each of them starts on the other worker, without
// `not_counted`.
void MeasureRestart(LaneBench& bench, const std::string& name, int signal, milliseconds not_counted,
                    std::vector<double>& times_ms) {
  constexpr std::size_t kJobs = 4;
  const LaneKey lane = bench.MakeLane(name, kAckWaitOfRestarts);
  RunReports reports(bench.connection(), "runs." + name);
  const Environment settings{{kEnvSlots, std::to_string(kJobs)},
                             {kEnvTracking, "Full"},
                             {kEnvTimeout, "10m"},
                             {kEnvGrace, "3s"},
                             {kEnvRunReports, reports.subject()}};
  Child first = bench.StartWorker(lane, "first", settings);
  bench.WaitForPulls(lane, 1);
  bench.Publish(lane, kJobHold, kJobs);
  std::map<std::string, std::int64_t> left_ns;
  while (left_ns.size() < kJobs) left_ns[reports.Next().job] = 0;
  const Child second = bench.StartWorker(lane, "second", settings);
  bench.WaitForPulls(lane, 1);
  // Some moment of the lease.
  std::this_thread::sleep_for(milliseconds(times_ms.size() * 137 % 1000));

  for (auto& [job, at_ns] : left_ns) at_ns = NowNs();
  first.Signal(signal);
  std::map<std::string, std::int64_t> started_ns;
  // A killed handler does not say that it stops.
  for (std::size_t n = 0; n < (signal == SIGKILL ? kJobs : 2 * kJobs); ++n) {
    const RunReport report = reports.Next();
    (report.stopping ? left_ns : started_ns)[report.job] = report.at_ns;
  }
  for (const auto& [job, at_ns] : started_ns) {
    times_ms.push_back(static_cast<double>(at_ns - left_ns.at(job)) / 1e6 -
                       static_cast<double>(not_counted.count()));
  }
}

void MeasureRestarts(const Options& options, LaneBench& bench, std::vector<Bar>& bars) {
  std::printf("a worker goes while it runs 4 jobs: when they start on another one\n");
  std::vector<double> killed_ms;
  std::vector<double> drained_ms;
  for (int round = 1; round <= options.repeat; ++round) {
    const std::string number = std::to_string(round);
    MeasureRestart(bench, "kill-" + number, SIGKILL, kAckWaitOfRestarts, killed_ms);
    MeasureRestart(bench, "drain-" + number, SIGTERM, milliseconds(0), drained_ms);
  }
  PrintTimes("SIGKILL, beyond ack_wait", killed_ms);
  PrintTimes("drain, since told to stop", drained_ms);
  const std::string how = std::to_string(options.repeat) + " workers with 4 jobs each, worst job; ";
  bars.push_back({"restart_after_kill", Percentile(killed_ms, 1) / 1000, "s beyond ack_wait", 1,
                  how + "ack_wait 3 s, SIGKILL to the handler's start elsewhere; median " +
                      std::to_string(Median(killed_ms) / 1000).substr(0, 6)});
  bars.push_back({"restart_after_drain", Percentile(drained_ms, 1), "ms", 100,
                  how + "handler told to stop to its start elsewhere; median " +
                      std::to_string(Median(drained_ms)).substr(0, 5)});
}

// The least and the most that one of `sharers` got, as parts of a fair share.
std::pair<double, double> Evenness(const std::map<std::string, int>& runs, int sharers, int jobs) {
  int least = static_cast<int>(runs.size()) < sharers ? 0 : jobs;
  int most = 0;
  for (const auto& [who, count] : runs) {
    least = std::min(least, count);
    most = std::max(most, count);
  }
  const double fair = static_cast<double>(jobs) / sharers;
  return {least / fair, most / fair};
}

void MeasureEvenness(const Options&, LaneBench& bench, std::vector<Bar>& bars) {
  constexpr int kJobs = 2000;
  constexpr int kSharers = 64;
  struct Layout {
    const char* name;
    int workers;
    int slots;
  };
  std::printf("who gets %d jobs of %lld ms, as parts of a fair share\n", kJobs,
              static_cast<long long>(kNap.count()));
  for (const Layout& layout : {Layout{"slots", 1, kSharers}, Layout{"workers", kSharers, 1}}) {
    const LaneKey lane = bench.MakeLane(std::string("even-") + layout.name);
    RunReports reports(bench.connection(), std::string("runs.even.") + layout.name);
    std::vector<Child> workers;
    for (int n = 0; n < layout.workers; ++n) {
      workers.push_back(bench.StartWorker(lane, "worker-" + std::to_string(n),
                                          {{kEnvSlots, std::to_string(layout.slots)},
                                           {kEnvTracking, "Full"},
                                           {kEnvRunReports, reports.subject()}}));
    }
    bench.WaitForPulls(lane, layout.workers);
    bench.Publish(lane, kJobNap, kJobs);
    std::map<std::string, int> runs;
    for (int n = 0; n < kJobs; ++n) {
      const RunReport report = reports.Next();
      ++runs[report.worker + "/" + std::to_string(report.slot)];
    }
    const auto [least, most] = Evenness(runs, kSharers, kJobs);
    std::printf("  %d workers with %d slots: %.2f .. %.2f\n", layout.workers, layout.slots, least,
                most);
    bars.push_back({std::string("evenness_") + layout.name, least, "of a fair share", std::nullopt,
                    "the least of " + std::to_string(kSharers) + " " + layout.name + "; the most " +
                        std::to_string(most).substr(0, 4)});
  }
}

int Run(const Options& options) {
  using Measure = void (*)(const Options&, LaneBench&, std::vector<Bar>&);
  const std::map<std::string, Measure> measures{
      {"throughput", MeasureThroughput}, {"start", MeasureStart},
      {"memory", MeasureMemory},         {"wave", MeasureWave},
      {"restart", MeasureRestarts},      {"evenness", MeasureEvenness}};
  LaneBench bench;
  std::vector<Bar> bars;
  for (const std::string& part : options.only) {
    measures.at(part)(options, bench, bars);
  }
  return PrintBars(bars) ? 0 : 1;
}

}  // namespace
}  // namespace lanekeeper::e2e

int main(int argc, char** argv) {
  lanekeeper::e2e::Options options;
  CLI::App app{"Measures the worker runtime against its bars (make bench-runtime)."};
  app.add_option("--jobs", options.jobs, "Jobs of one throughput run")
      ->check(CLI::Range(1000, 1'000'000));
  app.add_option("--repeat", options.repeat, "Interleaved rounds")->check(CLI::Range(1, 100));
  app.add_option("--only", options.only, "Which measurements, with commas between")
      ->delimiter(',')
      ->check(CLI::IsMember(lanekeeper::e2e::kParts));
  CLI11_PARSE(app, argc, argv);
  try {
    return lanekeeper::e2e::Run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench-runtime: %s\n", error.what());
    return 1;
  }
}
