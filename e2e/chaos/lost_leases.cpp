// Workers that lose their jobs without dying: paused for too long, or with a handler that does not
// stop. What they do afterwards must not count.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>

#include "e2e/chaos/chaos_lane.h"
#include "e2e/chaos/scenarios.h"
#include "worker-runtime/job/settlement.h"
#include "worker-runtime/nats/testing/nats_server.h"

namespace lanekeeper::e2e {
namespace {

using std::chrono::milliseconds;

nats::NatsServer RunServer() {
  auto server = nats::NatsServer::Run();
  if (!server) throw std::runtime_error(server.error().message);
  return *std::move(server);
}

bool LogHas(const ChaosWorker& worker, const std::string& first, const std::string& second) {
  std::ifstream file(worker.log);
  for (std::string line; std::getline(file, line);) {
    if (line.find(first) != std::string::npos && line.find(second) != std::string::npos) {
      return true;
    }
  }
  return false;
}

// The page of a worker on this machine, with its HTTP head; empty when it does not answer.
std::string ReadMetrics(int port) {
  const int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval deadline{.tv_sec = 60};
  setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const std::string request =
      "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
  std::string page;
  if (connect(connection, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 &&
      send(connection, request.data(), request.size(), MSG_NOSIGNAL) > 0) {
    std::array<char, 16384> block{};
    ssize_t size = 0;
    while ((size = recv(connection, block.data(), block.size(), 0)) > 0) {
      page.append(block.data(), static_cast<std::size_t>(size));
    }
  }
  close(connection);
  return page;
}

// The sum over all series of that name; 0 when the worker does not answer.
double Metric(int port, const std::string& name) {
  std::istringstream lines(ReadMetrics(port));
  double sum = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind(name, 0) == 0) sum += std::atof(line.substr(line.rfind(' ') + 1).c_str());
  }
  return sum;
}

Bar AtLeast(const std::string& name, double value, const std::string& unit, double bar,
            const std::string& how) {
  return {
      .name = name, .value = value, .unit = unit, .bar = bar, .how = how, .limit = Limit::kAtLeast};
}

// One worker sleeps through its leases of two jobs; another one ends them meanwhile.
std::vector<Bar> SleepThroughALease(const ScenarioOptions& options) {
  const nats::NatsServer server = RunServer();
  ChaosLane lane({.scenario = options.name + "/one",
                  .url = server.url(),
                  .folder = options.folder / "one",
                  .worker = {{kEnvSlots, "2"}, {kEnvCrashes, "12"}}});
  const int port = FreePort();
  const ChaosWorker& first = lane.StartWorker({{kEnvHttpPort, std::to_string(port)}});
  Publisher publisher(server.url(), lane.key(),
                      {{"sleep-1", "sleep", "8000"}, {"steps-1", "steps", "80"}});
  lane.Await("both jobs run", [&] { return publisher.Finished() && lane.Running() == 2; });
  lane.Await("one of them has a checkpoint", [&] {
    const auto record = lane.RecordOf("steps-1");
    return record.is_object() && record.contains("checkpoint");
  });
  first.Signal(SIGSTOP);
  lane.Say("w1 is paused with both jobs");
  const ChaosWorker& second = lane.StartWorker();
  lane.Await("another worker has ended both", [&] { return lane.Left() == 0; });
  first.Signal(SIGCONT);
  lane.Say("w1 wakes");
  lane.Await("its handlers have ended", [&] {
    return Metric(port, "lanekeeper_worker_slots") > 0 &&
           Metric(port, "lanekeeper_worker_jobs_running") == 0;
  });

  std::vector<Bar> bars =
      lane.Judge(publisher.accepted(), "worker paused with SIGSTOP for longer than ack_wait", 1);
  int kept = 0;
  for (const char* id : {"sleep-1", "steps-1"}) {
    const auto record = lane.RecordOf(id);
    kept += record.is_object() && record.value("state", "") == "done" &&
                    record.value("worker", "") == second.name
                ? 1
                : 0;
  }
  bars.push_back(AtLeast(options.name + ": results of the second worker kept", kept, "jobs", 2,
                         "records after the first worker woke and its handlers ended"));
  bars.push_back(AtLeast(options.name + ": handlers told to stop",
                         LogHas(first, "stopped", "job=steps-1") ? 1 : 0, "jobs", 1,
                         "the job with steps, by the log of the woken worker"));
  bars.push_back(AtLeast(options.name + ": losses counted",
                         Metric(port, "lanekeeper_worker_leases_lost_total"), "leases", 2,
                         "lanekeeper_worker_leases_lost_total of the woken worker"));
  return bars;
}

std::vector<Bar> PauseACrowd(const ScenarioOptions& options) {
  constexpr int kWorkers = 4;
  const nats::NatsServer server = RunServer();
  ChaosLane lane({.scenario = options.name,
                  .url = server.url(),
                  .folder = options.folder,
                  .worker = {{kEnvCrashes, "10"}}});
  Publisher publisher(server.url(), lane.key(),
                      PlanJobs({.jobs = options.jobs, .sleep_ms_max = 600}));
  int pauses = 0;
  const ChaosWorker* paused = nullptr;
  const auto wake = [&] {
    if (paused != nullptr) paused->Signal(SIGCONT);
    paused = nullptr;
  };
  // Each pause is longer than ack_wait: the next one begins when the last one ends.
  lane.Drive(publisher, kWorkers, lane.options().ack_wait + milliseconds(500), [&] {
    wake();
    paused = &lane.RandomWorker();
    paused->Signal(SIGSTOP);
    ++pauses;
  });
  wake();
  publisher.Stop();
  std::this_thread::sleep_for(milliseconds(1000));  // The last one to wake has its say.
  return lane.Judge(publisher.accepted(), "one of 4 workers paused for longer than ack_wait",
                    pauses);
}

}  // namespace

