// What is done to a lane, and what has to hold afterwards. Each scenario has servers, streams and
// workers of its own and leaves nothing behind but logs.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "e2e/bench/figures.h"

namespace lanekeeper::e2e {

struct ScenarioOptions {
  std::string name;
  int jobs = 0;
  std::filesystem::path folder;  // For logs.
};

struct Scenario {
  const char* name;
  const char* what;  // One line for --help.
  int jobs;          // Unless somebody says otherwise.
  // The bars, whether or not they hold. Throws std::runtime_error when it could not be carried out.
  std::vector<Bar> (*run)(const ScenarioOptions& options);
};

const std::vector<Scenario>& Scenarios();

std::vector<Bar> KillWorkers(const ScenarioOptions& options);
std::vector<Bar> KillServer(const ScenarioOptions& options);
std::vector<Bar> LoseLeaders(const ScenarioOptions& options);
std::vector<Bar> PauseWorkers(const ScenarioOptions& options);
std::vector<Bar> FillDisk(const ScenarioOptions& options);
std::vector<Bar> ShiftClock(const ScenarioOptions& options);
std::vector<Bar> IgnoreStop(const ScenarioOptions& options);

}  // namespace lanekeeper::e2e
