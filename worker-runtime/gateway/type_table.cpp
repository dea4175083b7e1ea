#include "worker-runtime/gateway/type_table.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace lanekeeper::gateway {
namespace {

// A table that is full is looked through for what can go at most this often.
constexpr std::chrono::minutes kSweepEvery{1};

std::uint64_t CountIn(const SparseServiceCounts& counts, std::uint8_t bucket) {
  const auto found = std::find_if(counts.begin(), counts.end(),
                                  [bucket](const auto& count) { return count.first == bucket; });
  return found == counts.end() ? 0 : found->second;
}

// A count that fell: the worker was started anew.
bool Fell(const SparseServiceCounts& before, const SparseServiceCounts& now) {
  return std::any_of(before.begin(), before.end(),
                     [&](const auto& count) { return CountIn(now, count.first) < count.second; });
}

}  // namespace

void TypeTable::Record(const LaneKey& lane, const WorkerReport& report, MonotonicTime now) {
  const bool stopped = report.state == WorkerState::kStopped;
  if (report.types.empty() && !stopped) return;
  Worker* worker = WorkerOf(lane, report.worker, now);
  Pool* pool = PoolOf(lane, now);
  if (worker != nullptr && pool != nullptr) {
    for (const TypeService& said : report.types) {
      SparseServiceCounts& before = worker->types[said.type];
      if (Fell(before, said.service)) before.clear();
      Learn(*pool, said, before);
      before = said.service;
    }
    // Bounded though a worker's most used types change: what it no longer says is learned anew if
    // it says it again.
    if (worker->types.size() > 2 * kReportTypesMax) {
      std::erase_if(worker->types, [&](const auto& known) {
        return std::none_of(report.types.begin(), report.types.end(),
                            [&](const TypeService& said) { return said.type == known.first; });
      });
    }
  }
  if (stopped) workers_.erase({lane, report.worker});
}

TypeTable::Worker* TypeTable::WorkerOf(const LaneKey& lane, const std::string& name,
                                       MonotonicTime now) {
  std::pair<LaneKey, std::string> key{lane, name};
  auto found = workers_.find(key);
  if (found == workers_.end()) {
    if (workers_.size() >= limits_.workers_max && now - swept_at_ >= kSweepEvery) {
      swept_at_ = now;
      std::erase_if(workers_,
                    [&](const auto& entry) { return now - entry.second.heard_at >= kSilentKept; });
    }
    if (workers_.size() >= limits_.workers_max) return nullptr;
    found = workers_.try_emplace(std::move(key)).first;
  }
  found->second.heard_at = now;
  return &found->second;
}

TypeTable::Pool* TypeTable::PoolOf(const LaneKey& lane, MonotonicTime now) {
  PoolName name{lane.pool_namespace, lane.pool};
  auto found = pools_.find(name);
  if (found == pools_.end()) {
    if (pools_.size() >= limits_.pools_max) {
      std::erase_if(pools_,
                    [&](const auto& entry) { return now - entry.second.heard_at >= kSilentKept; });
    }
    if (pools_.size() >= limits_.pools_max) return nullptr;
    found = pools_.try_emplace(std::move(name)).first;
  }
  found->second.heard_at = now;
  return &found->second;
}

void TypeTable::Learn(Pool& pool, const TypeService& said, const SparseServiceCounts& before) {
  std::vector<std::pair<std::uint8_t, double>> fresh;
  double jobs = 0;
  for (const auto& [bucket, count] : said.service) {
    const std::uint64_t grown = count - CountIn(before, bucket);
    if (grown == 0) continue;
    fresh.emplace_back(bucket, static_cast<double>(grown));
    jobs += static_cast<double>(grown);
  }
  if (fresh.empty()) return;
  auto found = pool.types.find(said.type);
  if (found == pool.types.end()) {
    if (pool.types.size() >= limits_.types_per_pool_max) return;
    found = pool.types.try_emplace(said.type).first;
  }
  Times& times = found->second;
  // However many one worker had done before it was heard of, those of others count too.
  const double weight = std::min(1.0, kWeightMax / jobs);
  for (const auto& [bucket, count] : fresh) {
    times.counts[bucket] += static_cast<float>(count * weight);
  }
  times.jobs += jobs * weight;
  while (times.jobs > kJobsKept) {
    for (float& count : times.counts) count /= 2;
    times.jobs /= 2;
  }
}

std::optional<std::chrono::milliseconds> TypeTable::P95(std::string_view pool_namespace,
                                                        std::string_view pool,
                                                        std::string_view type) const {
  const auto found = pools_.find({std::string(pool_namespace), std::string(pool)});
  if (found == pools_.end()) return std::nullopt;
  const auto times = found->second.types.find(type);
  if (times == found->second.types.end()) return std::nullopt;
  // Weighted counts are not whole: a job less by rounding is none.
  constexpr double kRounding = 0.5;
  const auto& counts = times->second.counts;
  if (times->second.jobs < kJobsMin - kRounding) return std::nullopt;
  double below = 0;
  std::size_t bucket = 0;
  for (std::size_t at = 0; at < counts.size(); ++at) {
    if (counts[at] <= 0) continue;
    bucket = at;
    below += static_cast<double>(counts[at]);
    if (below >= 0.95 * times->second.jobs) break;
  }
  const auto milliseconds = static_cast<std::int64_t>(std::ceil(ServiceSecondsOf(bucket) * 1000));
  return std::chrono::milliseconds(milliseconds);
}

}  // namespace lanekeeper::gateway
