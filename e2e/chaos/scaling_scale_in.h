// One scale-in under load: some workers busy with long jobs, the others idle; the depth falls, and
// something else happens meanwhile.
#pragma once

#include <string>
#include <vector>

#include "e2e/chaos/scaling_stage.h"

namespace lanekeeper::e2e {

enum class Meanwhile {
  kNothing,
  kMaxLowered,      // Below what is busy; the long jobs end one after the other.
  kDemandBack,      // At `at`: as many jobs as idle workers.
  kOperatorKilled,  // At `at`.
  kIdlePodDeleted,  // By hand, when the first drain is asked for.
  kBusyPodDeleted,
  kIdleWorkerSilent,  // SIGSTOP of its processes for longer than a report lasts; then jobs come
                      // back, one of them to where nobody reads it yet.
  kBusyWorkerSilent,
  kWaves,  // Short jobs come back three times, about when the window ends.
};

struct Load {
  std::string lane;
  int busy = 0;  // Long jobs.
  int idle = 0;  // Jobs that end at once.
};

struct ScaleIn {
  std::string name;
  std::vector<Load> loads;
  Meanwhile meanwhile = Meanwhile::kNothing;
  Step at = Step::kDrained;
  std::chrono::milliseconds long_job{20000};
};

// The lanes that scale-ins run in: "one" and "two", a job per worker, and "wide", four.
std::string ScaleInLanes(int max_of_one = 10);

struct ScaleInResult {
  bool carried_out = false;  // Workers were released while others were busy, and it came to rest.
  int released = 0;          // Pods told to end while a job ran.
  int undrained = 0;
  std::vector<std::string> interruptions;
  std::vector<std::string> troubles;  // What did not come in time.
  std::string release_text;           // What the status said of it last.
  // Of each step how often, and seconds from the publishing of the jobs: "drained 5 (6.1 to 6.2)".
  std::string story;
};

// `stage` has ScaleInLanes, at rest and without workers; so it is again afterwards. Waits for
// everything with deadlines.
ScaleInResult RunScaleIn(Stage& stage, Witness& witness, const ScaleIn& scale_in);

// For people: one line.
std::string Describe(const ScaleIn& scale_in, const ScaleInResult& result);

}  // namespace lanekeeper::e2e
