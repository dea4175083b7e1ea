// Many jobs, and something that dies again and again: workers, the server, leaders of a cluster.
#include <algorithm>
#include <random>
#include <stdexcept>
#include <thread>

#include "e2e/chaos/chaos_lane.h"
#include "e2e/chaos/scenarios.h"
#include "worker-runtime/nats/testing/nats_cluster.h"
#include "worker-runtime/nats/testing/nats_server.h"

namespace lanekeeper::e2e {
namespace {

using std::chrono::milliseconds;

constexpr int kCrowdWorkers = 4;

// Few jobs sleep for longer: something has to die while they run. Milliseconds.
int SleepMax(int jobs) { return std::max(80, 120'000 / jobs); }

template <typename T>
T MustRun(Result<T> server) {
  if (!server) throw std::runtime_error(server.error().message);
  return *std::move(server);
}

}  // namespace

std::vector<Bar> KillWorkers(const ScenarioOptions& options) {
  const nats::NatsServer server = MustRun(nats::NatsServer::Run());
  // Its neighbours die with a job that crashes, and so may anybody: more than the usual two deaths
  // each, so that it is certain who ends among the dead letters.
  ChaosLane lane({.scenario = options.name,
                  .url = server.url(),
                  .folder = options.folder,
                  .worker = {{kEnvCrashes, "12"}}});
  Publisher publisher(
      server.url(), lane.key(),
      PlanJobs({.jobs = options.jobs, .sleep_ms_max = SleepMax(options.jobs), .crashing = 2}));
  int kills = 0;
  lane.Drive(publisher, kCrowdWorkers, milliseconds(300), [&] {
    const ChaosWorker& worker = lane.RandomWorker();
    // In turns, its machine is gone, or its supervisor is left to tell the jobs.
    if (++kills % 2 == 0) {
      worker.KillJobs();
    } else {
      lane.Remove(worker);
    }
  });
  publisher.Stop();
  return lane.Judge(publisher.accepted(),
                    "one of 4 workers killed with SIGKILL every 300 ms, with and without its "
                    "supervisor",
                    kills);
}

std::vector<Bar> KillServer(const ScenarioOptions& options) {
  nats::NatsServer server = MustRun(nats::NatsServer::Run());
  // A server that was killed has forgotten its deliveries and makes them again: a worker that is
  // slow to say that it has the job counts as dead then.
  ChaosLane lane({.scenario = options.name,
                  .url = server.url(),
                  .folder = options.folder,
                  .worker = {{kEnvCrashes, "12"}}});
  Publisher publisher(server.url(), lane.key(),
                      PlanJobs({.jobs = options.jobs, .sleep_ms_max = SleepMax(options.jobs)}));
  std::mt19937 random(std::random_device{}());
  std::uniform_int_distribution<int> pause_ms(0, 500);
  int kills = 0;
  lane.Drive(publisher, kCrowdWorkers, milliseconds(700), [&] {
    server.Kill();
    std::this_thread::sleep_for(milliseconds(pause_ms(random)));
    if (const auto started = server.Start(); !started) {
      throw std::runtime_error(started.error().message);
    }
    ++kills;
  });
  publisher.Stop();
  return lane.Judge(publisher.accepted(),
                    "nats-server killed with SIGKILL, started again up to 500 ms later", kills);
}

std::vector<Bar> LoseLeaders(const ScenarioOptions& options) {
  nats::NatsCluster cluster = MustRun(nats::NatsCluster::Run());
  // Longer than the election after a node's death, in which no lease can be renewed.
  ChaosLane lane({.scenario = options.name,
                  .url = cluster.url(),
                  .folder = options.folder,
                  .ack_wait = std::chrono::seconds(10),
                  .replicas = nats::NatsCluster::kNodes});
  const nats::JetStream& jetstream = lane.jetstream();
  const std::string stream = JobStreamName(lane.key());
  Publisher publisher(cluster.url(), lane.key(),
                      PlanJobs({.jobs = options.jobs, .sleep_ms_max = 200}));
  constexpr int kKillAt = 3;
  constexpr int kRestartAt = 6;
  nats::NatsServer* killed = nullptr;
  int steps = 0;
  const auto restart = [&] {
    if (killed == nullptr) return;
    if (const auto started = killed->Start(); !started) {
      throw std::runtime_error(started.error().message);
    }
    lane.Say("the killed node is back");
    killed = nullptr;
  };
  lane.Drive(publisher, kCrowdWorkers, milliseconds(1000), [&] {
    ++steps;
    if (steps == kKillAt) {
      if (const auto leader = nats::StreamLeader(jetstream, stream)) {
        killed = cluster.node(*leader);
        killed->Kill();
        lane.Say("killed " + *leader + ", the leader of the lane's stream");
      }
    }
    if (steps == kRestartAt) restart();
    // One that has no leader at the moment cannot step down; the next second it may.
    for (const std::string& name : {stream, std::string(kRecordStream)}) {
      (void)nats::StepDownStream(jetstream, name);
    }
    (void)nats::StepDownConsumer(jetstream, stream, kConsumerName);
  });
  restart();
  publisher.Stop();
  if (const auto ready = cluster.WaitReady(); !ready) {
    throw std::runtime_error(ready.error().message);
  }
  return lane.Judge(publisher.accepted(),
                    "R3: the leaders of the lane's stream, its consumer and the records step down "
                    "every second; one node killed and started again",
                    steps);
}

}  // namespace lanekeeper::e2e
