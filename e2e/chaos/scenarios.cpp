#include "e2e/chaos/scenarios.h"

namespace lanekeeper::e2e {

const std::vector<Scenario>& Scenarios() {
  static const std::vector<Scenario> scenarios{
      {"workers-killed", "SIGKILL of one of four workers every 300 ms", 5000, &KillWorkers},
      {"server-killed", "SIGKILL of nats-server, and a restart, again and again", 5000,
       &KillServer},
      {"leaders-lost", "R3: leaders step down every second, one node is killed", 2000,
       &LoseLeaders},
      {"workers-paused", "SIGSTOP of a worker for longer than its leases last", 500, &PauseWorkers},
      {"disk-full", "no room for the server's store, by disk and by limit", 1000, &FillDisk},
      {"clock-jumps", "the workers' wall clock jumps by hours", 500, &ShiftClock},
      {"stop-ignored", "a handler that does not stop when it is told to", 300, &IgnoreStop},
  };
  return scenarios;
}

}  // namespace lanekeeper::e2e
