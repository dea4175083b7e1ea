// Lanekeeper's decisions over whole traces: what holds whatever comes.
#include "operator/simulate/simulation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "operator/simulate/clairvoyant.h"
#include "operator/simulate/comparison.h"
#include "operator/simulate/make_trace.h"

namespace lanekeeper::simulate {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

ComparedPool OneLane(milliseconds target_wait, int slots = 1, seconds cold_start = seconds(30)) {
  ComparedLane lane{"lane", {}, cold_start};
  lane.scaled.policy = {.workers_max = 1000,
                        .jobs_per_worker = slots,
                        .scale_down_window = seconds(60),
                        .slots = slots,
                        .target_wait = target_wait};
  return {{lane}, {}};
}

LaneOutcome RunLane(const ComparedPool& pool, const Trace& trace,
                    Policy policy = Policy::kLanekeeper) {
  return RunPolicy(policy, pool, Route(trace, {}), seconds(30)).lanes[0];
}

Trace Poisson(std::uint64_t seed, double span_seconds, double rate, double service) {
  return SteadyTrace(seed, span_seconds, rate,
                     [service](Dice& dice) { return dice.Exponential(service); });
}

// Under a steady load, of any utilization, with any service time, target, cold start and slots: no
// more than one change of direction per scale-down window on the whole, and never a third one
// within any single window.
TEST(SimulationTest, DoesNotFlapUnderASteadyLoad) {
  std::mt19937 random(1);
  const auto spread = [&](double least, double most) {
    return std::exp(
        std::uniform_real_distribution<double>(std::log(least), std::log(most))(random));
  };
  constexpr double kSpan = 4 * 3600;
  for (int round = 0; round < 60; ++round) {
    const double service = spread(0.3, 600);
    const double busy = std::min(spread(0.03, 60), 20 * service);  // At most 20 jobs a second.
    const int slots = round % 3 == 0 ? 1 : (round % 3 == 1 ? 8 : 64);
    const auto cold_start = seconds(static_cast<int>(spread(1, 120)));
    const milliseconds target(static_cast<int>(spread(200, 120000)));
    const LaneOutcome lane =
        RunLane(OneLane(target, slots, cold_start),
                Poisson(static_cast<std::uint64_t>(round), kSpan, busy / service, service));
    const Duration window = std::max(seconds(60), cold_start);
    const auto what = [&] {
      return "round " + std::to_string(round) + ": service " + std::to_string(service) +
             " s, busy " + std::to_string(busy) + ", slots " + std::to_string(slots);
    };
    EXPECT_LE(static_cast<double>(lane.reversals), kSpan / ToSeconds(window)) << what();
    for (std::size_t i = 2; i < lane.reversed_at.size(); ++i) {
      EXPECT_GE(lane.reversed_at[i] - lane.reversed_at[i - 2], window) << what();
    }
    EXPECT_EQ(lane.unfinished, 0) << what();
    EXPECT_EQ(lane.kills, 0) << what();
  }
}

// Every job of every trace runs once to its end, and nobody is cut, under every setting.
TEST(SimulationTest, ConservesJobsAndCutsNone) {
  std::mt19937 random(2);
  const auto any = [&](int max) { return std::uniform_int_distribution<int>(0, max)(random); };
  for (int round = 0; round < 40; ++round) {
    const Trace trace = BurstyTrace(
        static_cast<std::uint64_t>(round), 3600, 0.1 + any(30) / 10.0, 1 + any(200), 1 + any(600),
        [&](Dice& dice) { return dice.LogNormal(1 + round % 7 * 13, 1); });
    if (trace.empty()) continue;
    ComparedPool pool = OneLane(milliseconds(1 + any(60000)), 1 + any(7), seconds(any(90)));
    if (round % 4 == 0) pool.lanes[0].scaled.policy.target_wait.reset();
    pool.lanes[0].scaled.policy.workers_max = 1 + any(30);
    const LaneOutcome lane = RunLane(pool, trace);
    EXPECT_EQ(lane.waits.jobs, static_cast<std::int64_t>(trace.size()));
    EXPECT_EQ(lane.unfinished, 0);
    EXPECT_EQ(lane.kills, 0);
    EXPECT_LE(lane.workers_peak, pool.lanes[0].scaled.policy.workers_max);
    EXPECT_GE(lane.worker_seconds * pool.lanes[0].scaled.policy.slots, lane.busy_seconds);
  }
}

TEST(SimulationTest, TheSameArgumentsGiveTheSameOutcome) {
  const Trace trace = Poisson(5, 3600, 0.5, 20);
  const LaneOutcome first = RunLane(OneLane(seconds(1)), trace);
  const LaneOutcome second = RunLane(OneLane(seconds(1)), trace);
  EXPECT_EQ(first.worker_seconds, second.worker_seconds);
  EXPECT_EQ(first.waits.p99, second.waits.p99);
}

TEST(SimulationTest, ABurstIsMetInOneColdStart) {
  Trace trace;
  for (int i = 0; i < 100; ++i) trace.push_back({seconds(10), seconds(600), ""});
  const LaneOutcome lane = RunLane(OneLane(seconds(1)), trace);
  EXPECT_EQ(lane.workers_peak, 100);
  EXPECT_LE(lane.waits.max, 30.5);
}

TEST(SimulationTest, KedaNeedsSeveralStepsForTheSameBurst) {
  Trace trace;
  for (int i = 0; i < 100; ++i) trace.push_back({seconds(10), seconds(600), ""});
  EXPECT_GT(RunLane(OneLane(seconds(1)), trace, Policy::kKedaTuned).waits.max, 80);
}

TEST(SimulationTest, BeatsKedaOnWaitsAtNoMoreThanATenthMoreWork) {
  const Trace traces[] = {
      Poisson(7, 20000, 2, 10), Poisson(8, 40000, 0.2, 10),
      BurstyTrace(9, 40000, 0.5, 300, 300, [](Dice& dice) { return dice.LogNormal(20, 0.7); }),
      SteadyTrace(10, 40000, 0.5, [](Dice& dice) { return dice.Pareto(20, 1.5); })};
  for (const Trace& trace : traces) {
    const LaneOutcome ours = RunLane(OneLane(seconds(1)), trace);
    const LaneOutcome theirs = RunLane(OneLane(seconds(1)), trace, Policy::kKedaTuned);
    EXPECT_LT(ours.waits.p99, 0.85 * theirs.waits.p99);
    EXPECT_LE(ours.worker_seconds, 1.1 * theirs.worker_seconds);
  }
}

TEST(SimulationTest, ALaneThatIsTooSmallIsGivenUp) {
  Trace trace;
  for (int i = 0; i < 200; ++i) trace.push_back({seconds(0), std::chrono::hours(1), ""});
  ComparedPool pool = OneLane(seconds(1));
  pool.lanes[0].scaled.policy.workers_max = 1;
  const LaneOutcome lane = RunLane(pool, trace);
  EXPECT_GT(lane.unfinished, 100);
  EXPECT_GT(lane.waits.max, 24 * 3600) << "what never started has waited until the end";
}

TEST(SimulationTest, TheBudgetIsOverAllLanes) {
  ComparedPool pool = OneLane(seconds(1));
  pool.lanes.push_back(pool.lanes[0]);
  pool.lanes[1].name = "other";
  pool.budget.workers = 10;
  Trace trace;
  for (int i = 0; i < 40; ++i) trace.push_back({seconds(i), seconds(60), i % 2 == 0 ? "a" : "b"});
  const auto jobs = Route(trace, {{{"b", 1}}, {}});
  const Outcome outcome = RunPolicy(Policy::kLanekeeper, pool, jobs, seconds(30));
  EXPECT_LE(outcome.lanes[0].workers_peak + outcome.lanes[1].workers_peak, 20);
  for (std::size_t i = 0; i < outcome.lanes[0].course.size(); ++i) {
    EXPECT_LE(outcome.lanes[0].course[i].workers, 10);
  }
  EXPECT_EQ(outcome.lanes[0].unfinished + outcome.lanes[1].unfinished, 0);
}

TEST(SimulationTest, ShortJobsDoNotWaitBehindLongOnesInLanes) {
  Trace trace = Poisson(11, 7200, 0.2, 5);
  for (int i = 0; i < 30; ++i) trace.push_back({seconds(600 + i), std::chrono::hours(5), ""});
  std::stable_sort(trace.begin(), trace.end(),
                   [](const Job& a, const Job& b) { return a.arrival < b.arrival; });
  ComparedPool pool = OneLane(seconds(1));
  pool.lanes[0].scaled.policy.workers_max = 10;
  pool.lanes.push_back(pool.lanes[0]);
  const auto jobs = Route(trace, {{}, {{std::chrono::hours(1), 1}}});
  const Outcome apart = RunPolicy(Policy::kLanekeeper, pool, jobs, seconds(30));
  const Outcome together =
      RunPolicy(Policy::kLanekeeper, Joined(pool, 0), Joined(jobs), seconds(30));
  EXPECT_LT(apart.groups[0].p99, 31);
  EXPECT_GT(together.groups[0].p99, 3600);
}

TEST(ClairvoyantTest, KeepsASlotOnlyOverGapsShorterThanAColdStart) {
  const Crewing crewing{1, seconds(30)};
  EXPECT_DOUBLE_EQ(BoundFromBelow(crewing, {{seconds(0), seconds(10)}, {seconds(25), seconds(10)}})
                       .worker_seconds,
                   30 + 10 + 15 + 10);
  EXPECT_DOUBLE_EQ(BoundFromBelow(crewing, {{seconds(0), seconds(10)}, {seconds(50), seconds(10)}})
                       .worker_seconds,
                   2 * (30 + 10));
}

TEST(ReportTest, SaysTheSameAsTableCsvAndPlot) {
  ComparedPool pool = OneLane(seconds(1));
  pool.lanes.push_back(pool.lanes[0]);
  pool.lanes[0].name = "a<b";
  pool.lanes[1].name = "odd,\"name\"";
  Trace trace = Poisson(12, 600, 0.2, 5);
  trace.front().type = "other";
  const Compared compared =
      Compare(pool, Route(trace, {{{"other", 1}}, {}}),
              {{Policy::kLanekeeper, Policy::kKedaTuned, Policy::kClairvoyant}, seconds(30), 0});
  EXPECT_EQ(compared.rows.size(), 3U * 2 + 3 + 2 * 2);
  EXPECT_THAT(WriteTable(compared.rows), HasSubstr("keda-tuned"));
  EXPECT_THAT(WriteCsv(compared.rows), HasSubstr("lanekeeper,\"odd,\"\"name\"\"\",1,"));
  const std::string svg = WriteSvg(compared.panels);
  EXPECT_THAT(svg, HasSubstr("a&lt;b"));
  EXPECT_THAT(svg, HasSubstr("workers: keda-tuned"));
  EXPECT_EQ(compared.panels.size(), 3U);
  EXPECT_LE(compared.panels[0].curves[0].course.size(), kCourseMax);
}

}  // namespace
}  // namespace lanekeeper::simulate
