#include "operator/simulate/comparison.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <utility>

#include "operator/simulate/clairvoyant.h"

namespace lanekeeper::simulate {
namespace {

struct Name {
  Policy policy;
  const char* name;
};
constexpr std::array<Name, 4> kNames{{{Policy::kLanekeeper, "lanekeeper"},
                                      {Policy::kKedaTuned, "keda-tuned"},
                                      {Policy::kKedaDefault, "keda-default"},
                                      {Policy::kClairvoyant, "clairvoyant"}}};

std::size_t LaneOf(const Job& job, const Routing& routing) {
  for (const Routing::ByType& rule : routing.types) {
    if (rule.type == job.type) return rule.lane;
  }
  std::size_t lane = 0;
  Duration highest{-1};
  for (const Routing::ByTime& rule : routing.times) {
    if (job.service < rule.service_min || rule.service_min <= highest) continue;
    highest = rule.service_min;
    lane = rule.lane;
  }
  return lane;
}

Crewing CrewingOf(const ComparedLane& lane) {
  return {.slots = lane.scaled.policy.slots, .cold_start = lane.cold_start};
}

KedaSettings SettingsOf(Policy policy, const ComparedLane& lane, std::chrono::seconds grace) {
  KedaSettings settings = policy == Policy::kKedaTuned ? KedaTuned() : KedaDefault();
  settings.replicas_min = lane.scaled.policy.workers_min;
  settings.replicas_max = lane.scaled.policy.workers_max;
  settings.lag_threshold = lane.scaled.policy.slots;
  settings.grace = grace;
  return settings;
}

class Reporter {
 public:
  Reporter(const ComparedPool& pool, const std::vector<RoutedJob>& jobs, std::string prefix)
      : pool_(pool), jobs_(jobs), prefix_(std::move(prefix)) {
    for (const ComparedLane& lane : pool.lanes) panels_.push_back({prefix_ + lane.name, {}});
  }

  void AddSimulated(Policy policy, std::chrono::seconds grace) {
    Outcome outcome = RunPolicy(policy, pool_, jobs_, grace);
    for (std::size_t i = 0; i < pool_.lanes.size(); ++i) {
      LaneOutcome& lane = outcome.lanes[i];
      rows_.push_back({ToString(policy), prefix_ + pool_.lanes[i].name, lane.waits, WorkOf(lane)});
      panels_[i].curves.push_back({ToString(policy), std::move(lane.course)});
    }
    groups_.push_back({policy, std::move(outcome.groups)});
  }

  void AddClairvoyant() {
    for (std::size_t i = 0; i < pool_.lanes.size(); ++i) {
      std::vector<LaneJob> jobs;
      for (const RoutedJob& job : jobs_) {
        if (job.lane == i) jobs.push_back(job.job);
      }
      const LowerBound bound = BoundFromBelow(CrewingOf(pool_.lanes[i]), jobs);
      Waits waits;
      waits.jobs = static_cast<std::int64_t>(jobs.size());
      rows_.push_back({ToString(Policy::kClairvoyant), prefix_ + pool_.lanes[i].name, waits,
                       ReportRow::Work{.worker_seconds = bound.worker_seconds,
                                       .cold_starts = bound.cold_starts}});
    }
  }

  // Of a lane that others share: the jobs of each.
  void AddGroups(const std::vector<ComparedLane>& lanes) {
    for (const auto& [policy, groups] : groups_) {
      for (std::size_t i = 0; i < lanes.size(); ++i) {
        rows_.push_back(
            {ToString(policy), prefix_ + "jobs of " + lanes[i].name, groups[i], std::nullopt});
      }
    }
  }

  void MoveTo(Compared& compared) {
    std::move(rows_.begin(), rows_.end(), std::back_inserter(compared.rows));
    std::move(panels_.begin(), panels_.end(), std::back_inserter(compared.panels));
  }

