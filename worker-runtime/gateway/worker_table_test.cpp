#include "worker-runtime/gateway/worker_table.h"

#include <gtest/gtest.h>

#include <string>

#include "worker-runtime/gateway/testing/media_lanes.h"

namespace lanekeeper::gateway {
namespace {

WorkerReport Says(std::string worker, int running = 0, WorkerState state = WorkerState::kRunning) {
  return {.worker = std::move(worker), .state = state, .slots = 4, .running = running, .done = 7};
}

TEST(WorkerTable, ShowsWhatTheWorkersOfALaneSaidLast) {
  WorkerTable table;
  table.Record(kShort, Says("a", 1), kStart);
  table.Record(kLong, Says("b"), kStart);
  table.Record(kShort, Says("a", 3), kStart + std::chrono::seconds(1));
  const auto workers = table.Workers(kShort, kStart + std::chrono::seconds(2));
  ASSERT_EQ(workers.size(), 1u);
  EXPECT_EQ(workers[0].name, "a");
  EXPECT_EQ(workers[0].running, 3);
  EXPECT_EQ(workers[0].done, 7);
  EXPECT_EQ(table.workers(), 2u);
  EXPECT_TRUE(table.Workers({"studio", "media", "none"}, kStart).empty());
}

TEST(WorkerTable, WorkersThatStoppedOrFellSilentAreGone) {
  WorkerTable table;
  table.Record(kShort, Says("a"), kStart);
  table.Record(kShort, Says("b"), kStart);
  table.Record(kShort, Says("a", 0, WorkerState::kStopped), kStart);
  EXPECT_EQ(table.workers(), 1u);
  EXPECT_EQ(table.Workers(kShort, kStart + kWorkerReportExpiry - std::chrono::seconds(1)).size(),
            1u);
  EXPECT_TRUE(table.Workers(kShort, kStart + kWorkerReportExpiry).empty());
  EXPECT_EQ(table.workers(), 0u);
}

TEST(WorkerTable, IsBoundedOverAllLanesAndHearsThoseItKnowsAllTheSame) {
  WorkerTable table(2);
  table.Record(kShort, Says("a"), kStart);
  table.Record(kLong, Says("b"), kStart);
  table.Record(kLong, Says("c"), kStart);
  table.Record({"studio", "media", "third"}, Says("d"), kStart);
  EXPECT_EQ(table.workers(), 2u);
  table.Record(kShort, Says("a", 2), kStart);
  EXPECT_EQ(table.Workers(kShort, kStart).at(0).running, 2);
  table.Record(kShort, Says("a", 0, WorkerState::kStopped), kStart);
  table.Record(kLong, Says("c"), kStart);
  EXPECT_EQ(table.Workers(kLong, kStart).size(), 2u) << "there is room again";
}

}  // namespace
}  // namespace lanekeeper::gateway
