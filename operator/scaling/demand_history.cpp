#include "operator/scaling/demand_history.h"

#include <algorithm>

namespace lanekeeper::scaling {

void DemandHistory::Add(Time now, int workers) {
  // A point that is not higher than a newer one can never be a peak again.
  while (!points_.empty() && points_.back().workers <= workers) points_.pop_back();
  points_.push_back({now, workers});
  // Full: merging the two newest points errs on the side of keeping workers longer.
  if (points_.size() > kPointsMax) {
    const Point newest = points_.back();
    points_.pop_back();
    points_.back().time = newest.time;
  }
}

int DemandHistory::Peak(Time now, std::chrono::milliseconds window) const {
  for (const Point& point : points_) {
    if (point.time >= now - window) return point.workers;
  }
  return 0;
}

std::optional<DemandHistory::Time> DemandHistory::PeakEnds(Time now,
                                                           std::chrono::milliseconds window) const {
  for (const Point& point : points_) {
    if (point.time < now - window) continue;
    if (point.workers == 0) return std::nullopt;
    return point.time + window + std::chrono::milliseconds(1);
  }
  return std::nullopt;
}

void DemandHistory::Forget(Time now, std::chrono::milliseconds window) {
  const auto first = std::find_if(points_.begin(), points_.end(),
                                  [&](const Point& point) { return point.time >= now - window; });
  points_.erase(points_.begin(), first);
}

}  // namespace lanekeeper::scaling
