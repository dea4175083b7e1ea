// Workers and what they run, as a table. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/command/output.h"

namespace lanekeeper::workers {

// Of an item of the gateway's list of workers.
std::vector<cli::Column> WorkerColumns();

// "film for 70m 40% (frame 4211 of 10000)", and how many more it runs; "-" with none.
std::string JobsText(const nlohmann::json& worker);

// What was done about a worker that was told to drain, from the gateway's answer.
std::string DrainText(const nlohmann::json& worker);

}  // namespace lanekeeper::workers
