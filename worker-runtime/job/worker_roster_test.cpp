#include "worker-runtime/job/worker_roster.h"

#include <gtest/gtest.h>

#include <utility>

namespace lanekeeper {
namespace {

const MonotonicTime kStart{std::chrono::hours(1)};

WorkerReport Report(std::string worker, int running, WorkerState state = WorkerState::kRunning) {
  return {.worker = std::move(worker), .state = state, .slots = 8, .running = running};
}

ServiceCounts Counts(std::initializer_list<std::pair<std::size_t, std::uint64_t>> pairs) {
  ServiceCounts counts{};
  for (const auto& [bucket, count] : pairs) counts[bucket] = count;
  return counts;
}

WorkerReport Served(std::string worker, const ServiceCounts& service,
                    WorkerState state = WorkerState::kRunning) {
  WorkerReport report = Report(std::move(worker), 0, state);
  report.service = service;
  return report;
}

RosterTotals WithoutVersion(RosterTotals totals) {
  totals.version = 0;
  return totals;
}

TEST(WorkerRoster, CountsWhatTheLastReportsSay) {
  WorkerRoster roster;
  roster.Record(Report("a", 3), kStart);
  roster.Record(Report("b", 0), kStart);
  roster.Record(Report("c", 1, WorkerState::kDraining), kStart);
  roster.Record(Report("d", 0, WorkerState::kDrained), kStart);
  EXPECT_EQ(WithoutVersion(roster.totals()),
            (RosterTotals{.reporting = 4, .busy = 2, .draining = 2, .jobs_running = 4}));
  roster.Record(Report("a", 0), kStart);
  EXPECT_EQ(WithoutVersion(roster.totals()),
            (RosterTotals{.reporting = 4, .busy = 1, .draining = 2, .jobs_running = 1}));
}

TEST(WorkerRoster, AWorkerThatStoppedIsGoneAtOnce) {
  WorkerRoster roster;
  roster.Record(Report("a", 3), kStart);
  roster.Record(Report("a", 0, WorkerState::kStopped), kStart);
  EXPECT_EQ(WithoutVersion(roster.totals()), RosterTotals{});
  roster.Record(Report("never heard of", 0, WorkerState::kStopped), kStart);
  EXPECT_EQ(WithoutVersion(roster.totals()), RosterTotals{});
}

TEST(WorkerRoster, ASilentWorkerExpires) {
  WorkerRoster roster;
  roster.Record(Report("silent", 1), kStart);
  roster.Record(Report("alive", 1), kStart);
  roster.Record(Report("alive", 2), kStart + kWorkerReportExpiry / 2);
  roster.Expire(kStart + kWorkerReportExpiry - std::chrono::milliseconds(1));
  EXPECT_EQ(roster.totals().reporting, 2);
  roster.Expire(kStart + kWorkerReportExpiry);
  EXPECT_EQ(WithoutVersion(roster.totals()),
            (RosterTotals{.reporting = 1, .busy = 1, .jobs_running = 2}));
}

TEST(WorkerRoster, IsBounded) {
  WorkerRoster roster;
  for (std::size_t i = 0; i < kWorkersPerLaneMax; ++i) {
    ASSERT_TRUE(roster.Record(Report("w" + std::to_string(i), 1), kStart));
  }
  EXPECT_FALSE(roster.Record(Report("one too many", 1), kStart));
  EXPECT_TRUE(roster.Record(Report("w0", 0), kStart));
  EXPECT_EQ(roster.totals().reporting, static_cast<int>(kWorkersPerLaneMax));
  roster.Record(Report("w0", 0, WorkerState::kStopped), kStart);
  EXPECT_TRUE(roster.Record(Report("one too many", 1), kStart));
}

TEST(WorkerRoster, TheVersionGrowsWithEveryNewsAndOnlyThen) {
  WorkerRoster roster;
  std::uint64_t version = roster.totals().version;
  const auto grew = [&] {
    return roster.totals().version > std::exchange(version, roster.totals().version);
  };
  roster.Record(Report("a", 0), kStart);
  EXPECT_TRUE(grew()) << "came";
  roster.Record(Report("a", 0), kStart);
  EXPECT_FALSE(grew()) << "nothing new";
  roster.Record(Report("a", 1), kStart);
  EXPECT_TRUE(grew()) << "busy";
  roster.Record(Report("a", 5), kStart);
  EXPECT_FALSE(grew()) << "busy still";
  roster.Record(Report("a", 0), kStart);
  EXPECT_TRUE(grew()) << "idle";
  roster.Record(Report("a", 0, WorkerState::kDraining), kStart);
  EXPECT_TRUE(grew()) << "draining";
  roster.Record(Report("a", 0, WorkerState::kDrained), kStart);
  EXPECT_TRUE(grew()) << "drained";
  roster.Record(Report("a", 0, WorkerState::kStopped), kStart);
  EXPECT_TRUE(grew()) << "went";
  roster.Record(Report("a", 0, WorkerState::kStopped), kStart);
  EXPECT_FALSE(grew()) << "was not there";
  roster.Record(Report("a", 0), kStart);
  EXPECT_TRUE(grew()) << "came back";
  roster.Expire(kStart + kWorkerReportExpiry);
  EXPECT_TRUE(grew()) << "fell silent";
}

TEST(WorkerRoster, TellsOfEachWorkerByName) {
  WorkerRoster roster;
  roster.Record(Report("b", 0, WorkerState::kDrained), kStart);
  WorkerReport busy = Report("a", 2);
  busy.oldest_running = std::chrono::seconds(90);
  roster.Record(busy, kStart + std::chrono::seconds(1));
  EXPECT_EQ(roster.Workers(),
            (std::vector<ReportedWorker>{
                {.name = "a",
                 .slots = 8,
                 .running = 2,
                 .oldest_running = std::chrono::seconds(90),
                 .heard_at = kStart + std::chrono::seconds(1)},
                {.name = "b", .state = WorkerState::kDrained, .slots = 8, .heard_at = kStart}}));
}

TEST(WorkerRoster, ThatAWorkerEndsIsNewsThoughItDrainedBefore) {
  WorkerRoster roster;
  roster.Record(Report("a", 1, WorkerState::kDraining), kStart);
  const std::uint64_t before = roster.totals().version;
  WorkerReport report = Report("a", 1, WorkerState::kDraining);
  report.ending = true;
  roster.Record(report, kStart);
  EXPECT_GT(roster.totals().version, before);
  EXPECT_TRUE(roster.Workers().at(0).ending);
}

TEST(WorkerRoster, ServedIsWhatTheCountsOfAllWorkersGrewBy) {
  WorkerRoster roster;
  roster.Record(Served("a", Counts({{3, 5}, {40, 1}})), kStart);
  EXPECT_EQ(roster.served(), Counts({{3, 5}, {40, 1}})) << "a first report counts in full";
  roster.Record(Served("a", Counts({{3, 7}, {9, 1}, {40, 1}})), kStart);
  roster.Record(Served("b", Counts({{3, 1}})), kStart);
  EXPECT_EQ(roster.served(), Counts({{3, 8}, {9, 1}, {40, 1}}));
  roster.Record(Served("a", Counts({{3, 8}, {9, 1}, {40, 1}}), WorkerState::kStopped), kStart);
  EXPECT_EQ(roster.served(), Counts({{3, 9}, {9, 1}, {40, 1}})) << "the last report, too";
}

TEST(WorkerRoster, AWorkerWhoseCountsFellWasStartedAnewAndCountsFromZero) {
  WorkerRoster roster;
  roster.Record(Served("a", Counts({{3, 5}, {40, 9}})), kStart);
  roster.Record(Served("a", Counts({{3, 6}})), kStart);
  EXPECT_EQ(roster.served(), Counts({{3, 11}, {40, 9}}));
  roster.Record(Served("a", Counts({{3, 7}, {40, 1}})), kStart);
  EXPECT_EQ(roster.served(), Counts({{3, 12}, {40, 10}}));
}

TEST(WorkerRoster, AWorkerThatFellSilentAndCameBackIsNotCountedTwice) {
  WorkerRoster roster;
  roster.Record(Served("a", Counts({{3, 5}})), kStart);
  roster.Expire(kStart + kWorkerReportExpiry);
  ASSERT_EQ(roster.totals().reporting, 0);
  roster.Record(Served("a", Counts({{3, 7}})), kStart + kSilentCountsKept);
  EXPECT_EQ(roster.served(), Counts({{3, 7}}));
  // And once more: what it said last is remembered, not what it said first.
  roster.Expire(kStart + kSilentCountsKept + kWorkerReportExpiry);
  ASSERT_EQ(roster.totals().reporting, 0);
  roster.Record(Served("a", Counts({{3, 8}})), kStart + kSilentCountsKept * 2);
  EXPECT_EQ(roster.served(), Counts({{3, 8}}));
}

TEST(WorkerRoster, ForgetsTheCountsOfTheSilentAfterAWhile) {
  WorkerRoster roster;
  roster.Record(Served("a", Counts({{3, 5}})), kStart);
  roster.Expire(kStart + kWorkerReportExpiry);
  roster.Expire(kStart + kWorkerReportExpiry + kSilentCountsKept);
  roster.Record(Served("a", Counts({{3, 5}})), kStart + kSilentCountsKept * 2);
  EXPECT_EQ(roster.served(), Counts({{3, 10}}));
}

}  // namespace
}  // namespace lanekeeper
