// The gateway against its bars: see README.md for what each measurement does and does not say.
#include <cpprest/http_listener.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <functional>
#include <map>
#include <thread>

#include "e2e/bench/figures.h"
#include "e2e/bench/gateway_bench.h"
#include "e2e/bench/gateway_load.h"

namespace lanekeeper::e2e {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kOpenLane = "open";
constexpr const char* kFullLane = "full";
constexpr std::int64_t kOpenDepth = 10'000'000;
constexpr std::int64_t kFullDepth = 1000;
constexpr double kRefusalsPerSecond = 200;

const std::vector<std::string> kParts{"throughput", "half", "full"};

struct Options {
  int repeat = 3;
  int seconds_each = 6;
  int clients = 32;
  std::vector<std::string> only = kParts;
  int bare_port = 0;  // Be the bare listener instead.
  std::string bare_body;
};

// What cpprestsdk's own server can do: it reads a body and answers 202 with as much JSON as the
// gateway. Ends with its parent.
int ServeBare(const Options& options) {
  using namespace web::http;
  experimental::listener::http_listener listener("http://127.0.0.1:" +
                                                 std::to_string(options.bare_port));
  listener.support(methods::POST, [&](http_request request) {
    request.extract_string(true).then([request, &options](const std::string&) {
      http_response response(202);
      response.headers().add("Location", kJobsPath);
      response.set_body(options.bare_body, "application/json");
      request.reply(response);
    });
  });
  listener.support(methods::GET, [](const http_request& request) { request.reply(200); });
  listener.open().wait();
  for (;;) pause();
}

class Measurement {
 public:
  explicit Measurement(const Options& options)
      : options_(options), gateway_(bench_, {{kOpenLane, kOpenDepth}, {kFullLane, kFullDepth}}) {}

  void Throughput(std::vector<Bar>& bars) {
    const HttpReply sample = AskOnce(gateway_.port(), GatewayBench::Submission(kOpenLane));
    if (sample.status != 202) {
      throw std::runtime_error("a job was answered " + std::to_string(sample.status) + ": " +
                               sample.body);
    }
    const int bare_port = FreePort();
    const Child bare({ProgramBesideThis("lanekeeper-bench-gateway"), "--bare-port",
                      std::to_string(bare_port), "--bare-body", sample.body},
                     {});
    WaitFor("the bare listener", [&] { return AskOnce(bare_port, GetRequest("/")).status == 200; });
    std::printf("jobs of %zu bytes of payload, %d clients, %d s a run\n", kPayloadBytes,
                options_.clients, options_.seconds_each);
    std::vector<double> bare_rates;
    std::vector<double> gateway_rates;
    std::vector<double> gateway_p99_ms;
    for (int round = 1; round <= options_.repeat; ++round) {
      bare_rates.push_back(Run("bare listener", bare_port, kOpenLane, 0, 202).answers_per_s);
      const LoadFigures figures = Run("gateway", gateway_.port(), kOpenLane, 0, 202);
      gateway_rates.push_back(figures.answers_per_s);
      gateway_p99_ms.push_back(Percentile(figures.times_ms, 0.99));
    }
    submits_per_s_ = Percentile(gateway_rates, 0.5);
    const double bare_rate = Percentile(bare_rates, 0.5);
    const std::string how = "medians of " + std::to_string(options_.repeat) + " rounds in turns, " +
                            std::to_string(options_.clients) +
                            " clients, tracking Full, file storage; bare listener " +
                            std::to_string(std::lround(bare_rate)) + "/s";
    bars.push_back({"submits", submits_per_s_, "submits/s", std::nullopt, how});
    bars.push_back({"submits_of_bare", submits_per_s_ / bare_rate, "of a bare cpprestsdk listener",
                    0.6, how, Limit::kAtLeast});
    bars.push_back({"submits_p99_full_load", Percentile(gateway_p99_ms, 0.5), "ms", std::nullopt,
                    "each client asks again as soon as it is answered"});
  }

  void HalfLoad(std::vector<Bar>& bars) {
    if (submits_per_s_ == 0) {
      submits_per_s_ = Run("gateway", gateway_.port(), kOpenLane, 0, 202).answers_per_s;
    }
    std::vector<double> p50_ms;
    std::vector<double> p99_ms;
    for (int round = 1; round <= options_.repeat; ++round) {
      const LoadFigures figures =
          Run("gateway, half load", gateway_.port(), kOpenLane, submits_per_s_ / 2, 202);
      p50_ms.push_back(Percentile(figures.times_ms, 0.5));
      p99_ms.push_back(Percentile(figures.times_ms, 0.99));
    }
    bars.push_back({"submits_p99_half_load", Percentile(p99_ms, 0.5), "ms", 10,
                    "median of " + std::to_string(options_.repeat) + " runs at " +
                        std::to_string(std::lround(submits_per_s_ / 2)) +
                        "/s, open loop, from when each was due; p50 " +
                        std::to_string(Percentile(p50_ms, 0.5)).substr(0, 5)});
  }

