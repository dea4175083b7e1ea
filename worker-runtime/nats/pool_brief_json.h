// PoolBrief and LanePause as JSON: what stands in the KV bucket LK_pools. Pure.
//
//   {"v":1,"namespace":"studio","pool":"media","routing":"Routes","paused":false,
//    "lanes":[{"name":"short","class":"Short","stream":"LK_studio_media_short","consumer":"workers",
//              "max_depth":10000,"tracking":"Full","timeout_ms":30000,
//              "admission":{"max_wait_ms":60000,"max_per_caller":100}}],
//    "routes":[{"type":"thumbnail","lane":"short"}]}
//   {"until":"2026-11-26T03:00:00Z","reason":"renderer upgrade","by":"ana"}
//
// A lane of the user's own stream has "external":true; what says nothing is left out: external,
// admission and its parts, routes, reason, by.
#pragma once

#include <string>
#include <string_view>

#include "worker-runtime/base/result.h"
#include "worker-runtime/job/pool_brief.h"

namespace lanekeeper::nats {

std::string WritePoolBrief(const PoolBrief& brief);
// Ignores fields it does not know; but for names, stream and consumer, one that is missing has its
// default. kInvalid, naming the field, for a missing or impossible one: also more than 16 lanes or
// 128 routes, and a route to no lane.
Result<PoolBrief> ReadPoolBrief(std::string_view json);

std::string WriteLanePause(const LanePause& pause);
Result<LanePause> ReadLanePause(std::string_view json);

}  // namespace lanekeeper::nats
