#include "operator/scaling/decide_workers.h"

#include <gtest/gtest.h>

#include <limits>
#include <ostream>
#include <random>

namespace lanekeeper::scaling {
namespace {

using std::chrono::seconds;
using enum ScalingReason;

constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();

struct DecisionCase {
  const char* name;  // The claim this row proves.
  Observation seen;
  int peak;  // Demand one second ago; -1 for none.
  int workers;
  int demand;
  ScalingReason reason;
};

// Names the row in the listing; gtest would print raw bytes otherwise.
void PrintTo(const DecisionCase& row, std::ostream* out) { *out << row.name; }

Observation WithPeak(Observation seen, int peak) {
  seen.peak_demand = std::max(0, peak);
  return seen;
}

class DecideWorkersTest : public testing::TestWithParam<DecisionCase> {};

TEST_P(DecideWorkersTest, ReturnsExpectedDecision) {
  const ScalingPolicy policy{.workers_min = 1, .workers_max = 10, .jobs_per_worker = 100};
  const DecisionCase& row = GetParam();
  const ScalingDecision decision = DecideWorkers(policy, WithPeak(row.seen, row.peak));
  EXPECT_EQ(decision.workers, row.workers);
  EXPECT_EQ(decision.demand, row.demand);
  EXPECT_EQ(ToString(decision.reason), ToString(row.reason));
  ASSERT_FALSE(decision.terms.empty());
  EXPECT_EQ(decision.terms.back().workers, decision.workers);
}

Observation Seen(std::int64_t waiting, std::int64_t running, int current, int busy = 0) {
  return {.waiting = waiting,
          .running = running,
          .open_pulls = 1,
          .workers_current = current,
          .workers_busy = busy};
}
Observation Parked(std::int64_t waiting, std::int64_t parked, std::int64_t open_pulls,
                   int current) {
  return {
      .waiting = waiting, .parked = parked, .open_pulls = open_pulls, .workers_current = current};
}
Observation Doubtful(Doubt doubt, int current) {
  return {.doubt = doubt, .workers_current = current};
}
Observation Limited(std::int64_t waiting, std::int64_t ack_pending_max) {
  return {.waiting = waiting,
          .open_pulls = 1,
          .ack_pending_max = ack_pending_max,
          .workers_current = 1};
}

Observation PausedLane(Observation seen) {
  seen.lane_paused = true;
  return seen;
}

INSTANTIATE_TEST_SUITE_P(
    Rows, DecideWorkersTest,
    testing::Values(
        //   name                                  seen                    peak  workers demand
        //   reason
        DecisionCase{"EmptyQueueKeepsTheMinimum", Seen(0, 0, 1), -1, 1, 1, kFlooredAtMin},
        DecisionCase{"OneLeftoverJobIsOneWorker", Seen(101, 0, 1), -1, 2, 2, kBacklogGrew},
        DecisionCase{"RunningJobsAreDemandToo", Seen(50, 51, 1, 1), -1, 2, 2, kBacklogGrew},
        DecisionCase{"ExactMultipleNeedsNoExtraWorker", Seen(200, 0, 2), -1, 2, 2, kOnTarget},
        DecisionCase{"ZeroToManyIsOneStep", Seen(901, 0, 0), -1, 10, 10, kBacklogGrew},
        DecisionCase{"HugeBacklogDoesNotOverflow", Seen(kHuge, kHuge, 10), -1, 10, 10,
                     kCappedAtMax},
        DecisionCase{"MoreThanMaxSaysSo", Seen(5000, 0, 1), -1, 10, 10, kCappedAtMax},
        DecisionCase{"ShortDipIsHeldByTheWindow", Seen(100, 0, 6), 5, 5, 1, kHeldByWindow},
        DecisionCase{"NoPeakLetsTheLaneShrink", Seen(100, 0, 6), -1, 1, 1, kBacklogShrank},
        DecisionCase{"PeakNeverCausesAScaleUp", Seen(100, 0, 3), 9, 3, 1, kHeldByWindow},
        DecisionCase{"PeakIsNeverOverALoweredMax", Seen(0, 0, 30), 25, 10, 1, kHeldByWindow},
        DecisionCase{"BusyWorkersAreTheReleasesAffair", Seen(0, 4, 6, 4), -1, 1, 1, kBacklogShrank},
        DecisionCase{"ParkedWithOpenPullIsNoDemand", Parked(100, 900, 1, 1), -1, 1, 1, kOnTarget},
        DecisionCase{"ParkedWhileAllAreFullIsDemand", Parked(100, 301, 0, 1), -1, 5, 5,
                     kBacklogGrew},
        DecisionCase{"ParkedWithoutWorkersIsNoFlood", Parked(0, 5000, 0, 0), -1, 1, 1,
                     kRetriesWaiting},
        DecisionCase{"ConsumerLimitCapsWorkers", Limited(900, 3), -1, 3, 3, kCappedByConsumer},
        DecisionCase{"ConsumerLimitAboveMaxIsNothing", Limited(5000, 100), -1, 10, 10,
                     kCappedAtMax},
        DecisionCase{"PausedLaneStartsNobodyForWhatWaits", PausedLane(Seen(901, 0, 0)), -1, 1, 1,
                     kLanePaused},
        DecisionCase{"PausedLaneStartsNobodyForRetries", PausedLane(Parked(0, 901, 0, 1)), -1, 1, 1,
                     kLanePaused},
        DecisionCase{"RunningJobsOfAPausedLaneKeepTheirWorkers", PausedLane(Seen(901, 250, 5, 3)),
                     -1, 3, 3, kLanePaused},
        DecisionCase{"PausedLaneShrinksAsAlways", PausedLane(Seen(901, 0, 6)), 5, 5, 1,
                     kHeldByWindow},
        DecisionCase{"PausedLaneWithNothingWaitingIsLikeAny", PausedLane(Seen(0, 150, 2, 2)), -1, 2,
                     2, kOnTarget},
        DecisionCase{"DoubtAboutAPausedLaneHolds", PausedLane(Doubtful(Doubt::kStale, 7)), -1, 7, 7,
                     kHeldByDoubt},
        DecisionCase{"NoAnswerHolds", Doubtful(Doubt::kStale, 7), -1, 7, 7, kHeldByDoubt},
        DecisionCase{"MissingConsumerIsNotAnEmptyQueue", Doubtful(Doubt::kConsumerMissing, 7), -1,
                     7, 7, kHeldByDoubt},
        DecisionCase{"MissingConsumerNeverScalesToMax", Doubtful(Doubt::kConsumerMissing, 1), -1, 1,
                     1, kHeldByDoubt},
        DecisionCase{"DoubtHoldsEvenOverALoweredMax", Doubtful(Doubt::kDisconnected, 30), -1, 30,
                     30, kHeldByDoubt},
        DecisionCase{"DoubtStillHonoursTheMinimum", Doubtful(Doubt::kNoSampleYet, 0), -1, 1, 1,
                     kHeldByDoubt}),
    [](const auto& test) { return test.param.name; });

TEST(DecideWorkers, PausedChangesNothing) {
  const ScalingPolicy policy{
      .workers_min = 1, .workers_max = 3, .jobs_per_worker = 1, .paused = true};
  for (const int current : {0, 2, 9}) {
    const ScalingDecision decision = DecideWorkers(policy, Seen(100, 0, current));
    EXPECT_EQ(decision.workers, current);
    EXPECT_EQ(decision.reason, kPaused);
  }
}

TEST(DecideWorkers, PausedLaneThatMaySleepDoes) {
  const ScalingPolicy policy{.workers_max = 10, .jobs_per_worker = 1};
  const ScalingDecision decision = DecideWorkers(policy, PausedLane(Parked(50, 3, 0, 0)));
  EXPECT_EQ(decision.workers, 0);
  EXPECT_EQ(decision.reason, kLanePaused);
  const std::vector<TermResult> expected = {
      {Term::kDemand, 50}, {Term::kLanePaused, 0}, {Term::kBounds, 0}, {Term::kHold, 0}};
  EXPECT_EQ(decision.terms, expected);
}

TEST(DecideWorkers, PausedLaneUnderTheWaitPolicyReckonsWithNoArrivals) {
  const ScalingPolicy policy{.workers_max = 50, .slots = 1, .target_wait = seconds(1)};
  Observation seen = Seen(40, 2, 2, 2);
  seen.estimate = {.service_seconds_mean = 10,
                   .service_seconds_p95 = 20,
                   .service_jobs = 100,
                   .arrivals_per_second = 5,
                   .arrivals_per_second_high = 9,
                   .cold_start_seconds = 30,
                   .slots_next = 25};
  EXPECT_GT(DecideWorkers(policy, seen).workers, 20);
  const ScalingDecision decision = DecideWorkers(policy, PausedLane(seen));
  EXPECT_EQ(decision.workers, 2);
  EXPECT_EQ(decision.reason, kLanePaused);
}

TEST(DecideWorkers, ParkedJobsKeepOneWorkerOfALaneThatMaySleep) {
  const ScalingPolicy policy{.workers_min = 0, .workers_max = 10, .jobs_per_worker = 4};
  EXPECT_EQ(DecideWorkers(policy, Parked(0, 3, 0, 0)).workers, 1);
  EXPECT_EQ(DecideWorkers(policy, Parked(0, 3, 1, 1)).reason, kRetriesWaiting);
  EXPECT_EQ(DecideWorkers(policy, Parked(0, 0, 1, 1)).workers, 0);
}

TEST(DecideWorkers, LimitIsSaidEvenWhileBusyWorkersHoldTheLaneOverMax) {
  const ScalingPolicy policy{.workers_max = 2, .jobs_per_worker = 1};
  const ScalingDecision decision =
      ApplyRelease(DecideWorkers(policy, Seen(40, 6, 6, 6)), 6, /*held_by_busy=*/true);
  EXPECT_EQ(decision.workers, 6);
  EXPECT_EQ(decision.reason, kHeldByBusy);
  EXPECT_EQ(decision.limited, kCappedAtMax);
  EXPECT_EQ(DecideWorkers(policy, Seen(1, 1, 6, 6)).limited, std::nullopt);
}

TEST(DecideWorkers, BudgetHasTheLastWordOverTheBacklog) {
  const ScalingPolicy policy{.workers_max = 20, .jobs_per_worker = 1};
  const ScalingDecision decided = DecideWorkers(policy, Seen(9, 0, 1));
  EXPECT_EQ(ApplyBudget(decided, 9), decided);
  const ScalingDecision capped = ApplyBudget(decided, 4);
  EXPECT_EQ(capped.workers, 4);
  EXPECT_EQ(capped.reason, kCappedByBudget);
  EXPECT_EQ(capped.limited, kCappedByBudget);
  EXPECT_EQ(capped.terms.back(), (TermResult{Term::kBudget, 4}));
}

TEST(DecideWorkers, WorkersWithoutRoomStopTheGrowthAndNotTheShrinking) {
  const ScalingPolicy policy{.workers_max = 20, .jobs_per_worker = 1};
  Observation seen = Seen(9, 0, 4);
  seen.workers_stuck = 2;
  EXPECT_EQ(DecideWorkers(policy, seen).workers, 4);
  EXPECT_EQ(DecideWorkers(policy, seen).reason, kHeldByCapacity);
  seen.waiting = 2;
  EXPECT_EQ(DecideWorkers(policy, seen).workers, 2);
}

TEST(DecideWorkers, WindowOfZeroHoldsNothing) {
  const ScalingPolicy policy{
      .workers_max = 10, .jobs_per_worker = 1, .scale_down_window = seconds(0)};
  EXPECT_EQ(DecideWorkers(policy, Seen(0, 0, 5)).workers, 0);
}

TEST(DecideWorkers, TermsTellTheWholeStory) {
  const ScalingPolicy policy{.workers_min = 1, .workers_max = 10, .jobs_per_worker = 100};
  const ScalingDecision decision =
      ApplyRelease(DecideWorkers(policy, WithPeak(Seen(100, 0, 8, 6), 5)), 6, true);
  const std::vector<TermResult> expected = {
      {Term::kDemand, 1}, {Term::kBounds, 1}, {Term::kHold, 5}, {Term::kBusyFloor, 6}};
  EXPECT_EQ(decision.terms, expected);
}

// Claims that hold for every input, over random ones from a fixed seed.
TEST(DecideWorkers, InvariantsHoldForRandomObservations) {
  std::mt19937_64 random(20261124);
  const auto pick = [&random](std::int64_t max) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(max + 1));
  };
  for (int round = 0; round < 20000; ++round) {
    ScalingPolicy policy;
    policy.workers_min = static_cast<int>(pick(5));
    policy.workers_max = policy.workers_min + 1 + static_cast<int>(pick(20));
    policy.jobs_per_worker = 1 + pick(20);
    const Observation seen{.doubt = pick(3) == 0 ? Doubt::kStale : Doubt::kNone,
                           .waiting = pick(400),
                           .running = pick(40),
                           .parked = pick(40),
                           .open_pulls = pick(3),
                           .ack_pending_max = pick(1) == 0 ? 0 : 1 + pick(50),
                           .workers_current = static_cast<int>(pick(30)),
                           .workers_busy = static_cast<int>(pick(30)),
                           .lane_paused = pick(3) == 0};
    const ScalingDecision d = DecideWorkers(policy, WithPeak(seen, static_cast<int>(pick(30))));
    ASSERT_GE(d.workers, std::min(policy.workers_min, policy.workers_max));
    if (d.workers > seen.workers_current) {
      ASSERT_LE(d.workers, policy.workers_max);
    }
    if (seen.doubt != Doubt::kNone) {
      ASSERT_GE(d.workers, seen.workers_current);
    }
    // Deciding again from where it led changes nothing: no flapping on a steady observation.
    Observation after = seen;
    after.workers_current = d.workers;
    if (seen.doubt == Doubt::kNone && d.workers > 0 && seen.workers_current > 0) {
      const ScalingDecision again = DecideWorkers(policy, after);
      ASSERT_LE(again.workers, d.workers);
    }
  }
}

}  // namespace
}  // namespace lanekeeper::scaling
