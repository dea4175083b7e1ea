// The lanes of a pool, from the gateway's answer about it. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/command/output.h"
#include "cli/up/lane_table.h"

namespace lanekeeper::lanes {

// An object a lane, in the pool's order: what status says of it, with "namespace", "pool", "lane",
// "pause" while it is paused, and "paused": true in a pool that is paused as a whole. Lanes the
// operator has said nothing of yet have only those.
nlohmann::json LanesOf(const nlohmann::json& pool);

// The same for the table of `lanekeeper up`.
std::vector<up::LaneRow> RowsOf(const nlohmann::json& pool);

std::vector<cli::Column> LaneColumns();

}  // namespace lanekeeper::lanes
