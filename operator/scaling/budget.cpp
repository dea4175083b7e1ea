#include "operator/scaling/budget.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace lanekeeper::scaling {
namespace {

constexpr int kNoLimit = std::numeric_limits<int>::max();

// What is left to hand out. Below zero: more is in use than the budget allows.
class Purse {
 public:
  explicit Purse(const PoolBudget& budget)
      : workers_(budget.workers.value_or(kNoLimit)), gpus_(budget.gpus.value_or(kNoLimit)) {}

  void Take(int workers, int gpus_each) {
    workers_ -= workers;
    gpus_ -= static_cast<std::int64_t>(workers) * gpus_each;
  }
  // How many of `wanted` more workers there is money for; takes them.
  int TakeUpTo(int wanted, int gpus_each) {
    std::int64_t can =
        std::min<std::int64_t>(std::max(wanted, 0), std::max<std::int64_t>(workers_, 0));
    if (gpus_each > 0) can = std::min(can, std::max<std::int64_t>(gpus_, 0) / gpus_each);
    Take(static_cast<int>(can), gpus_each);
    return static_cast<int>(can);
  }

 private:
  std::int64_t workers_;
  std::int64_t gpus_;
};

}  // namespace

std::vector<int> ShareBudget(const PoolBudget& budget, const std::vector<BudgetClaim>& claims) {
  const std::size_t count = claims.size();
  std::vector<int> share(count);
  Purse purse(budget);
  for (std::size_t i = 0; i < count; ++i) {
    share[i] = std::min(claims[i].busy, claims[i].current);
    purse.Take(share[i], claims[i].gpus);
  }
  // First what each lane can use. A lane without room for some of its workers has what was placed,
  // and one that looks for room.
  for (std::size_t i = 0; i < count; ++i) {
    int usable = claims[i].wanted;
    if (claims[i].stuck > 0) usable = std::min(usable, claims[i].current - claims[i].stuck + 1);
    share[i] += purse.TakeUpTo(usable - share[i], claims[i].gpus);
  }
  // Then what is left over, to those that would only wait with it.
  for (std::size_t i = 0; i < count; ++i) {
    share[i] += purse.TakeUpTo(claims[i].wanted - share[i], claims[i].gpus);
  }
  // Nobody is raised on what another lane still has.
  Purse free_now(budget);
  for (const BudgetClaim& claim : claims) free_now.Take(claim.current, claim.gpus);
  for (std::size_t i = 0; i < count; ++i) {
    const int raise = share[i] - claims[i].current;
    if (raise > 0) share[i] = claims[i].current + free_now.TakeUpTo(raise, claims[i].gpus);
  }
  return share;
}

}  // namespace lanekeeper::scaling
