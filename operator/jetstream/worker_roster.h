// Who works on a lane, by what the workers said last. Pure; one thread.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "worker-runtime/base/clock.h"
#include "worker-runtime/job/worker_report.h"

namespace lanekeeper {

inline constexpr std::size_t kWorkersPerLaneMax = 10'000;

struct RosterTotals {
  int reporting = 0;
  int busy = 0;      // At least one running job.
  int draining = 0;  // Draining or drained.
  std::int64_t jobs_running = 0;
  bool operator==(const RosterTotals&) const = default;
};

// The workers of one lane. Totals are kept up to date, so that a lane with thousands of workers
// costs no more per report than a small one.
class WorkerRoster {
 public:
  // A worker that stopped is removed at once. False: the roster is full, the report is not counted.
  bool Record(const WorkerReport& report, MonotonicTime now);
  // Removes workers not heard of for kWorkerReportExpiry. O(workers): call it once a second.
  void Expire(MonotonicTime now);
  const RosterTotals& totals() const { return totals_; }

 private:
  struct Entry {
    WorkerState state = WorkerState::kRunning;
    int running = 0;
    MonotonicTime heard_at{};
  };
  void Count(const Entry& entry, int sign);

  std::unordered_map<std::string, Entry> workers_;
  RosterTotals totals_;
};

}  // namespace lanekeeper
