// Rollouts and node drains while jobs run: pods of busy workers are told to end, and have to be
// left to finish.
#pragma once

#include <string>
#include <vector>

#include "e2e/chaos/scaling_stage.h"

namespace lanekeeper::e2e {

// Lanes for both: "steady", four to eight workers with a job each.
std::string SteadyLanes();

struct ReplacedResult {
  std::vector<std::string> interruptions;
  std::vector<std::string> troubles;
  int told_while_busy = 0;  // Pods that were told to end while a job ran in them.
  double seconds = 0;       // How long the rollout or drain took.
};

// `stage` has SteadyLanes. Jobs take `long_job` each.
ReplacedResult RunRollout(Stage& stage, Witness& witness, const std::string& edition,
                          std::chrono::milliseconds long_job);
// Evicts the pool's pods from `node`, then lets it be used again.
ReplacedResult RunNodeDrain(Stage& stage, Witness& witness, const std::string& name,
                            std::chrono::milliseconds long_job);

std::string Describe(const std::string& name, const ReplacedResult& result);

}  // namespace lanekeeper::e2e
