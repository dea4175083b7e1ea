#include "operator/simulate/clairvoyant.h"

#include <functional>
#include <queue>

namespace lanekeeper::simulate {

LowerBound BoundFromBelow(const Crewing& crewing, const std::vector<LaneJob>& jobs) {
  std::priority_queue<Duration, std::vector<Duration>, std::greater<>> ends;
  std::vector<Duration> idle_since;  // The latest last.
  double slot_seconds = 0;
  std::int64_t starts = 0;
  for (const LaneJob& job : jobs) {
    for (; !ends.empty() && ends.top() <= job.arrival; ends.pop()) idle_since.push_back(ends.top());
    const bool kept =
        !idle_since.empty() && job.arrival - idle_since.back() < Duration(crewing.cold_start);
    if (kept) {
      slot_seconds += ToSeconds(job.arrival - idle_since.back());
      idle_since.pop_back();
    } else {
      // All that are idle have been so for longer: they went when they fell idle.
      idle_since.clear();
      ++starts;
      slot_seconds += ToSeconds(crewing.cold_start);
    }
    slot_seconds += ToSeconds(job.service);
    ends.push(job.arrival + job.service);
  }
  return {slot_seconds / crewing.slots, (starts + crewing.slots - 1) / crewing.slots};
}

}  // namespace lanekeeper::simulate
