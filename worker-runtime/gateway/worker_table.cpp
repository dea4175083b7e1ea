#include "worker-runtime/gateway/worker_table.h"

#include <iterator>
#include <utility>

namespace lanekeeper::gateway {
namespace {

// A silent worker is shown for up to so long after its time.
constexpr std::chrono::seconds kExpireInterval{1};

std::size_t SizeOf(const WorkerRoster& roster) {
  return static_cast<std::size_t>(roster.totals().reporting);
}

}  // namespace

void WorkerTable::Record(const LaneKey& lane, WorkerReport report, MonotonicTime now) {
  Expire(now);
  auto found = lanes_.find(lane);
  if (workers_ >= workers_max_ && (found == lanes_.end() || !found->second.Has(report.worker))) {
    return;
  }
  if (found == lanes_.end()) {
    if (report.state == WorkerState::kStopped) return;
    found = lanes_.try_emplace(lane).first;
  }
  report.service = {};  // How long jobs took is not asked here, and so takes no room.
  WorkerRoster& roster = found->second;
  workers_ -= SizeOf(roster);
  roster.Record(report, now);
  workers_ += SizeOf(roster);
  if (SizeOf(roster) == 0) lanes_.erase(found);
}

void WorkerTable::Expire(MonotonicTime now) {
  if (now - expired_at_ < kExpireInterval) return;
  expired_at_ = now;
  workers_ = 0;
  for (auto lane = lanes_.begin(); lane != lanes_.end();) {
    lane->second.Expire(now);
    const std::size_t left = SizeOf(lane->second);
    workers_ += left;
    lane = left == 0 ? lanes_.erase(lane) : std::next(lane);
  }
}

std::vector<ReportedWorker> WorkerTable::Workers(const LaneKey& lane, MonotonicTime now) {
  Expire(now);
  const auto found = lanes_.find(lane);
  return found == lanes_.end() ? std::vector<ReportedWorker>{} : found->second.Workers();
}

}  // namespace lanekeeper::gateway
