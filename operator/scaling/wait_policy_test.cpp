#include "operator/scaling/wait_policy.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <ostream>
#include <random>

#include "operator/scaling/decide_workers.h"

namespace lanekeeper::scaling {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

ScalingPolicy Policy(milliseconds target, int slots = 1, int workers_max = 1000) {
  return {.workers_max = workers_max, .jobs_per_worker = 1, .slots = slots, .target_wait = target};
}

struct WaitCase {
  const char* name;  // The claim this row proves.
  ScalingPolicy policy;
  double service;     // Seconds.
  double rate;        // Jobs per second.
  double cold_start;  // Seconds.
  std::int64_t waiting;
  std::int64_t running;
  int current;
  int starting;
  double slots_min;
  double slots_max;
};

void PrintTo(const WaitCase& row, std::ostream* out) { *out << row.name; }

Observation Seen(const WaitCase& row) {
  Observation seen;
  seen.waiting = row.waiting;
  seen.running = row.running;
  seen.workers_current = row.current;
  seen.workers_starting = row.starting;
  seen.estimate = {.service_seconds_mean = row.service,
                   .service_seconds_p95 = row.service * 2,
                   .service_jobs = 200,
                   .arrivals_per_second = row.rate,
                   .arrivals_per_second_high = row.rate * 1.2,
                   .cold_start_seconds = row.cold_start};
  return seen;
}

class SlotsByWaitTest : public testing::TestWithParam<WaitCase> {};

TEST_P(SlotsByWaitTest, AsksForWhatItTakes) {
  const WaitCase& row = GetParam();
  const std::optional<double> slots = SlotsByWait(row.policy, Seen(row));
  ASSERT_TRUE(slots);
  EXPECT_GE(*slots, row.slots_min);
  EXPECT_LE(*slots, row.slots_max);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, SlotsByWaitTest,
    testing::Values(
        //   name                        policy    S  rate   C  waiting running current starting
        //   slots
        WaitCase{"NothingToDoIsNoSlot", Policy(seconds(1)), 10, 0, 30, 0, 0, 3, 0, 0, 0},
        WaitCase{"ARateThatFadedIsNoSlot", Policy(seconds(1)), 10, 0.001, 30, 0, 0, 1, 0, 0, 0},
        WaitCase{"OneJobIsOneSlot", Policy(minutes(10)), 0.1, 0, 30, 1, 0, 0, 0, 1, 1},
        WaitCase{"JobsOfHoursNeedASlotEach", Policy(minutes(2)), 18000, 0.001, 30, 7, 3, 3, 0, 10,
                 10},
        WaitCase{"ThoseStartingAreCounted", Policy(minutes(2)), 18000, 0, 30, 7, 3, 10, 7, 10, 10},
        // 1,000 jobs of 6 s in the 90 s that are left once workers have started: about 63 of them.
        WaitCase{"ALongTargetSharesSlots", Policy(minutes(2)), 6, 0, 30, 1000, 0, 0, 0, 60, 66},
        WaitCase{"AShortTargetDoesNot", Policy(seconds(1)), 60, 0, 30, 40, 0, 0, 0, 35, 40},
        // 64 slots get through 64 jobs of a second in the second that each may wait.
        WaitCase{"BigWorkersAreOne", Policy(seconds(1), 64), 1, 0, 5, 60, 4, 1, 0, 1, 64},
        WaitCase{"AQueueThatIsNearlyThroughIsLeftAlone", Policy(seconds(1)), 1, 20, 30, 20, 40, 40,
                 0, 40, 41},
        WaitCase{"NoColdStartKnownIsNone", Policy(seconds(1)), 10, 1, 0, 8, 2, 2, 0, 9, 10},
        WaitCase{"TheSteadyLoadHasAReserve", Policy(seconds(10)), 10, 10, 30, 0, 100, 105, 0, 103,
                 110},
        WaitCase{"NeverBelowWhatRuns", Policy(hours(10)), 1, 0, 30, 0, 25, 40, 0, 25, 25},
        WaitCase{"HugeCountsStayFinite", Policy(seconds(1)), 1, 1, 30,
                 std::numeric_limits<std::int64_t>::max(), 0, 0, 0, 1e6, 1e19}),
    [](const auto& test) { return test.param.name; });

TEST(WaitPolicyTest, NothingIsKnownBeforeTheFirstJobEnds) {
  Observation seen;
  seen.waiting = 5;
  EXPECT_EQ(SlotsByWait(Policy(seconds(1)), seen), std::nullopt);
  EXPECT_EQ(PredictWait(Policy(seconds(1)), seen), std::nullopt);
  EXPECT_EQ(DecideWorkers(Policy(seconds(1)), seen).workers, 5) << "the depth policy stands in";
}

TEST(WaitPolicyTest, WithFewSamplesAServiceTimeIsTakenForLonger) {
  WaitCase row{"", Policy(seconds(30)), 10, 0, 30, 100, 0, 0, 0, 0, 0};
  Observation few = Seen(row);
  few.estimate.service_jobs = 1;
  EXPECT_GT(*SlotsByWait(row.policy, few), *SlotsByWait(row.policy, Seen(row)) + 10);
}

TEST(WaitPolicyTest, WhatUsuallyFollowsIsAskedForAtOnce) {
  WaitCase row{"", Policy(seconds(1)), 30, 0.01, 30, 1, 0, 0, 0, 0, 0};
  Observation seen = Seen(row);
  seen.estimate.slots_next = 4;
  EXPECT_EQ(*SlotsByWait(row.policy, seen), 4);
  row.policy.target_wait = minutes(2);
  EXPECT_EQ(*SlotsByWait(row.policy, seen), 1) << "a target longer than the cold start can wait";
}

struct Any {
  std::mt19937 random;
  int To(int max) { return std::uniform_int_distribution<int>(0, max)(random); }
  double Spread(double least, double most) {
    return std::exp(
        std::uniform_real_distribution<double>(std::log(least), std::log(most))(random));
  }
  WaitCase Row() {
    const int slots = To(1) == 0 ? 1 : 1 + To(63);
    const int current = To(50);
    const int starting = To(current);
    const int ready = (current - starting) * slots;
    const int running = ready == 0 ? 0 : To(ready);
    return {"",
            Policy(milliseconds(1 + static_cast<int>(Spread(1, 1e7))), slots),
            Spread(0.001, 50000),
            Spread(0.0001, 100),
            To(3) == 0 ? 0 : Spread(0.1, 600),
            To(2) == 0 ? 0 : To(2000),
            running,
            current,
            starting,
            0,
            0};
  }
};

TEST(WaitPolicyTest, IsInBoundsWhateverIsSeen) {
  Any any{std::mt19937(3)};
  for (int i = 0; i < 50000; ++i) {
    const WaitCase row = any.Row();
    const Observation seen = Seen(row);
    const double slots = *SlotsByWait(row.policy, seen);
    ASSERT_TRUE(std::isfinite(slots));
    ASSERT_GE(slots, static_cast<double>(row.running)) << "step " << i;
    if (row.waiting + row.running > 0) {
      ASSERT_GE(slots, 1) << "step " << i;
    }
    const auto wait = PredictWait(row.policy, seen);
    ASSERT_TRUE(wait && wait->count() >= 0) << "step " << i;
  }
}

// Raising is one step: once what it asked for is on its way, it asks for nothing more.
TEST(WaitPolicyTest, RespondsInOneStep) {
  Any any{std::mt19937(5)};
  for (int i = 0; i < 50000; ++i) {
    const WaitCase row = any.Row();
    Observation seen = Seen(row);
    const int first = DecideWorkers(row.policy, seen).workers;
    if (first <= seen.workers_current) continue;
    seen.workers_starting += first - seen.workers_current;
    seen.workers_current = first;
    ASSERT_LE(DecideWorkers(row.policy, seen).workers, first) << "step " << i;
  }
}

TEST(WaitPolicyTest, MoreJobsNeverAskForLess) {
  Any any{std::mt19937(6)};
  for (int i = 0; i < 50000; ++i) {
    const WaitCase row = any.Row();
    const Observation seen = Seen(row);
    Observation more = seen;
    more.waiting += 1 + any.To(100);
    ASSERT_GE(*SlotsByWait(row.policy, more) + 1e-6, *SlotsByWait(row.policy, seen))
        << "step " << i << ' ' << row.waiting << ' ' << row.running << ' ' << row.current << ' '
        << row.starting;
  }
}

TEST(PredictWaitTest, AFreeSlotIsNoWait) {
  const WaitCase row{"", Policy(seconds(1)), 10, 0, 30, 0, 3, 4, 0, 0, 0};
  EXPECT_EQ(PredictWait(row.policy, Seen(row)), milliseconds(0));
}

TEST(PredictWaitTest, AQueueIsWaitedThrough) {
  // Four slots end a job every 2.5 s; nine are ahead.
  const WaitCase row{"", Policy(minutes(2), 1, 4), 10, 0, 30, 9, 4, 4, 0, 0, 0};
  const auto wait = PredictWait(row.policy, Seen(row));
  ASSERT_TRUE(wait);
  EXPECT_NEAR(static_cast<double>(wait->count()), 25000, 100);
}

TEST(PredictWaitTest, FromZeroItIsAColdStart) {
  const WaitCase row{"", Policy(seconds(5)), 10, 0, 30, 0, 0, 0, 0, 0, 0};
  const auto wait = PredictWait(row.policy, Seen(row));
  ASSERT_TRUE(wait);
  EXPECT_EQ(*wait, seconds(30));
}

TEST(PredictWaitTest, LongJobsWaitForNewWorkersNotForOldOnes) {
  const WaitCase row{"", Policy(minutes(2)), 18000, 0, 30, 2, 5, 7, 2, 0, 0};
  const auto wait = PredictWait(row.policy, Seen(row));
  ASSERT_TRUE(wait);
  EXPECT_GE(*wait, seconds(30));
  EXPECT_LE(*wait, hours(1));
}

TEST(PredictWaitTest, UnderTheDepthPolicyItCountsWhatThereIs) {
  WaitCase row{"", Policy(seconds(1)), 10, 0, 30, 9, 1, 1, 0, 0, 0};
  row.policy.target_wait.reset();
  const auto wait = PredictWait(row.policy, Seen(row));
  ASSERT_TRUE(wait);
  EXPECT_NEAR(static_cast<double>(wait->count()), 100000, 100);
}

}  // namespace
}  // namespace lanekeeper::scaling
