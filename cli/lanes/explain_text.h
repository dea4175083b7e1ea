// Why a lane has as many workers as it has, for people. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "worker-runtime/base/time.h"

namespace lanekeeper::lanes {

// `pool`: the gateway's answer about it; `decisions`: its list of them, the newest first. Numbers
// now, the last decision with its terms one a line, what holds the lane, the conditions that are
// not good, and the decisions. Ends with a line break.
std::string ExplainText(const nlohmann::json& pool, const std::string& lane,
                        const nlohmann::json& decisions, WallTime now);

// The same as one object: {"lane": LanesOf's, "conditions": those that are not good, "decisions"}.
nlohmann::json ExplainJson(const nlohmann::json& pool, const std::string& lane,
                           const nlohmann::json& decisions);

}  // namespace lanekeeper::lanes
