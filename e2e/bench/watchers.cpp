// Ten thousand clients that watch jobs: see README.md for what it does and does not say.
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <atomic>
#include <cstdio>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>
#include <string_view>
#include <thread>

#include "e2e/bench/figures.h"
#include "e2e/bench/gateway_bench.h"
#include "e2e/bench/gateway_load.h"
#include "worker-runtime/job/job_record.h"
#include "worker-runtime/nats/job_record_json.h"

namespace lanekeeper::e2e {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kLane = "watched";
constexpr std::string_view kStamp = "written at ";  // Then NowNs, in the note of the progress.

struct Options {
  int watchers = 10'000;
  int rate = 1000;
  int seconds = 20;
};

// All the watchers' connections, read by one thread.
class Watchers {
 public:
  explicit Watchers(int port) : port_(port), epoll_(epoll_create1(EPOLL_CLOEXEC)) {}
  ~Watchers() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
    for (const Watcher& watcher : watchers_) close(watcher.descriptor);
    close(epoll_);
  }
  Watchers(const Watchers&) = delete;
  Watchers& operator=(const Watchers&) = delete;

  void Start(std::size_t count) {
    watchers_.resize(count);
    thread_ = std::thread([this] { ReadAll(); });
  }
  void Watch(std::size_t which, const std::string& job) {
    const int descriptor = ConnectTo(port_, false);
    watchers_[which].descriptor = descriptor;
    const std::string request = GetRequest("/v1/jobs/" + job + "/events");
    if (send(descriptor, request.data(), request.size(), MSG_NOSIGNAL) < 0) ++lost_;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = which;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event);
  }

  int ready() const { return ready_; }  // Have their first event.
  int lost() const { return lost_; }
  std::vector<double> TakeTimes() {
    const std::lock_guard lock(mutex_);
    return std::exchange(times_ms_, {});
  }

 private:
  struct Watcher {
    int descriptor = -1;
    bool ready = false;
    std::string unread;  // From the beginning of an event on.
  };

  void ReadAll() {
    std::array<epoll_event, 256> events{};
    while (!stopping_) {
      const int count = epoll_wait(epoll_, events.data(), events.size(), 100);
      for (int n = 0; n < count; ++n) Read(watchers_[events[n].data.u64]);
    }
  }

  void Read(Watcher& watcher) {
    std::array<char, 16384> buffer{};
    const ssize_t count = recv(watcher.descriptor, buffer.data(), buffer.size(), 0);
    const std::int64_t now = NowNs();
    if (count <= 0) {
      ++lost_;
      epoll_ctl(epoll_, EPOLL_CTL_DEL, watcher.descriptor, nullptr);
      return;
    }
    watcher.unread.append(buffer.data(), static_cast<std::size_t>(count));
    for (std::size_t end = 0; (end = watcher.unread.find("\n\n")) != std::string::npos;) {
      TakeEvent(watcher, std::string_view(watcher.unread).substr(0, end), now);
      watcher.unread.erase(0, end + 2);
    }
  }

  void TakeEvent(Watcher& watcher, std::string_view event, std::int64_t now) {
    if (event.find("data:") == std::string_view::npos) return;
    if (!std::exchange(watcher.ready, true)) ++ready_;
    const std::size_t at = event.find(kStamp);
    if (at == std::string_view::npos) return;
    const std::int64_t written = std::atoll(event.data() + at + kStamp.size());
    const std::lock_guard lock(mutex_);
    times_ms_.push_back(static_cast<double>(now - written) / 1e6);
  }

  const int port_;
  const int epoll_;
  std::vector<Watcher> watchers_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};
  std::atomic<int> ready_{0};
  std::atomic<int> lost_{0};
  std::mutex mutex_;
  std::vector<double> times_ms_;
};

// Jobs that wait, by their ids.
std::vector<std::string> SubmitJobs(const GatewayBench& gateway, int jobs) {
  constexpr int kAtOnce = 1000;
  std::vector<std::string> ids;
  while (static_cast<int>(ids.size()) < jobs) {
    std::string lines;
    for (int n = 0; n < std::min<int>(kAtOnce, jobs - static_cast<int>(ids.size())); ++n) {
      lines += R"({"type":"noop","lane":")" + std::string(kLane) + "\",\"payload\":{}}\n";
    }
    const HttpReply reply =
        AskOnce(gateway.port(), PostRequest(kJobsPath, "application/x-ndjson", lines));
    if (reply.status != 200) {
      throw std::runtime_error("a bulk submit was answered " + std::to_string(reply.status) + ": " +
                               reply.body.substr(0, 500));
    }
    std::istringstream results(reply.body);
    for (std::string line; std::getline(results, line);) {
      const auto result = nlohmann::json::parse(line);
      if (!result.contains("job")) throw std::runtime_error("a job was refused: " + line);
      ids.push_back(result["job"]["id"]);
    }
  }
  return ids;
}

JobRecord RecordOf(const std::string& id) {
  const std::size_t at = id.find('.');
  return {.id = id,
          .type = "noop",
          .state = JobState::kRunning,
          .sequence = std::strtoull(id.c_str() + at + 1, nullptr, 10),
          .stored_at = std::chrono::system_clock::now(),
          .runs = 1,
          .worker = "bench",
          .instance = "bench",
          .first_started_at = std::chrono::system_clock::now(),
          .started_at = std::chrono::system_clock::now()};
}

