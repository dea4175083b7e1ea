// Pools and lanes as people name them, read against the list of those there are. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "cli/remote/remote.h"

namespace lanekeeper::cli {

// As Remote::Resolve says; `pools` is the answer of GET /v1/pools.
ClientResult<LaneName> ReadLaneName(std::string_view text, bool with_lane,
                                    const nlohmann::json& pools);

}  // namespace lanekeeper::cli
