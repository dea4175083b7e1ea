// A job trace: what came when, and how long it took. Pure shapes.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

namespace lanekeeper::simulate {

// Since the trace began. Simulated clocks start at zero and know no other time.
using Duration = std::chrono::nanoseconds;

struct Job {
  Duration arrival{0};  // >= 0.
  Duration service{0};  // >= 0: from its start to its end, on any worker.
  std::string type;     // May be empty.
  bool operator==(const Job&) const = default;
};

// By arrival: each job comes at the time of the one before it, or later.
using Trace = std::vector<Job>;

// So that 86,400.5 s and the like are written as they are meant.
inline Duration FromSeconds(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}
inline double ToSeconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace lanekeeper::simulate
