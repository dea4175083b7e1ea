#include "operator/control/observe.h"

#include <gtest/gtest.h>

#include "operator/scaling/decide_workers.h"

namespace lanekeeper {
namespace {

scaling::Observation Seen(const LaneSample& sample, int replicas) {
  WorkloadState workload;
  workload.replicas = replicas;
  return ObservationOf(sample, workload, {}, {}, MonotonicTime{});
}

LaneSample OneWorker(std::int64_t ack_pending, std::int64_t jobs_running) {
  LaneSample sample;
  sample.doubt = scaling::Doubt::kNone;
  sample.ack_pending = ack_pending;
  sample.workers_reporting = 1;
  sample.jobs_running = jobs_running;
  return sample;
}

TEST(ObservationOf, WhatNobodyRunsIsParked) {
  const scaling::Observation seen = Seen(OneWorker(5, 3), 1);
  EXPECT_EQ(seen.running, 3);
  EXPECT_EQ(seen.parked, 2);
}

// For a moment they looked like retries, in status and in decisions.
TEST(ObservationOf, JobsThatOnlyPassByAreNotParked) {
  LaneSample sample = OneWorker(5, 3);
  sample.jobs_passing = 1;
  EXPECT_EQ(Seen(sample, 1).parked, 1);
  sample.jobs_passing = 2;
  EXPECT_EQ(Seen(sample, 1).parked, 0);
  sample.jobs_passing = 9;
  EXPECT_EQ(Seen(sample, 1).parked, 0);
}

// They were neither running nor parked until the queue's next answer: a lane could go to zero on
// them.
TEST(ObservationOf, JobsThatOnlyPassByAreStillDemand) {
  LaneSample sample = OneWorker(3, 0);
  sample.jobs_passing = 3;
  const scaling::Observation seen = Seen(sample, 1);
  EXPECT_EQ(seen.running, 3);
  EXPECT_EQ(seen.parked, 0);
  const scaling::ScalingDecision decision =
      scaling::DecideWorkers({.workers_max = 5, .jobs_per_worker = 1}, seen);
  EXPECT_EQ(decision.workers, 3);
}

TEST(ObservationOf, TheyMayBeASilentWorkersAllTheSame) {
  LaneSample sample = OneWorker(5, 3);
  sample.jobs_passing = 2;
  const scaling::Observation seen = Seen(sample, 2);
  EXPECT_EQ(seen.workers_busy, 1) << "the one that says nothing";
  EXPECT_EQ(seen.running, 5);
}

}  // namespace
}  // namespace lanekeeper
