#include "cli/dead/nothing_found.h"

#include "cli/remote/lane_paths.h"

namespace lanekeeper::dead {

ClientResult<void> RefuseUnknown(cli::Remote& remote, const cli::LaneName& pool,
                                 const std::string& lane, const std::string& group) {
  if (auto known = cli::RefuseUnknownLane(remote, pool, lane); !known) return known;
  if (group.empty()) return {};
  return tl::unexpected(ClientError{.kind = ErrorKind::kNotFound,
                                    .message = "no dead letters of group " + group + " in " +
                                               cli::Shown(pool) + (lane.empty() ? "" : "/" + lane) +
                                               "; `lanekeeper dead groups` lists those there are",
                                    .problem = {},
                                    .status = 0,
                                    .retry_after = {}});
}

}  // namespace lanekeeper::dead
