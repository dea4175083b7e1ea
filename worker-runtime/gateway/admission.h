// DecideAdmission: whether a lane takes one more job. The gateway's one decision. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <variant>

#include "worker-runtime/job/pool_brief.h"

namespace lanekeeper::gateway {

// A lane as it was seen last. Counts >= 0.
struct LaneGauge {
  std::int64_t depth = 0;         // Jobs in the stream: waiting, running and parked.
  std::int64_t waiting = 0;       // Never delivered: they stand before a new one.
  double drained_per_second = 0;  // Jobs that left the lane, over the last seconds; 0 = none seen.
  // The operator's prediction for a job that comes now; nothing when it is old or not known.
  std::optional<std::chrono::milliseconds> predicted_wait;
  bool operator==(const LaneGauge&) const = default;
};

struct Accept {
  std::int64_t position = 0;  // Jobs before it, about.
  // Until it starts, about; nothing when that is not known.
  std::optional<std::chrono::seconds> eta;
  bool operator==(const Accept&) const = default;
};
enum class BusyCause { kLaneFull, kWaitTooLong, kCallerQuota };
struct Busy {
  BusyCause cause = BusyCause::kLaneFull;
  // When there is room again at the present drain rate: 1 s to 5 minutes; 10 s when it is not
  // known.
  std::chrono::seconds retry_after{1};
  bool operator==(const Busy&) const = default;
};
using Admission = std::variant<Accept, Busy>;

// `caller_waiting`: jobs of this caller that wait in the lane; only looked at with a
// caller_depth_max.
Admission DecideAdmission(const LaneBrief& lane, const LaneGauge& gauge,
                          std::int64_t caller_waiting);

// What a job is answered that the lane's stream has just refused.
Busy BusyWhenFull(const LaneBrief& lane, const LaneGauge& gauge);

}  // namespace lanekeeper::gateway
