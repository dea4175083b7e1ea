// The demand of the recent past, for the scale-down window: the highest of it is what a lane keeps.
//
// Bounded: keeps only points that can still be a peak (each newer one is lower), and at most
// kPointsMax of them. Pure: the time is an argument. Not thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <vector>

namespace lanekeeper::scaling {

class DemandHistory {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::size_t kPointsMax = 256;

  // Precondition: `now` does not go back from one call to the next.
  void Add(Time now, int workers);

  // The highest demand added at `now - window` or later; 0 when there is none.
  int Peak(Time now, std::chrono::milliseconds window) const;

  // The first moment at which Peak is lower than at `now`, if nothing is added until then; nothing
  // when it is 0 already.
  std::optional<Time> PeakEnds(Time now, std::chrono::milliseconds window) const;

  // Drops what is older than the window: keeps memory small for lanes that rest.
  void Forget(Time now, std::chrono::milliseconds window);

  bool empty() const { return points_.empty(); }

 private:
  struct Point {
    Time time;
    int workers;
  };
  // Time rises, workers falls strictly. A vector: a lane at rest has one point, and there are many.
  std::vector<Point> points_;
};

}  // namespace lanekeeper::scaling
