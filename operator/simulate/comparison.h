// One trace on one pool under several policies, side by side. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "operator/scaling/budget.h"
#include "operator/simulate/keda_scaler.h"
#include "operator/simulate/lanekeeper_scaler.h"
#include "operator/simulate/report.h"
#include "operator/simulate/simulation.h"
#include "worker-runtime/base/result.h"

namespace lanekeeper::simulate {

struct ComparedLane {
  std::string name;
  ScaledLane scaled;
  Duration cold_start = std::chrono::seconds(30);
};

struct ComparedPool {
  std::vector<ComparedLane> lanes;  // At least one.
  scaling::PoolBudget budget;       // Lanekeeper keeps it; the others do not know of one.
};

// Where a job goes: by its type; else, of the thresholds it reaches, to the lane of the highest;
// else to the first lane. Lanes are places in ComparedPool::lanes.
struct Routing {
  struct ByType {
    std::string type;
    std::size_t lane;
  };
  struct ByTime {
    Duration service_min;
    std::size_t lane;
  };
  std::vector<ByType> types;
  std::vector<ByTime> times;
};
std::vector<RoutedJob> Route(const Trace& trace, const Routing& routing);

enum class Policy { kLanekeeper, kKedaTuned, kKedaDefault, kClairvoyant };
// "lanekeeper", "keda-tuned", "keda-default", "clairvoyant"; kInvalid lists them.
std::string ToString(Policy policy);
Result<Policy> ParsePolicy(const std::string& name);

struct Comparison {
  std::vector<Policy> policies;
  std::chrono::seconds keda_grace{30};
  // Also with all jobs in one lane with this one's settings, and the workers of all lanes together.
  std::optional<std::size_t> shared;
};

struct Compared {
  std::vector<ReportRow> rows;
  std::vector<Panel> panels;
};

Compared Compare(const ComparedPool& pool, const std::vector<RoutedJob>& jobs,
                 const Comparison& comparison);

// Runs one policy; not for kClairvoyant, who needs no simulation.
Outcome RunPolicy(Policy policy, const ComparedPool& pool, const std::vector<RoutedJob>& jobs,
                  std::chrono::seconds keda_grace);

// All lanes of `pool` as one, with the settings of `lane`; jobs keep the group they had.
ComparedPool Joined(const ComparedPool& pool, std::size_t lane);
std::vector<RoutedJob> Joined(std::vector<RoutedJob> jobs);

}  // namespace lanekeeper::simulate