  void Full(std::vector<Bar>& bars) {
    const LaneKey lane = GatewayBench::Lane(kFullLane);
    int accepted = 0;
    WaitFor("a full lane", [&] {
      const int status = AskOnce(gateway_.port(), GatewayBench::Submission(kFullLane)).status;
      if (status == 202) ++accepted;
      return status == 429;
    });
    std::printf("lane of %lld jobs is full after %d\n", static_cast<long long>(kFullDepth),
                accepted);
    std::int64_t least = kFullDepth;
    std::int64_t most = 0;
    std::vector<double> p99_ms;
    for (int round = 1; round <= options_.repeat; ++round) {
      std::atomic<bool> running{true};
      std::thread watching([&] {
        while (running) {
          const auto state = gateway_.jetstream().StreamInfo(JobStreamName(lane));
          if (state) least = std::min(least, state->messages);
          if (state) most = std::max(most, state->messages);
          std::this_thread::sleep_for(milliseconds(100));
        }
      });
      const LoadFigures figures =
          Run("refused", gateway_.port(), kFullLane, kRefusalsPerSecond, 429);
      running = false;
      watching.join();
      p99_ms.push_back(Percentile(figures.times_ms, 0.99));
    }
    bars.push_back({"refusal_p99", Percentile(p99_ms, 0.5), "ms", 5,
                    "median of " + std::to_string(options_.repeat) + " runs of " +
                        std::to_string(std::lround(kRefusalsPerSecond)) + " submits/s, all 429"});
    bars.push_back({"full_lane_least", static_cast<double>(least), "jobs",
                    static_cast<double>(kFullDepth),
                    "jobs in the stream meanwhile, its maxDepth " + std::to_string(kFullDepth),
                    Limit::kAtLeast});
    bars.push_back({"full_lane_most", static_cast<double>(most), "jobs",
                    static_cast<double>(kFullDepth), "jobs in the stream meanwhile"});
  }

 private:
  LoadFigures Run(const char* name, int port, const char* lane, double rate, int expected) {
    LoadFigures figures = RunLoad({.port = port,
                                   .clients = options_.clients,
                                   .request = GatewayBench::Submission(lane),
                                   .duration = seconds(options_.seconds_each),
                                   .rate = rate});
    std::printf("  %-20s %8.0f/s   p50 %7.3f   p99 %7.3f   max %8.3f ms\n", name,
                figures.answers_per_s, Percentile(figures.times_ms, 0.5),
                Percentile(figures.times_ms, 0.99), Percentile(figures.times_ms, 1));
    std::fflush(stdout);
    for (const auto& [status, count] : figures.by_status) {
      if (status == expected) continue;
      throw std::runtime_error(std::string(name) + ": " + std::to_string(count) + " answers " +
                               std::to_string(status));
    }
    return figures;
  }

  const Options& options_;
  LaneBench bench_;
  GatewayBench gateway_;
  double submits_per_s_ = 0;
};

int Run(const Options& options) {
  const std::map<std::string, void (Measurement::*)(std::vector<Bar>&)> measures{
      {"throughput", &Measurement::Throughput},
      {"half", &Measurement::HalfLoad},
      {"full", &Measurement::Full}};
  Measurement measurement(options);
  std::vector<Bar> bars;
  for (const std::string& part : options.only) (measurement.*measures.at(part))(bars);
  return PrintBars(bars) ? 0 : 1;
}

}  // namespace
}  // namespace lanekeeper::e2e

int main(int argc, char** argv) {
  lanekeeper::e2e::Options options;
  CLI::App app{"Measures the gateway against its bars (make bench-gateway)."};
  app.add_option("--repeat", options.repeat, "Rounds")->check(CLI::Range(1, 100));
  app.add_option("--seconds", options.seconds_each, "Of one run")->check(CLI::Range(1, 600));
  app.add_option("--clients", options.clients, "Connections")->check(CLI::Range(1, 1000));
  app.add_option("--only", options.only, "Which measurements, with commas between")
      ->delimiter(',')
      ->check(CLI::IsMember(lanekeeper::e2e::kParts));
  app.add_option("--bare-port", options.bare_port, "Serve as the bare listener");
  app.add_option("--bare-body", options.bare_body, "What the bare listener answers");
  CLI11_PARSE(app, argc, argv);
  try {
    return options.bare_port > 0 ? lanekeeper::e2e::ServeBare(options)
                                 : lanekeeper::e2e::Run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "lanekeeper-bench-gateway: %s\n", error.what());
    return 1;
  }
}
