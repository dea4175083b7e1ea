// PoolBrief and LanePause as JSON: what stands in the KV bucket LK_pools. Pure.
//
//   {"v":1,"namespace":"studio","pool":"media","routing":"Routes","paused":false,
//    "lanes":[{"name":"short","class":"Short","stream":"LK_studio_media_short","consumer":"workers",
//              "max_depth":10000,"tracking":"Full","timeout_ms":30000,
//              "admission":{"max_wait_ms":60000,"max_per_caller":100}}],
//    "routes":[{"type":"thumbnail","lane":"short"}]}
//   {"until":"2026-11-26T03:00:00Z","reason":"renderer upgrade","by":"ana"}
#pragma once

#include <string>
#include <string_view>

#include "worker-runtime/base/result.h"
#include "worker-runtime/job/pool_brief.h"

namespace lanekeeper::nats {

std::string WritePoolBrief(const PoolBrief& brief);
// Ignores fields it does not know. kInvalid, naming the field, for a missing or impossible one.
Result<PoolBrief> ReadPoolBrief(std::string_view json);

std::string WriteLanePause(const LanePause& pause);
Result<LanePause> ReadLanePause(std::string_view json);

}  // namespace lanekeeper::nats
