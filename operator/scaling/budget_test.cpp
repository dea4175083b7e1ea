#include "operator/scaling/budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <random>

namespace lanekeeper::scaling {
namespace {

using testing::ElementsAre;

TEST(ShareBudget, NoBudgetGivesWhatIsWanted) {
  EXPECT_THAT(ShareBudget({}, {{.wanted = 70}, {.wanted = 3, .current = 9}}), ElementsAre(70, 3));
}

TEST(ShareBudget, LanesEarlierInTheListWin) {
  const PoolBudget budget{.workers = 10};
  EXPECT_THAT(ShareBudget(budget, {{.wanted = 8}, {.wanted = 8}}), ElementsAre(8, 2));
}

TEST(ShareBudget, BusyWorkersOfALaterLaneAreNotTaken) {
  const PoolBudget budget{.workers = 10};
  EXPECT_THAT(ShareBudget(budget, {{.wanted = 10}, {.wanted = 6, .current = 6, .busy = 4}}),
              ElementsAre(4, 4))
      << "six are promised to the first lane, and four of them are free by now";
}

TEST(ShareBudget, NobodyIsRaisedOnWhatAnotherStillHas) {
  const PoolBudget budget{.workers = 10};
  EXPECT_THAT(ShareBudget(budget, {{.wanted = 10}, {.wanted = 0, .current = 10}}),
              ElementsAre(0, 0));
}

TEST(ShareBudget, GpusAreCountedPerWorker) {
  const PoolBudget budget{.gpus = 5};
  EXPECT_THAT(
      ShareBudget(budget, {{.wanted = 9, .gpus = 2}, {.wanted = 9}, {.wanted = 9, .gpus = 1}}),
      ElementsAre(2, 9, 1));
}

TEST(ShareBudget, LaneWithoutRoomLeavesItsPartToOthers) {
  const PoolBudget budget{.workers = 8};
  EXPECT_THAT(ShareBudget(budget, {{.wanted = 8, .current = 3, .stuck = 1}, {.wanted = 5}}),
              ElementsAre(3, 5));
}

TEST(ShareBudget, LaneWithoutRoomKeepsAskingWhenNobodyElseWants) {
  const PoolBudget budget{.workers = 8};
  EXPECT_THAT(ShareBudget(budget, {{.wanted = 8, .current = 4, .stuck = 2}, {}}),
              ElementsAre(8, 0));
}

TEST(ShareBudget, LoweredBudgetCutsNoBusyWorker) {
  const PoolBudget budget{.workers = 2};
  EXPECT_THAT(ShareBudget(budget, {{.wanted = 9, .current = 9, .busy = 7}}), ElementsAre(7));
}

TEST(ShareBudget, SumIsNeverOverTheBudgetExceptByWhatRuns) {
  std::mt19937 random(5);
  const auto pick = [&](int max) {
    return static_cast<int>(random() % static_cast<unsigned>(max + 1));
  };
  for (int round = 0; round < 20000; ++round) {
    PoolBudget budget{.workers = 1 + pick(30)};
    if (pick(1) == 0) budget.gpus = pick(10);
    std::vector<BudgetClaim> claims(static_cast<std::size_t>(1 + pick(4)));
    int current = 0;
    int current_gpus = 0;
    for (BudgetClaim& claim : claims) {
      claim = {.wanted = pick(20), .current = pick(10), .gpus = pick(2)};
      claim.busy = pick(claim.current);
      claim.stuck = pick(claim.current - claim.busy);
      current += claim.current;
      current_gpus += claim.current * claim.gpus;
    }
    const std::vector<int> share = ShareBudget(budget, claims);
    int most = 0;  // The most there can be at any moment: raised at once, lowered later.
    int most_gpus = 0;
    for (std::size_t i = 0; i < claims.size(); ++i) {
      ASSERT_GE(share[i], std::min(claims[i].busy, claims[i].current));
      ASSERT_LE(share[i], std::max(claims[i].wanted, claims[i].busy));
      most += std::max(share[i], claims[i].current);
      most_gpus += std::max(share[i], claims[i].current) * claims[i].gpus;
    }
    ASSERT_LE(most, std::max(*budget.workers, current));
    ASSERT_LE(most_gpus, std::max(budget.gpus.value_or(most_gpus), current_gpus));
  }
}

}  // namespace
}  // namespace lanekeeper::scaling