// Writes records as workers do, `rate` a second, each of a job by chance.
void WriteUpdates(LaneBench& bench, const std::vector<std::string>& ids, const Options& options) {
  std::vector<JobRecord> records;
  for (const std::string& id : ids) records.push_back(RecordOf(id));
  const LaneKey lane = GatewayBench::Lane(kLane);
  std::mt19937 chance(1);  // NOLINT: the same in every run.
  std::uniform_int_distribution<std::size_t> any(0, ids.size() - 1);
  const auto began = std::chrono::steady_clock::now();
  const int updates = options.rate * options.seconds;
  for (int n = 0; n < updates; ++n) {
    std::this_thread::sleep_until(began +
                                  std::chrono::microseconds(1'000'000LL * n / options.rate));
    JobRecord& record = records[any(chance)];
    record.progress = 0.5;
    record.progress_note = std::string(kStamp) + std::to_string(NowNs());
    Must(bench.connection().Publish(RecordSubject(lane, record.id), nats::WriteJobRecord(record)),
         "writing a record");
    Must(bench.connection().Flush(seconds(10)), "writing a record");
  }
}

int Run(const Options& options) {
  LaneBench bench;
  const GatewayBench gateway(
      bench, {{kLane, 1'000'000}},
      {{"LANEKEEPER_GATEWAY_CONNECTIONS", "30000"}, {"LANEKEEPER_GATEWAY_WATCHERS", "30000"}});
  const std::vector<std::string> ids = SubmitJobs(gateway, options.watchers);
  std::this_thread::sleep_for(seconds(2));
  const double before = ProcessMiB(gateway.pid(), "VmRSS");

  Watchers watchers(gateway.port());
  watchers.Start(ids.size());
  const auto began = std::chrono::steady_clock::now();
  constexpr int kOpeningMax = 500;
  for (std::size_t n = 0; n < ids.size(); ++n) {
    watchers.Watch(n, ids[n]);
    WaitFor("watchers to be served",
            [&] { return static_cast<int>(n) - watchers.ready() - watchers.lost() < kOpeningMax; });
  }
  WaitFor("all watchers' first events",
          [&] { return watchers.ready() + watchers.lost() >= options.watchers; });
  const std::chrono::duration<double> opening = std::chrono::steady_clock::now() - began;
  std::this_thread::sleep_for(seconds(3));
  const double after = ProcessMiB(gateway.pid(), "VmRSS");
  const double each_kib = (after - before) * 1024 / std::max(1, watchers.ready());
  std::printf(
      "%d watchers after %.1f s, %d lost; gateway %.1f MiB before, %.1f after: %.2f KiB each\n",
      watchers.ready(), opening.count(), watchers.lost(), before, after, each_kib);

  watchers.TakeTimes();
  WriteUpdates(bench, ids, options);
  std::this_thread::sleep_for(seconds(2));
  const std::vector<double> times_ms = watchers.TakeTimes();
  const int updates = options.rate * options.seconds;
  const double busy = ProcessMiB(gateway.pid(), "VmRSS");
  std::printf("%d updates, %zu arrived: p50 %.2f   p99 %.2f   max %.2f ms; gateway %.1f MiB\n",
              updates, times_ms.size(), Percentile(times_ms, 0.5), Percentile(times_ms, 0.99),
              Percentile(times_ms, 1), busy);
  const std::string how = std::to_string(options.watchers) + " watchers of as many jobs, " +
                          std::to_string(options.rate) + " updates/s for " +
                          std::to_string(options.seconds) + " s";
  std::vector<Bar> bars;
  bars.push_back({"watchers", static_cast<double>(watchers.ready() - watchers.lost()), "watchers",
                  static_cast<double>(options.watchers), "open at the end", Limit::kAtLeast});
  bars.push_back({"watcher_memory", each_kib, "KiB of the gateway each", std::nullopt,
                  "VmRSS with all of them at rest minus before, kernel memory not counted"});
  bars.push_back({"update_p99", Percentile(times_ms, 0.99), "ms", 50,
                  how + ", from before the write to the arrival; p50 " +
                      std::to_string(Percentile(times_ms, 0.5)).substr(0, 5)});
  // An update that is overtaken by the next one of the same job may be left out.
  bars.push_back({"updates_seen", static_cast<double>(times_ms.size()) / updates, "of the written",
                  0.98, how, Limit::kAtLeast});
  return PrintBars(bars) ? 0 : 1;
}

void RaiseDescriptors() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace
}  // namespace lanekeeper::e2e

int main(int argc, char** argv) {
  lanekeeper::e2e::Options options;
  CLI::App app{"Measures how the gateway serves watchers (make bench-watchers)."};
  app.add_option("--watchers", options.watchers, "Clients that watch a job each")
      ->check(CLI::Range(1, 28'000));
  app.add_option("--rate", options.rate, "Updates per second")->check(CLI::Range(1, 100'000));
  app.add_option("--seconds", options.seconds, "Of updates")->check(CLI::Range(1, 3600));
  CLI11_PARSE(app, argc, argv);
  try {
    lanekeeper::e2e::RaiseDescriptors();
    return lanekeeper::e2e::Run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "lanekeeper-bench-watchers: %s\n", error.what());
    return 1;
  }
}
