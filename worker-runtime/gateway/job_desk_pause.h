// Lanes that hand out no jobs for a while. Private to the desk. Waits for NATS.
#pragma once

#include "worker-runtime/base/time.h"
#include "worker-runtime/gateway/job_desk_core.h"
#include "worker-runtime/gateway/problem.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/job/pool_brief.h"

namespace lanekeeper::gateway {

Answer<void> PauseLane(const DeskCore& core, const LaneKey& lane, const LanePause& pause,
                       WallTime now);
Answer<void> ResumeLane(const DeskCore& core, const LaneKey& lane);

}  // namespace lanekeeper::gateway
