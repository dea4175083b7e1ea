#include "worker-runtime/job/worker_roster.h"

#include <algorithm>

namespace lanekeeper {
namespace {

bool NewsBetween(const ReportedWorker& before, const WorkerReport& report) {
  return before.state != report.state || before.ending != report.ending ||
         (before.running > 0) != (report.running > 0);
}

}  // namespace

void WorkerRoster::Count(const Entry& entry, int sign) {
  totals_.reporting += sign;
  if (entry.said.running > 0) totals_.busy += sign;
  if (entry.said.state != WorkerState::kRunning) totals_.draining += sign;
  totals_.jobs_running += sign * std::int64_t{entry.said.running};
}

void WorkerRoster::CountService(const ServiceCounts& said, SparseCounts* counted) {
  const bool started_anew = std::any_of(counted->begin(), counted->end(), [&](const auto& before) {
    return said[before.first] < before.second;
  });
  if (started_anew) counted->clear();
  auto before = counted->cbegin();
  scratch_.clear();
  for (std::size_t bucket = 0; bucket < said.size(); ++bucket) {
    if (said[bucket] == 0) continue;
    const bool known = before != counted->cend() && before->first == bucket;
    served_[bucket] += said[bucket] - (known ? before->second : 0);
    if (known) ++before;
    scratch_.emplace_back(static_cast<std::uint8_t>(bucket), said[bucket]);
  }
  *counted = scratch_;
}

WorkerRoster::SparseCounts WorkerRoster::CountsOfSilent(const std::string& name) {
  auto node = silent_.extract(name);
  return node.empty() ? SparseCounts{} : std::move(node.mapped().counted);
}

bool WorkerRoster::Record(const WorkerReport& report, MonotonicTime now) {
  const bool stopped = report.state == WorkerState::kStopped;
  auto found = workers_.find(report.worker);
  if (found == workers_.end()) {
    if (!stopped && workers_.size() >= kWorkersPerLaneMax) return false;
    SparseCounts counted = CountsOfSilent(report.worker);
    CountService(report.service, &counted);
    if (stopped) return true;
    ++totals_.version;
    found = workers_.emplace(report.worker, Entry{.said = {}, .counted = std::move(counted)}).first;
  } else {
    Count(found->second, -1);
    if (NewsBetween(found->second.said, report)) ++totals_.version;
    CountService(report.service, &found->second.counted);
    if (stopped) {
      workers_.erase(found);
      return true;
    }
  }
  Entry& entry = found->second;
  entry.said = {.name = {},
                .state = report.state,
                .ending = report.ending,
                .slots = report.slots,
                .running = report.running,
                .oldest_running = report.oldest_running,
                .heard_at = now,
                .done = report.done,
                .failed = report.failed,
                .dead = report.dead};
  Count(entry, +1);
  return true;
}

void WorkerRoster::Expire(MonotonicTime now) {
  std::erase_if(silent_,
                [&](const auto& worker) { return now - worker.second.since >= kSilentCountsKept; });
  std::erase_if(workers_, [&](auto& worker) {
    if (now - worker.second.said.heard_at < kWorkerReportExpiry) return false;
    Count(worker.second, -1);
    ++totals_.version;
    if (!worker.second.counted.empty() && silent_.size() < kWorkersPerLaneMax) {
      silent_[worker.first] = {now, std::move(worker.second.counted)};
    }
    return true;
  });
}

std::vector<ReportedWorker> WorkerRoster::Workers() const {
  std::vector<ReportedWorker> workers;
  workers.reserve(workers_.size());
  for (const auto& [name, entry] : workers_) {
    workers.push_back(entry.said);
    workers.back().name = name;
  }
  return workers;
}

}  // namespace lanekeeper
