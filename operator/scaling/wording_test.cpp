#include "operator/scaling/wording.h"

#include <gtest/gtest.h>

namespace lanekeeper::scaling {
namespace {

const ScalingPolicy kPolicy{.workers_max = 20, .jobs_per_worker = 16};

std::string Describe(Observation seen, int peak = 0, std::string_view detail = "") {
  seen.peak_demand = peak;
  return DescribeDecision(kPolicy, seen, {.doubt_detail = detail}, DecideWorkers(kPolicy, seen));
}

TEST(Wording, ScaleUpNamesTheNumbersItCameFrom) {
  EXPECT_EQ(Describe({.waiting = 201, .running = 3, .open_pulls = 1}),
            "Scaled from 0 to 13 workers: 201 jobs waiting and 3 running, 16 per worker.");
}

TEST(Wording, OneJobAndOneWorkerAreSingular) {
  EXPECT_EQ(Describe({.waiting = 1}),
            "Scaled from 0 to 1 worker: 1 job waiting and 0 running, 16 per worker.");
}

TEST(Wording, HoldSaysWhatWasAskedForAndBy) {
  EXPECT_EQ(
      Describe({.waiting = 30, .open_pulls = 1, .workers_current = 5}, 5),
      "Kept 5 workers: 30 jobs waiting and 0 running ask for 2, but the last 15s asked for 5.");
}

TEST(Wording, CapNamesTheFieldToRaise) {
  EXPECT_EQ(
      Describe({.waiting = 800, .workers_current = 1}),
      "Scaled from 1 to 20 workers: 800 jobs waiting and 0 running ask for 50, workers.max is 20.");
}

TEST(Wording, DoubtSaysWhatTheServerSaid) {
  EXPECT_EQ(Describe({.doubt = Doubt::kConsumerMissing, .workers_current = 4}, 0,
                     "404 consumer not found"),
            "Kept 4 workers: the stream or its consumer does not exist (404 consumer not found).");
}

TEST(Wording, PausedLaneIsSaidWithWhatWaits) {
  EXPECT_EQ(Describe({.waiting = 30, .open_pulls = 1, .lane_paused = true}),
            "Kept 0 workers: the lane is paused: 30 jobs cannot be handed out, 0 running.");
  EXPECT_EQ(
      Describe({.waiting = 30, .open_pulls = 1, .workers_current = 5, .lane_paused = true}, 5),
      "Kept 5 workers: 30 jobs waiting and 0 running in a paused lane ask for 0, but the "
      "last 15s asked for 5.");
}

TEST(Wording, WhatIsOnlyObservedIsSaidSo) {
  const Observation seen{.waiting = 33, .workers_current = 2};
  EXPECT_EQ(DescribeDecision(kPolicy, seen, {.observed_only = true}, DecideWorkers(kPolicy, seen)),
            "Would scale from 2 to 3 workers: 33 jobs waiting and 0 running, 16 per worker.");
}

TEST(Wording, ReleaseCountsAndNamesTheOldestJob) {
  using std::chrono::seconds;
  EXPECT_EQ(DescribeRelease(3, 5, 2, seconds(4360)),
            "3 of 5 released, 2 busy, oldest for 01:12:00");
  EXPECT_EQ(DescribeRelease(0, 1, 1, seconds(27)), "0 of 1 released, 1 busy, oldest for 00:00:20");
  EXPECT_EQ(DescribeRelease(2, 2, 0, seconds(0)), "2 of 2 released");
}

TEST(Wording, EveryDoubtHasItsOwnReason) {
  std::vector<std::string_view> seen;
  for (const Doubt doubt :
       {Doubt::kNone, Doubt::kNoSampleYet, Doubt::kStale, Doubt::kDisconnected,
        Doubt::kJetStreamOff, Doubt::kConsumerMissing, Doubt::kRefused, Doubt::kUnreadable}) {
    for (const std::string_view reason : seen) EXPECT_NE(reason, ReasonOf(doubt));
    seen.push_back(ReasonOf(doubt));
    EXPECT_FALSE(DescribeDoubt(doubt, "").empty());
  }
}

}  // namespace
}  // namespace lanekeeper::scaling
