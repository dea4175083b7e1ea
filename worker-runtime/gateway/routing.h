// DecideRoute: which lane of a pool a job goes to. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "worker-runtime/gateway/problem.h"
#include "worker-runtime/job/pool_brief.h"

namespace lanekeeper::gateway {

// By `lane` when it is not empty; else by the first route of `type`; else, with Routing::kLearned
// and a `learned_p95` of that type, the first lane that is no Gpu lane and whose timeout is at
// least 1.25 times that (the last such lane when none is that long); else the first lane.
// kLaneNotFound names the lanes there are.
Answer<const LaneBrief*> DecideRoute(const PoolBrief& pool, std::string_view lane,
                                     std::string_view type,
                                     std::optional<std::chrono::milliseconds> learned_p95);

}  // namespace lanekeeper::gateway
