// lanekeeper-verify (`cli/`) about one lane.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "worker-runtime/job/names.h"

namespace lanekeeper::e2e {

// Its verdict in one object (cli/verify/verdict_text.h). Every run that ended is in
// `results_stream`. The ids go to `folder`/accepted, what it says to `folder`/verify.log. Throws
// std::runtime_error when there is no verdict.
nlohmann::ordered_json VerifyLane(const std::string& nats_url, const LaneKey& key,
                                  const std::string& results_stream,
                                  const std::vector<std::string>& accepted,
                                  const std::filesystem::path& folder);

}  // namespace lanekeeper::e2e
