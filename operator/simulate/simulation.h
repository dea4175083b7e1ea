// Runs a trace through lanes under a scaler, and says what came of it. Pure; the same arguments
// give the same result on every machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "operator/simulate/scaler.h"
#include "operator/simulate/trace.h"

namespace lanekeeper::simulate {

struct SimulatedPool {
  std::vector<Crewing> lanes;    // At least one.
  std::vector<int> workers_min;  // Of each lane: there from the beginning.
};

// A job of the trace, and where it goes.
struct RoutedJob {
  LaneJob job;
  std::size_t lane = 0;   // The lane it runs in.
  std::size_t group = 0;  // Whose waits it counts among: a lane's, unless lanes are shared.
};

// Of the jobs of one group, in seconds, by nearest rank.
struct Waits {
  std::int64_t jobs = 0;
  double p50 = 0;
  double p95 = 0;
  double p99 = 0;
  double max = 0;
};

struct Moment {
  double seconds = 0;
  std::int64_t backlog = 0;  // Waiting + running.
  int workers = 0;           // Asked for.
};

struct LaneOutcome {
  Waits waits;  // Of all jobs that ran in it.
  double worker_seconds = 0;
  double busy_seconds = 0;  // What its jobs took, runs that were cut not counted.
  int workers_peak = 0;
  std::int64_t cold_starts = 0;
  std::int64_t kills = 0;
  std::int64_t unfinished = 0;  // Jobs that never ran to their end: see kRunMax.
  // Changes of direction of the number of workers: up after down, and down after up.
  std::int64_t reversals = 0;
  std::vector<Duration> reversed_at;
  std::vector<Moment> course;  // At most kCourseMax of them, evenly spread; the highest of each.
};

struct Outcome {
  std::vector<LaneOutcome> lanes;
  std::vector<Waits> groups;
  std::int64_t steps = 0;
};

inline constexpr std::size_t kCourseMax = 1200;

// Ends when every job has ended and no lane has more workers than its minimum, at the latest
// kLingerMax after the last job: so all scalers pay for how they let go.
inline constexpr std::chrono::hours kLingerMax{2};
// A lane that never gets through its jobs (too small, or it cuts them again and again) is given up
// this long after the last arrival, and ten times the longest job. What has not started by then has
// waited until then.
inline constexpr std::chrono::hours kRunMax{24};

// Precondition: `jobs` by arrival; lanes and groups exist (`groups` of them).
Outcome Simulate(const SimulatedPool& pool, const std::vector<RoutedJob>& jobs, std::size_t groups,
                 Scaler& scaler);

Waits WaitsOf(std::vector<Duration> waits);

}  // namespace lanekeeper::simulate
