#include "operator/simulate/simulation.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

namespace lanekeeper::simulate {
namespace {

// Watches one lane from step to step.
class Watch {
 public:
  Watch(int workers, Duration bucket) : workers_(workers), bucket_(bucket) {}

  void See(Duration now, const SimulatedLane& lane) {
    const int workers = lane.asked();
    if (workers != workers_) {
      const int direction = workers > workers_ ? 1 : -1;
      if (direction_ == -direction) reversed_at_.push_back(now);
      direction_ = direction;
      workers_ = workers;
    }
    peak_ = std::max(peak_, workers);
    const auto slot = static_cast<std::size_t>(now / bucket_);
    if (slot >= kCourseMax) return;
    if (course_.empty() || slot > last_slot_) course_.push_back({ToSeconds(now), 0, 0});
    last_slot_ = slot;
    Moment& moment = course_.back();
    moment.backlog = std::max(moment.backlog, lane.waiting() + lane.running());
    moment.workers = std::max(moment.workers, workers);
  }

  void Report(LaneOutcome& outcome) {
    outcome.workers_peak = peak_;
    outcome.reversals = static_cast<std::int64_t>(reversed_at_.size());
    outcome.reversed_at = std::move(reversed_at_);
    outcome.course = std::move(course_);
  }

 private:
  int workers_;
  Duration bucket_;
  int direction_ = 0;
  int peak_ = 0;
  std::vector<Duration> reversed_at_;
  std::vector<Moment> course_;
  std::size_t last_slot_ = 0;
};

double AtRank(const std::vector<Duration>& sorted, double share) {
  if (sorted.empty()) return 0;
  const double rank = std::ceil(share * static_cast<double>(sorted.size()));
  return ToSeconds(sorted[static_cast<std::size_t>(std::max(1.0, rank)) - 1]);
}

bool AtRest(const SimulatedPool& pool, const std::vector<SimulatedLane>& lanes) {
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    if (!lanes[i].done() || lanes[i].existing() > pool.workers_min[i]) return false;
  }
  return true;
}

bool AllDone(const std::vector<SimulatedLane>& lanes) {
  return std::all_of(lanes.begin(), lanes.end(), [](const auto& lane) { return lane.done(); });
}

std::vector<SimulatedLane> Build(const SimulatedPool& pool, const std::vector<RoutedJob>& jobs) {
  std::vector<std::vector<LaneJob>> by_lane(pool.lanes.size());
  for (const RoutedJob& job : jobs) by_lane[job.lane].push_back(job.job);
  std::vector<SimulatedLane> lanes;
  lanes.reserve(pool.lanes.size());
  for (std::size_t i = 0; i < pool.lanes.size(); ++i) {
    lanes.emplace_back(pool.lanes[i], std::move(by_lane[i]), pool.workers_min[i]);
  }
  return lanes;
}

// The span that is worth drawing: the trace, and a twentieth more to see the end of it.
Duration BucketOf(const std::vector<RoutedJob>& jobs) {
  Duration last{0};
  for (const RoutedJob& job : jobs) last = std::max(last, job.job.arrival + job.job.service);
  last += last / 20 + std::chrono::minutes(2);
  return std::max<Duration>(last / kCourseMax, kStep);
}

Duration GiveUpAt(const std::vector<RoutedJob>& jobs) {
  Duration last{0};
  Duration longest{0};
  for (const RoutedJob& job : jobs) {
    last = std::max(last, job.job.arrival);
    longest = std::max(longest, job.job.service);
  }
  return last + 10 * longest + Duration(kRunMax);
}

// Returns when it ended.
Duration Run(const SimulatedPool& pool, Duration give_up_at, std::vector<SimulatedLane>& lanes,
             std::vector<Watch>& watches, Scaler& scaler, std::int64_t& steps) {
  std::optional<Duration> all_done;
  for (Duration now{0};; now += kStep) {
    for (SimulatedLane& lane : lanes) lane.AdvanceTo(now);
    scaler.Step(now, lanes);
    for (std::size_t i = 0; i < lanes.size(); ++i) watches[i].See(now, lanes[i]);
    ++steps;
    if (AtRest(pool, lanes) || now >= give_up_at) return now;
    if (!all_done && AllDone(lanes)) all_done = now;
    if (all_done && now - *all_done > Duration(kLingerMax)) return now;
  }
}

}  // namespace

Waits WaitsOf(std::vector<Duration> waits) {
  std::sort(waits.begin(), waits.end());
  return {.jobs = static_cast<std::int64_t>(waits.size()),
          .p50 = AtRank(waits, 0.5),
          .p95 = AtRank(waits, 0.95),
          .p99 = AtRank(waits, 0.99),
          .max = AtRank(waits, 1.0)};
}

Outcome Simulate(const SimulatedPool& pool, const std::vector<RoutedJob>& jobs, std::size_t groups,
                 Scaler& scaler) {
  assert(!pool.lanes.empty() && pool.lanes.size() == pool.workers_min.size());
  std::vector<SimulatedLane> lanes = Build(pool, jobs);
  const Duration bucket = BucketOf(jobs);
  std::vector<Watch> watches;
  for (const SimulatedLane& lane : lanes) watches.emplace_back(lane.asked(), bucket);

  Outcome outcome;
  const Duration end = Run(pool, GiveUpAt(jobs), lanes, watches, scaler, outcome.steps);

  std::vector<std::vector<Duration>> of_lane(lanes.size());
  std::vector<std::vector<Duration>> of_group(groups);
  std::vector<std::size_t> next(lanes.size());
  outcome.lanes.resize(lanes.size());
  for (const RoutedJob& job : jobs) {
    const std::optional<Duration> waited = lanes[job.lane].waits()[next[job.lane]++];
    const Duration wait = waited.value_or(end - job.job.arrival);
    of_lane[job.lane].push_back(wait);
    of_group[job.group].push_back(wait);
    outcome.lanes[job.lane].busy_seconds += ToSeconds(job.job.service);
  }
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    LaneOutcome& lane = outcome.lanes[i];
    lane.waits = WaitsOf(std::move(of_lane[i]));
    lane.worker_seconds = lanes[i].worker_seconds();
    lane.cold_starts = lanes[i].cold_starts();
    lane.kills = lanes[i].kills();
    lane.unfinished = lanes[i].unfinished();
    watches[i].Report(lane);
  }
  for (std::vector<Duration>& waits : of_group) outcome.groups.push_back(WaitsOf(std::move(waits)));
  return outcome;
}

}  // namespace lanekeeper::simulate