 private:
  const ComparedPool& pool_;
  const std::vector<RoutedJob>& jobs_;
  std::string prefix_;
  std::vector<ReportRow> rows_;
  std::vector<Panel> panels_;
  std::vector<std::pair<Policy, std::vector<Waits>>> groups_;
};

}  // namespace

std::vector<RoutedJob> Route(const Trace& trace, const Routing& routing) {
  std::vector<RoutedJob> routed;
  routed.reserve(trace.size());
  for (const Job& job : trace) {
    const std::size_t lane = LaneOf(job, routing);
    routed.push_back({{job.arrival, job.service}, lane, lane});
  }
  return routed;
}

std::string ToString(Policy policy) {
  for (const Name& name : kNames) {
    if (name.policy == policy) return name.name;
  }
  return "unknown";
}

Result<Policy> ParsePolicy(const std::string& text) {
  std::string known;
  for (const Name& name : kNames) {
    if (text == name.name) return name.policy;
    known += known.empty() ? "" : ", ";
    known += name.name;
  }
  return Fail(ErrorKind::kInvalid, "no policy is called \"" + text + "\"; there are " + known);
}

Outcome RunPolicy(Policy policy, const ComparedPool& pool, const std::vector<RoutedJob>& jobs,
                  std::chrono::seconds keda_grace) {
  SimulatedPool simulated;
  std::vector<ScaledLane> scaled;
  std::vector<KedaSettings> keda;
  std::size_t groups = pool.lanes.size();
  for (const RoutedJob& job : jobs) groups = std::max(groups, job.group + 1);
  for (const ComparedLane& lane : pool.lanes) {
    simulated.lanes.push_back(CrewingOf(lane));
    simulated.workers_min.push_back(lane.scaled.policy.workers_min);
    scaled.push_back(lane.scaled);
    keda.push_back(SettingsOf(policy, lane, keda_grace));
  }
  if (policy == Policy::kLanekeeper) {
    LanekeeperScaler scaler(scaled, pool.budget);
    return Simulate(simulated, jobs, groups, scaler);
  }
  KedaScaler scaler(std::move(keda));
  return Simulate(simulated, jobs, groups, scaler);
}

ComparedPool Joined(const ComparedPool& pool, std::size_t lane) {
  ComparedPool joined{{pool.lanes[lane]}, pool.budget};
  scaling::ScalingPolicy& policy = joined.lanes[0].scaled.policy;
  joined.lanes[0].name = "all jobs";
  std::int64_t workers_min = 0;
  std::int64_t workers_max = 0;
  for (const ComparedLane& each : pool.lanes) {
    workers_min += each.scaled.policy.workers_min;
    workers_max += each.scaled.policy.workers_max;
  }
  constexpr std::int64_t kMax = std::numeric_limits<int>::max();
  policy.workers_min = static_cast<int>(std::min(workers_min, kMax));
  policy.workers_max = static_cast<int>(std::min(workers_max, kMax));
  return joined;
}

std::vector<RoutedJob> Joined(std::vector<RoutedJob> jobs) {
  for (RoutedJob& job : jobs) job.lane = 0;
  return jobs;
}

Compared Compare(const ComparedPool& pool, const std::vector<RoutedJob>& jobs,
                 const Comparison& comparison) {
  Compared compared;
  const auto run = [&](Reporter& reporter) {
    for (const Policy policy : comparison.policies) {
      if (policy == Policy::kClairvoyant) {
        reporter.AddClairvoyant();
      } else {
        reporter.AddSimulated(policy, comparison.keda_grace);
      }
    }
  };
  Reporter apart(pool, jobs, "");
  run(apart);
  apart.MoveTo(compared);
  if (comparison.shared) {
    const ComparedPool joined_pool = Joined(pool, *comparison.shared);
    const std::vector<RoutedJob> joined_jobs = Joined(jobs);
    Reporter together(joined_pool, joined_jobs, "shared: ");
    run(together);
    together.AddGroups(pool.lanes);
    together.MoveTo(compared);
  }
  return compared;
}

}  // namespace lanekeeper::simulate
