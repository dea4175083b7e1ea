// Who works on a lane and how long its jobs took, by what the workers said last. Pure; one thread
// at a time.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "worker-runtime/base/time.h"
#include "worker-runtime/job/worker_report.h"

namespace lanekeeper {

// One worker, as it reported itself last.
struct ReportedWorker {
  std::string name;
  WorkerState state = WorkerState::kRunning;
  bool ending = false;
  int slots = 1;
  int running = 0;
  std::chrono::seconds oldest_running{0};  // When it said so.
  MonotonicTime heard_at{};
  std::int64_t done = 0;
  std::int64_t failed = 0;
  std::int64_t dead = 0;
  bool operator==(const ReportedWorker&) const = default;
};

inline constexpr std::size_t kWorkersPerLaneMax = 10'000;
// For so long the counts of a worker that fell silent are remembered: when it is heard of again, it
// goes on from there.
inline constexpr std::chrono::hours kSilentCountsKept{1};

struct RosterTotals {
  int reporting = 0;
  int busy = 0;      // At least one running job.
  int draining = 0;  // Draining or drained.
  std::int64_t jobs_running = 0;
  // Grows whenever a worker came, went, changed its state, or became busy or idle.
  std::uint64_t version = 0;
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
  bool Has(const std::string& worker) const { return workers_.contains(worker); }
  // By name. O(workers).
  std::vector<ReportedWorker> Workers() const;
  // Of every worker ever heard of. A worker's first report counts in full; then what its counts
  // have grown by; from zero once they fell, because it was started anew.
  const ServiceCounts& served() const { return served_; }

 private:
  // Most workers have used a few buckets only. By bucket, without zeros.
  using SparseCounts = std::vector<std::pair<std::uint8_t, std::uint64_t>>;
  struct Entry {
    ReportedWorker said;  // Its name is the key, and empty here.
    SparseCounts counted;
  };
  struct Silent {
    MonotonicTime since{};
    SparseCounts counted;
  };
  void Count(const Entry& entry, int sign);
  void CountService(const ServiceCounts& said, SparseCounts* counted);
  SparseCounts CountsOfSilent(const std::string& name);

  std::map<std::string, Entry> workers_;
  std::map<std::string, Silent> silent_;  // Never more than kWorkersPerLaneMax.
  RosterTotals totals_;
  ServiceCounts served_{};
  SparseCounts scratch_;  // Of CountService, so that it need not allocate.
};

}  // namespace lanekeeper
