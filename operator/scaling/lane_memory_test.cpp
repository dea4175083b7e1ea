#include "operator/scaling/lane_memory.h"

#include <gtest/gtest.h>

#include <limits>

namespace lanekeeper::scaling {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr LaneMemory::Time kStart{};

TEST(HoldWindowTest, IsThePolicysOwn) {
  const ScalingPolicy policy{.scale_down_window = seconds(60)};
  EXPECT_EQ(HoldWindow(policy, {}), seconds(60));
  EXPECT_EQ(HoldWindow(policy, {.cold_start_seconds = 5}), seconds(60));
}

TEST(HoldWindowTest, IsWidenedWhereWorkersAreDear) {
  const ScalingPolicy policy{.scale_down_window = seconds(60), .window_cold_starts = 10};
  EXPECT_EQ(HoldWindow(policy, {.cold_start_seconds = 30}), minutes(5));
  EXPECT_EQ(HoldWindow(policy, {.cold_start_seconds = 3600}), hours(1)) << "bounded";
}

TEST(LaneMemoryTest, WhatRunsStandsInForTheTimeBeforeIt) {
  const ScalingPolicy policy{.scale_down_window = seconds(60)};
  LaneMemory memory;
  memory.Seed(kStart, 7);
  memory.Seed(kStart + seconds(1), 9);
  EXPECT_EQ(memory.Complete(policy, {}, kStart + seconds(1)).peak_demand, 7);
  EXPECT_EQ(memory.Complete(policy, {}, kStart + seconds(61)).peak_demand, 0);
}

TEST(LaneMemoryTest, RemembersTheDemandNotWhatWasHeld) {
  const ScalingPolicy policy{.jobs_per_worker = 1, .scale_down_window = seconds(60)};
  LaneMemory memory;
  memory.Seed(kStart, 0);
  Observation busy;
  busy.waiting = 5;
  memory.Remember(policy, busy, DecideWorkers(policy, busy), kStart);
  for (int i = 1; i <= 60; ++i) {
    Observation quiet;
    quiet.workers_current = 5;
    const Observation seen = memory.Complete(policy, quiet, kStart + seconds(i));
    const ScalingDecision decision = DecideWorkers(policy, seen);
    EXPECT_EQ(decision.workers, 5) << "held " << i << " s after";
    memory.Remember(policy, seen, decision, kStart + seconds(i));
  }
  EXPECT_EQ(memory.Complete(policy, {}, kStart + seconds(61)).peak_demand, 0);
}

TEST(LaneMemoryTest, SaysWhenTheHoldEnds) {
  const ScalingPolicy policy{.scale_down_window = seconds(60)};
  LaneMemory memory;
  memory.Seed(kStart, 3);
  EXPECT_EQ(memory.HoldEnds(policy, kStart), kStart + seconds(60) + milliseconds(1));
}

TEST(LaneMemoryTest, CompletesWithWhatTheModelLearned) {
  LaneMemory memory;
  memory.model().SeeColdStart(kStart, seconds(12));
  const Observation seen = memory.Complete({}, {}, kStart);
  EXPECT_EQ(seen.estimate.cold_start_seconds, 12);
}

TEST(LaneMemoryTest, DoubtfulNumbersAreNotLearnedFrom) {
  LaneMemory memory;
  ServiceCounts served{};
  served[ServiceBucketOf(seconds(30))] = 50;
  memory.model().SeeService(kStart, served);
  memory.model().SeeColdStart(kStart, seconds(30));
  // Each time one job is seen, a hundred follow; but only in samples that are in doubt.
  LaneMemory::Time now = kStart;
  const auto stay = [&](std::int64_t jobs, Doubt doubt, int count) {
    for (int i = 0; i < count; ++i) {
      Observation seen;
      seen.doubt = doubt;
      seen.waiting = jobs;
      memory.Remember({}, seen, DecideWorkers({}, seen), now += seconds(1));
    }
  };
  for (int i = 0; i < 20; ++i) {
    stay(0, Doubt::kNone, 60);
    stay(1, Doubt::kNone, 5);
    stay(100, Doubt::kStale, 5);
    stay(1, Doubt::kNone, 40);
  }
  stay(0, Doubt::kNone, 60);
  stay(1, Doubt::kNone, 1);
  EXPECT_EQ(memory.Complete({}, {}, now).estimate.slots_next, 0);
}

TEST(LaneMemoryTest, HugeCountsDoNotOverflow) {
  LaneMemory memory;
  Observation seen;
  seen.waiting = seen.running = std::numeric_limits<std::int64_t>::max();
  const ScalingDecision decision = DecideWorkers({}, seen);
  memory.Remember({}, seen, decision, kStart);
  EXPECT_EQ(memory.Complete({}, {}, kStart).peak_demand, decision.demand);
}

}  // namespace
}  // namespace lanekeeper::scaling
