// The jobs of a scenario, and who publishes them.
#pragma once

#include <atomic>
#include <cstdint>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "worker-runtime/job/names.h"

namespace lanekeeper::e2e {

// Types are those of worker-runtime/examples/example_handlers.h.
struct PlannedJob {
  std::string id;
  std::string type;
  std::string payload;
};

struct Mix {
  int jobs = 0;
  int sleep_ms_max = 40;  // Of a sleeping job; at least 1.
  int crashing = 0;       // Jobs among them that kill their worker each time.
};

// In every hundred: 4 that always fail, 4 that are rejected, 12 that fail once or twice, and the
// rest sleeps. The same for the same `mix`. Ids are "<type>-<number>".
std::vector<PlannedJob> PlanJobs(const Mix& mix);

// Whether it has to end among the dead letters.
bool MustDie(const std::string& id);

// Publishes jobs one after another on a thread and a connection of its own, each until the server
// has acknowledged it.
class Publisher {
 public:
  Publisher(const std::string& url, const LaneKey& lane, std::vector<PlannedJob> jobs);

  // Nothing is left to publish.
  bool Finished() const { return finished_; }
  // Answers that said no, or did not come. Each is followed by another try.
  int Refused() const { return refused_; }
  // The ids that were acknowledged. Only when Finished, or after Stop.
  const std::vector<std::string>& accepted() const { return accepted_; }
  // Gives up what is left. Returns when the thread has ended.
  void Stop();

 private:
  void Run(const std::stop_token& stop, const std::string& url, const LaneKey& lane,
           const std::vector<PlannedJob>& jobs);

  std::atomic<bool> finished_{false};
  std::atomic<int> refused_{0};
  std::vector<std::string> accepted_;
  std::jthread thread_;  // The last: it ends before the rest does.
};

}  // namespace lanekeeper::e2e
