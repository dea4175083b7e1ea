#include "operator/scaling/lane_model.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace lanekeeper::scaling {
namespace {

using std::chrono::duration;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

LaneModel::Time At(double seconds_in) {
  return LaneModel::Time(
      std::chrono::duration_cast<LaneModel::Time::duration>(duration<double>(seconds_in)));
}

// A worker's counts, as its reports carry them.
struct Served {
  ServiceCounts counts{};
  void Add(double job_seconds, std::uint64_t jobs = 1) {
    counts[ServiceBucketOf(std::chrono::duration_cast<std::chrono::nanoseconds>(
        duration<double>(job_seconds)))] += jobs;
  }
};

TEST(LaneModelTest, KnowsNothingAtFirst) {
  LaneModel model;
  EXPECT_EQ(model.At(At(0)), Estimate{});
  model.SeeArrivals(At(0), 12345);
  model.SeeService(At(0), ServiceCounts{});
  model.SeeJobs(At(0), 0);
  EXPECT_EQ(model.At(At(1)), Estimate{}) << "what came before anybody looked is no rate";
}

TEST(LaneModelTest, LearnsTheServiceTimeWithinABucket) {
  LaneModel model;
  Served served;
  served.Add(20, 100);
  model.SeeService(At(0), served.counts);
  const Estimate estimate = model.At(At(0));
  EXPECT_NEAR(estimate.service_seconds_mean, 20, 2);
  EXPECT_NEAR(estimate.service_seconds_p95, 20, 2);
  EXPECT_DOUBLE_EQ(estimate.service_jobs, 100);
}

TEST(LaneModelTest, OneOutlierMovesTheMeanNowhere) {
  LaneModel model;
  Served served;
  served.Add(2, 50);
  model.SeeService(At(0), served.counts);
  const double before = model.At(At(0)).service_seconds_mean;
  served.Add(18000);
  model.SeeService(At(1), served.counts);
  EXPECT_NEAR(model.At(At(1)).service_seconds_mean, before, 0.1 * before);
}

TEST(LaneModelTest, LongJobsThatAreCommonCount) {
  LaneModel model;
  Served served;
  served.Add(1, 80);
  served.Add(100, 20);
  model.SeeService(At(0), served.counts);
  EXPECT_NEAR(model.At(At(0)).service_seconds_mean, 20.8, 2.5);
  EXPECT_NEAR(model.At(At(0)).service_seconds_p95, 100, 9);
}

TEST(LaneModelTest, FollowsAServiceTimeThatDrifts) {
  LaneModel model;
  Served served;
  served.Add(1, 1000);
  model.SeeService(At(0), served.counts);
  for (int i = 1; i <= 600; ++i) {
    served.Add(10);
    model.SeeService(At(i), served.counts);
  }
  EXPECT_NEAR(model.At(At(601)).service_seconds_mean, 10, 2);
}

TEST(LaneModelTest, CountsThatWereResetAreNotTakenForJobs) {
  LaneModel model;
  Served served;
  served.Add(5, 50);
  served.Add(50, 50);
  model.SeeService(At(0), served.counts);
  const Estimate before = model.At(At(0));
  Served anew;
  anew.Add(5, 3);
  anew.Add(500, 3);
  model.SeeService(At(1), anew.counts);
  EXPECT_EQ(model.At(At(1)), before);
  anew.Add(5, 100);
  model.SeeService(At(2), anew.counts);
  EXPECT_LT(model.At(At(2)).service_seconds_mean, 0.8 * before.service_seconds_mean)
      << "counted on from there";
}

TEST(LaneModelTest, LearnsTheArrivalRateFromIrregularSamples) {
  LaneModel model;
  std::mt19937 random(7);
  std::uniform_real_distribution<double> step(0.05, 2.0);
  double now = 0;
  while (now < 900) {
    model.SeeArrivals(At(now), static_cast<std::int64_t>(now * 4));
    now += step(random);
  }
  const Estimate estimate = model.At(At(now));
  EXPECT_NEAR(estimate.arrivals_per_second, 4, 0.3);
  EXPECT_GT(estimate.arrivals_per_second_high, estimate.arrivals_per_second);
  EXPECT_LT(estimate.arrivals_per_second_high, 6);
}

TEST(LaneModelTest, ASpikeIsSeenWithinSeconds) {
  LaneModel model;
  std::int64_t total = 0;
  for (int i = 0; i <= 600; ++i) model.SeeArrivals(At(i), total += i % 10 == 0 ? 1 : 0);
  for (int i = 601; i <= 610; ++i) model.SeeArrivals(At(i), total += 20);
  EXPECT_GT(model.At(At(610)).arrivals_per_second, 3);
}

TEST(LaneModelTest, TheRateFadesWhenNothingComes) {
  LaneModel model;
  for (int i = 0; i <= 600; ++i) model.SeeArrivals(At(i), i * 5);
  for (int i = 601; i <= 4200; ++i) model.SeeArrivals(At(i), 3000);
  EXPECT_LT(model.At(At(4200)).arrivals_per_second, 0.05);
}

TEST(LaneModelTest, JobsThatCameWhileNobodyLookedAreNoSpike) {
  LaneModel model;
  for (int i = 0; i <= 600; ++i) model.SeeArrivals(At(i), i);
  model.SeeArrivals(At(600 + 6 * 3600), 600 + 50000);
  const double rate = model.At(At(601 + 6 * 3600)).arrivals_per_second;
  EXPECT_LT(rate, 1.5);
}

TEST(LaneModelTest, AQueueMadeAnewIsCountedFromThere) {
  LaneModel model;
  for (int i = 0; i <= 100; ++i) model.SeeArrivals(At(i), 1'000'000 + i);
  for (int i = 101; i <= 200; ++i) model.SeeArrivals(At(i), i - 100);
  EXPECT_NEAR(model.At(At(200)).arrivals_per_second, 1, 0.2);
}

TEST(LaneModelTest, OneSlowStartIsNotTheColdStart) {
  LaneModel model;
  model.SeeColdStart(At(0), seconds(30));
  EXPECT_NEAR(model.At(At(0)).cold_start_seconds, 30, 0.01);
  model.SeeColdStart(At(1), seconds(32));
  model.SeeColdStart(At(2), hours(1));
  EXPECT_NEAR(model.At(At(2)).cold_start_seconds, 32, 0.01);
  for (int i = 0; i < 20; ++i) model.SeeColdStart(At(3 + i), milliseconds(1500));
  EXPECT_NEAR(model.At(At(30)).cold_start_seconds, 1.5, 0.01) << "only the last ones count";
}

TEST(LaneModelTest, LearnsThatOneJobBringsOthers) {
  LaneModel model;
  Served served;
  served.Add(30, 50);
  model.SeeService(At(0), served.counts);
  model.SeeColdStart(At(0), seconds(30));
  double now = 0;
  const auto stay = [&](std::int64_t jobs, int how_long) {
    for (int i = 0; i < how_long; ++i) model.SeeJobs(At(now += 1), jobs);
  };
  for (int i = 0; i < 20; ++i) {
    stay(0, 120);
    stay(1, 10);
    stay(2, 20);
  }
  stay(0, 120);
  model.SeeJobs(At(now += 1), 1);
  EXPECT_EQ(model.At(At(now)).slots_next, 2);
  stay(1, 60);
  EXPECT_EQ(model.At(At(now)).slots_next, 0) << "this time it did not";
}

TEST(LaneModelTest, LearnsThatOneJobComesAlone) {
  LaneModel model;
  Served served;
  served.Add(30, 50);
  model.SeeService(At(0), served.counts);
  model.SeeColdStart(At(0), seconds(30));
  double now = 0;
  for (int i = 0; i < 60; ++i) model.SeeJobs(At(now += 1), 2);  // Once there were two.
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 120; ++i) model.SeeJobs(At(now += 1), 0);
    for (int i = 0; i < 40; ++i) {
      model.SeeJobs(At(now += 1), 1);
      ASSERT_EQ(model.At(At(now)).slots_next, 0) << "round " << round;
    }
  }
}

