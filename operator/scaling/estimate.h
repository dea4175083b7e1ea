// What has been learned of a lane: the input of the wait policy. Plain numbers, so that a decision
// can be written down and made again from what was written.
#pragma once

#include <chrono>

namespace lanekeeper::scaling {

struct Estimate {
  // Of one job, from start to end. 0: not known, no job has ended yet.
  double service_seconds_mean = 0;
  double service_seconds_p95 = 0;
  double service_jobs = 0;  // Jobs that this rests on; those of long ago count less.
  // Jobs that came, per second: lately, and the most that has to be reckoned with until a worker
  // asked for now could help.
  double arrivals_per_second = 0;
  double arrivals_per_second_high = 0;
  // From asking for a worker until it takes jobs. 0: not known, none has started yet.
  double cold_start_seconds = 0;
  // Slots that are likely to be needed within a cold start, as demand just began to rise. 0: it did
  // not.
  double slots_next = 0;
  bool operator==(const Estimate&) const = default;
};

}  // namespace lanekeeper::scaling
