// What is right when operators take over from one another: by the ledger, no decision of an earlier
// lead after one of a later; by the Deployments themselves, no step that the jobs did not ask for.
// Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace lanekeeper::e2e {

using SteadyTime = std::chrono::steady_clock::time_point;

// One entry of the ledger of a lane, in the order in which they are stored.
struct LedDecision {
  std::string leader;
  std::int64_t epoch = 0;
};

// Sentences, one for each decision that two leaders were behind: of an earlier lead after a later
// one, by another one in the same lead, or by nobody.
std::vector<std::string> DecisionsOfTwoLeaders(const std::vector<LedDecision>& decisions);

// From `at` on the lane's jobs need this many workers.
struct Need {
  SteadyTime at;
  int workers = 0;
};
struct ReplicaChange {
  SteadyTime at;  // When it was seen.
  int from = 0;
  int to = 0;
};

struct StepRules {
  std::chrono::milliseconds window{};  // The lane's scale-down window.
  // How old a number may be that a decision is made from, and how late its change is seen here.
  std::chrono::milliseconds slack{2000};
  // How long a request may be under way.
  std::chrono::milliseconds request_max{6000};
};

// Sentences, one for each change that was wrong: down, though more was needed within the window; or
// up beyond what was needed. `needs` are in order of time, the first one before any change.
std::vector<std::string> WrongSteps(const std::vector<Need>& needs,
                                    const std::vector<ReplicaChange>& changes,
                                    const StepRules& rules);

}  // namespace lanekeeper::e2e