// Whatever comes, the numbers stay finite and in their bounds.
TEST(LaneModelTest, AnythingMayCome) {
  std::mt19937_64 random(11);
  LaneModel model;
  double now = 0;
  const auto any = [&](std::int64_t max) {
    return std::uniform_int_distribution<std::int64_t>(0, max)(random);
  };
  for (int i = 0; i < 20000; ++i) {
    const std::int64_t kind = any(4);
    if (kind == 0) now += static_cast<double>(any(100000)) / 10.0;
    if (kind == 1) {
      const std::int64_t huge = std::numeric_limits<std::int64_t>::max();
      model.SeeArrivals(At(now), any(1) == 0 ? any(1000) : any(huge));
    }
    if (kind == 2) {
      ServiceCounts counts{};
      counts[static_cast<std::size_t>(any(kServiceBuckets - 1))] =
          static_cast<std::uint64_t>(any(1) == 0 ? any(5) : any(std::int64_t{1} << 60));
      model.SeeService(At(now), counts);
    }
    if (kind == 3) model.SeeJobs(At(now), any(1) == 0 ? any(5) : any(std::int64_t{1} << 60));
    if (kind == 4) model.SeeColdStart(At(now), seconds(any(4000) - 10));
    const Estimate estimate = model.At(At(now + 0.1));
    for (const double value :
         {estimate.service_seconds_mean, estimate.service_seconds_p95, estimate.service_jobs,
          estimate.arrivals_per_second, estimate.arrivals_per_second_high,
          estimate.cold_start_seconds, estimate.slots_next}) {
      ASSERT_TRUE(value >= 0 && value < 1e20) << value << " in step " << i;
    }
  }
}

}  // namespace
}  // namespace lanekeeper::scaling
