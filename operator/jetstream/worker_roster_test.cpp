#include "operator/jetstream/worker_roster.h"

#include <gtest/gtest.h>

namespace lanekeeper {
namespace {

const MonotonicTime kStart{std::chrono::hours(1)};

WorkerReport Report(std::string worker, int running, WorkerState state = WorkerState::kRunning) {
  return {.worker = std::move(worker), .state = state, .slots = 8, .running = running};
}

TEST(WorkerRoster, CountsWhatTheLastReportsSay) {
  WorkerRoster roster;
  roster.Record(Report("a", 3), kStart);
  roster.Record(Report("b", 0), kStart);
  roster.Record(Report("c", 1, WorkerState::kDraining), kStart);
  roster.Record(Report("d", 0, WorkerState::kDrained), kStart);
  EXPECT_EQ(roster.totals(),
            (RosterTotals{.reporting = 4, .busy = 2, .draining = 2, .jobs_running = 4}));
  roster.Record(Report("a", 0), kStart);
  EXPECT_EQ(roster.totals(),
            (RosterTotals{.reporting = 4, .busy = 1, .draining = 2, .jobs_running = 1}));
}

TEST(WorkerRoster, AWorkerThatStoppedIsGoneAtOnce) {
  WorkerRoster roster;
  roster.Record(Report("a", 3), kStart);
  roster.Record(Report("a", 0, WorkerState::kStopped), kStart);
  EXPECT_EQ(roster.totals(), RosterTotals{});
  roster.Record(Report("never heard of", 0, WorkerState::kStopped), kStart);
  EXPECT_EQ(roster.totals(), RosterTotals{});
}

TEST(WorkerRoster, ASilentWorkerExpires) {
  WorkerRoster roster;
  roster.Record(Report("silent", 1), kStart);
  roster.Record(Report("alive", 1), kStart);
  roster.Record(Report("alive", 2), kStart + kWorkerReportExpiry / 2);
  roster.Expire(kStart + kWorkerReportExpiry - std::chrono::milliseconds(1));
  EXPECT_EQ(roster.totals().reporting, 2);
  roster.Expire(kStart + kWorkerReportExpiry);
  EXPECT_EQ(roster.totals(), (RosterTotals{.reporting = 1, .busy = 1, .jobs_running = 2}));
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

}  // namespace
}  // namespace lanekeeper
