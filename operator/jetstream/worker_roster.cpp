#include "operator/jetstream/worker_roster.h"

namespace lanekeeper {

void WorkerRoster::Count(const Entry& entry, int sign) {
  totals_.reporting += sign;
  if (entry.running > 0) totals_.busy += sign;
  if (entry.state != WorkerState::kRunning) totals_.draining += sign;
  totals_.jobs_running += sign * std::int64_t{entry.running};
}

bool WorkerRoster::Record(const WorkerReport& report, MonotonicTime now) {
  const auto found = workers_.find(report.worker);
  if (found != workers_.end()) {
    Count(found->second, -1);
    if (report.state == WorkerState::kStopped) {
      workers_.erase(found);
      return true;
    }
    found->second = {report.state, report.running, now};
    Count(found->second, +1);
    return true;
  }
  if (report.state == WorkerState::kStopped) return true;
  if (workers_.size() >= kWorkersPerLaneMax) return false;
  const Entry entry{report.state, report.running, now};
  workers_.emplace(report.worker, entry);
  Count(entry, +1);
  return true;
}

void WorkerRoster::Expire(MonotonicTime now) {
  std::erase_if(workers_, [&](const auto& worker) {
    if (now - worker.second.heard_at < kWorkerReportExpiry) return false;
    Count(worker.second, -1);
    return true;
  });
}

}  // namespace lanekeeper
