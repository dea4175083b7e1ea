// The lower bound: who knows every arrival beforehand. Pure.
#pragma once

#include <vector>

#include "operator/simulate/simulated_lane.h"

namespace lanekeeper::simulate {

struct LowerBound {
  double worker_seconds = 0;
  std::int64_t cold_starts = 0;
};

// The least worker-seconds with which every job starts at the moment it comes: a slot is asked for
// one cold start before it is needed, and one that falls idle is kept if it is needed again within
// a cold start, as starting another would cost more. Jobs are handed to the slot that fell idle
// last, which leaves the others the longest idle times; as the cost of an idle time grows ever
// slower with its length (and not at all beyond a cold start), no other matching is cheaper. With
// several slots in a worker, the slots' seconds are divided by them: a bound that no packing can
// beat.
LowerBound BoundFromBelow(const Crewing& crewing, const std::vector<LaneJob>& jobs);

}  // namespace lanekeeper::simulate
