#include "worker-runtime/gateway/caller_counts.h"

#include <gtest/gtest.h>

namespace lanekeeper::gateway {
namespace {

TEST(CallerCountsTest, AJobCountsFromItsPublishToItsDelivery) {
  CallerCounts counts;
  EXPECT_EQ(counts.Waiting("web"), 0);
  counts.Begin("web");
  EXPECT_EQ(counts.Waiting("web"), 1);
  counts.End("web", 7);
  EXPECT_EQ(counts.Waiting("web"), 1);
  counts.Delivered(6, 7);
  EXPECT_EQ(counts.Waiting("web"), 1);
  counts.Delivered(7, 7);
  EXPECT_EQ(counts.Waiting("web"), 0);
}

TEST(CallerCountsTest, CallersAreCountedApart) {
  CallerCounts counts;
  counts.Found("web", 1);
  counts.Found("batch", 2);
  counts.Found("web", 3);
  EXPECT_EQ(counts.Waiting("web"), 2);
  EXPECT_EQ(counts.Waiting("batch"), 1);
  counts.Delivered(1, 3);
  EXPECT_EQ(counts.Waiting("web"), 1);
}

TEST(CallerCountsTest, WhatWasNotStoredDoesNotCount) {
  CallerCounts counts;
  counts.Begin("web");
  counts.End("web", 0);
  EXPECT_EQ(counts.Waiting("web"), 0);
}

TEST(CallerCountsTest, OneJobCountsOnce) {
  CallerCounts counts;
  counts.Found("web", 7);
  counts.Begin("web");
  counts.End("web", 7);
  EXPECT_EQ(counts.Waiting("web"), 1);
}

TEST(CallerCountsTest, WhatWasHandedOutBeforeItsAnswerCameDoesNotWait) {
  CallerCounts counts;
  counts.Begin("web");
  counts.Delivered(9, 9);
  counts.End("web", 8);
  EXPECT_EQ(counts.Waiting("web"), 0);
}

// An answer of the queue may be older than the one before.
TEST(CallerCountsTest, DeliveriesDoNotGoBack) {
  CallerCounts counts;
  counts.Delivered(9, 12);
  counts.Delivered(8, 12);
  counts.Found("web", 9);
  EXPECT_EQ(counts.Waiting("web"), 0);
}

TEST(CallerCountsTest, AStreamMadeAnewBeginsWithNothing) {
  CallerCounts counts;
  counts.Delivered(9, 12);
  counts.Found("web", 11);
  counts.Delivered(0, 2);
  EXPECT_EQ(counts.Waiting("web"), 0);
  counts.Found("web", 2);
  EXPECT_EQ(counts.Waiting("web"), 1);
}

TEST(CallerCountsTest, HoldsOnlySoManyJobs) {
  CallerCounts counts(2);
  for (std::uint64_t n = 1; n <= 5; ++n) counts.Found("web", n);
  EXPECT_EQ(counts.Waiting("web"), 2);
  counts.Delivered(1, 5);
  counts.Found("web", 6);
  EXPECT_EQ(counts.Waiting("web"), 2);
}

}  // namespace
}  // namespace lanekeeper::gateway
