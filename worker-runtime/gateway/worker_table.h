// Who works on which lane, by what the workers of all lanes said last. Behind WorkerDesk; one
// thread at a time, the time is an argument.
#pragma once

#include <cstddef>
#include <map>
#include <vector>

#include "worker-runtime/base/time.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/job/worker_report.h"
#include "worker-runtime/job/worker_roster.h"

namespace lanekeeper::gateway {

class WorkerTable {
 public:
  // Of all lanes together: beyond it, new ones are not shown.
  static constexpr std::size_t kWorkersMax = 10'000;

  explicit WorkerTable(std::size_t workers_max = kWorkersMax) : workers_max_(workers_max) {}

  // A worker that stopped is forgotten, and so is one not heard of for kWorkerReportExpiry.
  void Record(const LaneKey& lane, WorkerReport report, MonotonicTime now);
  // By name.
  std::vector<ReportedWorker> Workers(const LaneKey& lane, MonotonicTime now);
  std::size_t workers() const { return workers_; }

 private:
  void Expire(MonotonicTime now);

  const std::size_t workers_max_;
  std::map<LaneKey, WorkerRoster> lanes_;  // None without workers.
  std::size_t workers_ = 0;                // In all of them.
  MonotonicTime expired_at_{};
};

}  // namespace lanekeeper::gateway
