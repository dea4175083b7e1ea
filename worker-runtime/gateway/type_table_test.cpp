#include "worker-runtime/gateway/type_table.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "worker-runtime/gateway/testing/media_lanes.h"

namespace lanekeeper::gateway {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

TypeService Took(const std::string& type,
                 const std::vector<std::pair<milliseconds, std::uint64_t>>& times) {
  TypeService service{.type = type};
  for (const auto& [took, jobs] : times) {
    service.service.emplace_back(static_cast<std::uint8_t>(ServiceBucketOf(took)), jobs);
  }
  return service;
}

WorkerReport Report(const std::string& worker, std::vector<TypeService> types) {
  return {.worker = worker, .types = std::move(types)};
}

class TypeTableTest : public testing::Test {
 protected:
  // About that long: the buckets are 19 % wide.
  void ExpectP95(const std::string& type, milliseconds took) {
    const auto p95 = table_.P95("studio", "media", type);
    ASSERT_TRUE(p95.has_value());
    EXPECT_GE(*p95, took * 8 / 10);
    EXPECT_LE(*p95, took * 12 / 10);
  }
  std::optional<milliseconds> P95(const std::string& type) const {
    return table_.P95("studio", "media", type);
  }

  TypeTable table_;
};

TEST_F(TypeTableTest, SaysNothingBeforeTwentyJobsOfThatType) {
  EXPECT_EQ(P95("film"), std::nullopt);
  table_.Record(kShort, Report("a", {Took("film", {{seconds(2), 19}})}), kStart);
  EXPECT_EQ(P95("film"), std::nullopt);
  table_.Record(kShort, Report("a", {Took("film", {{seconds(2), 20}})}), kStart);
  ExpectP95("film", seconds(2));
  EXPECT_EQ(P95("other"), std::nullopt);
  EXPECT_EQ(table_.P95("studio", "other", "film"), std::nullopt);
}

TEST_F(TypeTableTest, NineteenOfTwentyJobsTookNoLonger) {
  table_.Record(
      kShort,
      Report("a", {Took("film", {{milliseconds(100), 90}, {seconds(10), 6}, {hours(1), 4}})}),
      kStart);
  ExpectP95("film", seconds(10));
}

TEST_F(TypeTableTest, JobsWithoutATypeAreATypeToo) {
  table_.Record(kShort, Report("a", {Took("", {{seconds(3), 20}})}), kStart);
  ExpectP95("", seconds(3));
}

TEST_F(TypeTableTest, CountsOfAllWorkersAndLanesOfAPoolAreAdded) {
  table_.Record(kShort, Report("a", {Took("film", {{seconds(1), 10}})}), kStart);
  table_.Record(kShort, Report("b", {Took("film", {{seconds(1), 5}})}), kStart);
  EXPECT_EQ(P95("film"), std::nullopt);
  // A worker of the same name in another lane is another one.
  table_.Record(kLong, Report("a", {Took("film", {{minutes(10), 5}})}), kStart);
  ExpectP95("film", minutes(10));
}

TEST_F(TypeTableTest, TheSameReportAgainAddsNothing) {
  for (int n = 0; n < 10; ++n) {
    table_.Record(kShort, Report("a", {Took("film", {{seconds(1), 10}})}), kStart);
  }
  EXPECT_EQ(P95("film"), std::nullopt);
}

TEST_F(TypeTableTest, AWorkerThatStartedAnewIsCountedFromZero) {
  table_.Record(kShort, Report("a", {Took("film", {{seconds(1), 15}})}), kStart);
  table_.Record(kShort, Report("a", {Took("film", {{seconds(1), 4}})}), kStart);
  EXPECT_EQ(P95("film"), std::nullopt);
  table_.Record(kShort, Report("a", {Took("film", {{seconds(1), 5}})}), kStart);
  ExpectP95("film", seconds(1));
}

TEST_F(TypeTableTest, ATypeThatIsLeftOutForAWhileIsNotCountedTwice) {
  table_.Record(kShort, Report("a", {Took("film", {{seconds(1), 12}})}), kStart);
  table_.Record(kShort, Report("a", {Took("other", {{seconds(1), 12}})}), kStart);
  table_.Record(kShort, Report("a", {Took("film", {{seconds(1), 13}})}), kStart);
  EXPECT_EQ(P95("film"), std::nullopt);
}

TEST_F(TypeTableTest, OldTimesFade) {
  std::uint64_t slow = 900;
  table_.Record(kShort, Report("a", {Took("film", {{minutes(1), slow}})}), kStart);
  ExpectP95("film", minutes(1));
  for (std::uint64_t fast = 100; fast <= 10'000; fast += 100) {
    table_.Record(kShort,
                  Report("a", {Took("film", {{milliseconds(50), fast}, {minutes(1), slow}})}),
                  kStart);
  }
  ExpectP95("film", milliseconds(50));
}

TEST_F(TypeTableTest, OneOldWorkerDoesNotOutweighAllOthers) {
  table_.Record(kShort, Report("young", {Took("film", {{minutes(1), 400}})}), kStart);
  table_.Record(kShort, Report("old", {Took("film", {{seconds(1), 50'000'000}})}), kStart);
  ExpectP95("film", minutes(1));
}

TEST_F(TypeTableTest, AWorkerThatStoppedIsForgottenAndItsLastWordCounts) {
  table_.Record(kShort, Report("a", {Took("film", {{seconds(1), 15}})}), kStart);
  WorkerReport last = Report("a", {Took("film", {{seconds(1), 20}})});
  last.state = WorkerState::kStopped;
  table_.Record(kShort, last, kStart);
  EXPECT_EQ(table_.workers(), 0U);
  ExpectP95("film", seconds(1));
}

TEST(TypeTableLimits, WhatIsNewIsNotLearnedBeyondThemUnlessTheOldIsSilent) {
  TypeTable table({.pools_max = 1, .types_per_pool_max = 2, .workers_max = 2});
  const LaneKey other{"studio", "other", "short"};
  const auto film = [](const std::string& worker, const std::string& type) {
    return Report(worker, {Took(type, {{seconds(1), 20}})});
  };
  table.Record(kShort, film("a", "1"), kStart);
  table.Record(kShort, film("a", "2"), kStart);
  table.Record(kShort, film("a", "3"), kStart);
  EXPECT_TRUE(table.P95("studio", "media", "2").has_value());
  EXPECT_FALSE(table.P95("studio", "media", "3").has_value());

  table.Record(other, film("b", "1"), kStart);
  EXPECT_FALSE(table.P95("studio", "other", "1").has_value());
  EXPECT_EQ(table.workers(), 2U);
  table.Record(kLong, film("c", "1"), kStart);
  EXPECT_EQ(table.workers(), 2U);

  const MonotonicTime later = kStart + TypeTable::kSilentKept;
  table.Record(other, film("c", "1"), later);
  EXPECT_EQ(table.workers(), 1U);
  EXPECT_TRUE(table.P95("studio", "other", "1").has_value());
  EXPECT_FALSE(table.P95("studio", "media", "1").has_value());
}

TEST(TypeTableLimits, AWorkerWhoseTypesChangeAllTheTimeIsBounded) {
  TypeTable table;
  for (int n = 0; n < 10'000; ++n) {
    table.Record(kShort, Report("a", {Took(std::to_string(n), {{seconds(1), 1}})}), kStart);
  }
  EXPECT_EQ(table.workers(), 1U);
}

}  // namespace
}  // namespace lanekeeper::gateway
