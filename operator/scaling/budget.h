// One budget over the lanes of a pool. Pure.
#pragma once

#include <optional>
#include <vector>

namespace lanekeeper::scaling {

// spec.budget; nothing = no limit.
struct PoolBudget {
  std::optional<int> workers;  // >= 1
  std::optional<int> gpus;     // >= 0
  bool operator==(const PoolBudget&) const = default;
};

// What one lane asks for and what it has. Counts are >= 0.
struct BudgetClaim {
  int wanted = 0;   // What its decision says.
  int current = 0;  // What the platform is asked for now.
  int busy = 0;     // Workers that cannot be given back yet.
  int stuck = 0;    // Asked for, and the platform has had no room for them for a while.
  int gpus = 0;     // Per worker.
};

// For each claim the workers it may ask for now, in the same order. In their sum never more than
// the budget, except where current workers that are still busy already are.
//
// 1. Each lane keeps its busy workers.
// 2. The rest goes to the lanes in their order, up to what each wants. A lane that the platform has
//    no room for holds what it got, and one more to find room with; the rest of its claim goes on
//    to lanes that can use it, if one wants it.
// 3. Nobody is raised above what is free now: workers that another lane has yet to release are not.
std::vector<int> ShareBudget(const PoolBudget& budget, const std::vector<BudgetClaim>& claims);

}  // namespace lanekeeper::scaling
