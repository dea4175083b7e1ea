#include "cli/lanes/lane_paths.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "worker-runtime/base/percent_encode.h"

namespace lanekeeper::lanes {

using cli::LaneName;

std::string PoolPath(const LaneName& name) {
  return "/v1/pools/" + PercentEncode(name.pool_namespace) + "/" + PercentEncode(name.pool);
}

std::string LanePath(const LaneName& name) {
  return PoolPath(name) + "/lanes/" + PercentEncode(name.lane);
}

std::string Shown(const LaneName& name) {
  const std::string pool = name.pool_namespace + "/" + name.pool;
  return name.lane.empty() ? pool : pool + "/" + name.lane;
}

ClientResult<LaneName> ResolvePoolOrLane(cli::Remote& remote, std::string_view text) {
  const auto slashes = std::count(text.begin(), text.end(), '/');
  if (slashes >= 2) return remote.Resolve(text, /*with_lane=*/true);
  auto pool = remote.Resolve(text, /*with_lane=*/false);
  if (pool || slashes == 0 || pool.error().kind != ErrorKind::kNotFound) return pool;
  auto lane = remote.Resolve(text, /*with_lane=*/true);
  return lane ? lane : pool;
}

}  // namespace lanekeeper::lanes
