// How commands find a gateway, pools and lanes, and the paths of its API below those.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "cli/remote/remote.h"

namespace lanekeeper::cli {

std::string PoolPath(const LaneName& name);  // "/v1/pools/studio/media"
std::string LanePath(const LaneName& name);  // "/v1/pools/studio/media/lanes/short"
// "studio/media" or, with a lane, "studio/media/short".
std::string Shown(const LaneName& name);
// As Remote::Find, for a command that Ctrl-C ends at once, whatever it waits for.
Result<std::unique_ptr<Remote>> FindRemote(const TargetFlags& flags);
// "pool/lane" or "ns/pool/lane". Without a lane: kInvalid, with those there are.
ClientResult<LaneName> ResolveLane(Remote& remote, std::string_view text);
// "pool", "ns/pool", "pool/lane" or "ns/pool/lane", where a pool and a lane will do. What could be
// either is a pool when there is such a one.
ClientResult<LaneName> ResolvePoolOrLane(Remote& remote, std::string_view text);
// After an empty answer about a lane of `pool`: kNotFound, with those there are, when it has none
// of that name. Asked afterwards, because a lane that is gone may have left something behind. An
// empty `lane` is no question.
ClientResult<void> RefuseUnknownLane(Remote& remote, const LaneName& pool, const std::string& lane);

}  // namespace lanekeeper::cli
