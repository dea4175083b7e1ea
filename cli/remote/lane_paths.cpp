#include "cli/remote/lane_paths.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "worker-runtime/base/percent_encode.h"
#include "worker-runtime/base/stop_signal.h"

namespace lanekeeper::cli {

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

Result<std::unique_ptr<Remote>> FindRemote(const TargetFlags& flags) {
  UnblockStopSignals();
  return Remote::Find(flags);
}

ClientResult<LaneName> ResolveLane(Remote& remote, std::string_view text) {
  auto name = remote.Resolve(text, /*with_lane=*/true);
  if (!name || !name->lane.empty()) return name;
  const auto pool = remote.Get(PoolPath(*name));
  if (!pool) return tl::unexpected(pool.error());
  std::string lanes;
  for (const nlohmann::json& lane : pool->value("lanes", nlohmann::json::array())) {
    lanes += (lanes.empty() ? "" : ", ") + Shown(*name) + "/" + lane.value("name", "");
  }
  return tl::unexpected(ClientError{.kind = ErrorKind::kInvalid,
                                    .message = "which lane? name one of " + lanes,
                                    .problem = {},
                                    .status = 0,
                                    .retry_after = {}});
}

ClientResult<LaneName> ResolvePoolOrLane(Remote& remote, std::string_view text) {
  const auto slashes = std::count(text.begin(), text.end(), '/');
  if (slashes >= 2) return remote.Resolve(text, /*with_lane=*/true);
  auto pool = remote.Resolve(text, /*with_lane=*/false);
  if (pool || slashes == 0) return pool;
  auto lane = remote.Resolve(text, /*with_lane=*/true);
  // "pool/lane" without such a lane, or "namespace/pool" without such a pool?
  const bool has_pool =
      remote.Resolve(text.substr(0, text.find('/')), /*with_lane=*/false).has_value();
  return lane || has_pool ? lane : pool;
}

ClientResult<void> RefuseUnknownLane(Remote& remote, const LaneName& pool,
                                     const std::string& lane) {
  if (lane.empty()) return {};
  const auto found = remote.Resolve(Shown(pool) + "/" + lane, /*with_lane=*/true);
  if (!found) return tl::unexpected(found.error());
  return {};
}

}  // namespace lanekeeper::cli