std::vector<Bar> PauseWorkers(const ScenarioOptions& options) {
  std::vector<Bar> bars = SleepThroughALease(options);
  for (Bar& bar : PauseACrowd(options)) bars.push_back(std::move(bar));
  return bars;
}

// A job that ignores its timeout holds its slot in one worker after the other, and nothing else.
std::vector<Bar> IgnoreStop(const ScenarioOptions& options) {
  constexpr const char* kStubborn = "stubborn-1";
  const nats::NatsServer server = RunServer();
  ChaosLane lane({.scenario = options.name,
                  .url = server.url(),
                  .folder = options.folder,
                  .worker = {{kEnvSlots, "2"}, {kEnvTimeout, "1s"}}});
  // Longer than a worker waits for it: it ends when the job is long somebody else's.
  Publisher first(server.url(), lane.key(), {{kStubborn, "stubborn", "25000"}});
  lane.KeepWorkers(2);
  lane.Await("the stubborn job runs", [&] { return first.Finished() && lane.Running() == 1; });
  Publisher others(server.url(), lane.key(), PlanJobs({.jobs = options.jobs}));
  lane.Await("every other job is through", [&] { return others.Finished() && lane.Left() == 1; });
  lane.Say("only the stubborn job is left");
  const bool held_up = LogHas(lane.workers().front(), "stuck", kStubborn) ||
                       LogHas(lane.workers().back(), "stuck", kStubborn);
  lane.Drive(others, 2, milliseconds(1000), [] {});
  lane.Say("the stubborn job is settled; its handlers still run");
  // The handlers end at last, and what they return must not count.
  std::this_thread::sleep_for(std::chrono::seconds(26));

  std::vector<std::string> accepted = others.accepted();
  accepted.emplace_back(kStubborn);
  std::vector<Bar> bars = lane.Judge(accepted, "a job that ignores stop for 25 s", 1);
  const auto record = lane.RecordOf(kStubborn);
  const std::string state = record.is_object() ? record.value("state", "") : "";
  const std::string reason = record.is_object() ? record.value("dead_reason", "") : "";
  bars.push_back(AtLeast(
      options.name + ": quarantined", state == "dead" ? 1 : 0, "jobs", 1,
      "after it had outlived its lease in two workers; its record says " + state + " " + reason));
  bars.push_back({.name = options.name + ": other jobs held up",
                  .value = held_up ? 1.0 : 0.0,
                  .unit = "lanes",
                  .bar = 0.0,
                  .how = "all others were through before its first lease had run out"});
  return bars;
}

}  // namespace lanekeeper::e2e
