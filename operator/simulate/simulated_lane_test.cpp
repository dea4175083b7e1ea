#include "operator/simulate/simulated_lane.h"

#include <gtest/gtest.h>

#include <random>

namespace lanekeeper::simulate {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(SimulatedLaneTest, AJobWaitsForAWorkerToStart) {
  SimulatedLane lane({1, seconds(30)}, {{seconds(5), seconds(10)}}, 0);
  lane.AdvanceTo(seconds(10));
  EXPECT_EQ(lane.waiting(), 1);
  lane.Raise(1);
  EXPECT_EQ(lane.starting(), 1);
  lane.AdvanceTo(seconds(40));
  EXPECT_EQ(lane.running(), 1);
  EXPECT_EQ(lane.busy(), 1);
  EXPECT_EQ(lane.TakeStarted(), 1);
  EXPECT_EQ(lane.TakeStarted(), 0);
  lane.AdvanceTo(seconds(50));
  EXPECT_TRUE(lane.done());
  EXPECT_EQ(lane.waits().at(0), seconds(35));
  EXPECT_EQ(lane.busy(), 0);
  EXPECT_EQ(lane.ReleaseIdle(1), 1);
  lane.AdvanceTo(seconds(100));
  EXPECT_DOUBLE_EQ(lane.worker_seconds(), 40) << "from asked for to gone, cold start included";
  EXPECT_EQ(lane.cold_starts(), 1);
}

TEST(SimulatedLaneTest, SlotsRunSideBySide) {
  SimulatedLane lane({2, seconds(30)},
                     {{seconds(1), seconds(4)}, {seconds(1), seconds(4)}, {seconds(1), seconds(4)}},
                     1);
  EXPECT_EQ(lane.free_slots(), 2);
  lane.AdvanceTo(seconds(2));
  EXPECT_EQ(lane.running(), 2);
  EXPECT_EQ(lane.waiting(), 1);
  EXPECT_EQ(lane.free_slots(), 0);
  lane.AdvanceTo(seconds(9));
  EXPECT_EQ(lane.waits().at(2), seconds(4));
  EXPECT_EQ(lane.served()[ServiceBucketOf(seconds(4))], 3U);
}

TEST(SimulatedLaneTest, ReleaseTouchesNoJob) {
  SimulatedLane lane({1, seconds(30)}, {{seconds(1), seconds(100)}}, 2);
  lane.AdvanceTo(seconds(2));
  lane.Raise(1);
  EXPECT_EQ(lane.ReleaseIdle(3), 2) << "the one that starts and the idle one, not the busy one";
  EXPECT_EQ(lane.asked(), 1);
  lane.AdvanceTo(seconds(200));
  EXPECT_EQ(lane.kills(), 0);
  EXPECT_TRUE(lane.done());
}

TEST(SimulatedLaneTest, ACutJobStartsAgainFromItsBeginning) {
  SimulatedLane lane({1, seconds(30)}, {{seconds(0), seconds(100)}}, 1);
  lane.AdvanceTo(seconds(50));
  lane.Cut(1, Duration{0});
  EXPECT_EQ(lane.kills(), 1);
  EXPECT_EQ(lane.waiting(), 1);
  lane.Raise(1);
  lane.AdvanceTo(seconds(179));
  EXPECT_FALSE(lane.done());
  lane.AdvanceTo(seconds(180));
  EXPECT_TRUE(lane.done());
  EXPECT_EQ(lane.runs(), 2);
  EXPECT_EQ(lane.waits().at(0), Duration{0}) << "the wait is that before its first start";
}

TEST(SimulatedLaneTest, ACutWorkerEndsItsJobWithinTheGrace) {
  SimulatedLane lane({1, seconds(30)}, {{seconds(0), seconds(20)}, {seconds(0), seconds(90)}}, 2);
  lane.AdvanceTo(seconds(1));
  lane.Cut(2, seconds(30));
  EXPECT_EQ(lane.asked(), 0);
  EXPECT_EQ(lane.existing(), 2);
  lane.AdvanceTo(seconds(25));
  EXPECT_EQ(lane.existing(), 1);
  lane.AdvanceTo(seconds(60));
  EXPECT_EQ(lane.existing(), 0);
  EXPECT_EQ(lane.kills(), 1);
  EXPECT_DOUBLE_EQ(lane.worker_seconds(), 20 + 31);
}

TEST(SimulatedLaneTest, CutTakesTheYoungestWhoeverIsBusy) {
  SimulatedLane lane({1, seconds(5)}, {{seconds(7), seconds(50)}, {seconds(7), seconds(50)}}, 1);
  lane.Raise(1);
  lane.AdvanceTo(seconds(8));
  lane.Cut(1, Duration{0});
  EXPECT_EQ(lane.kills(), 1);
  EXPECT_EQ(lane.running(), 1);
}

// Every job runs to its end exactly once, whatever is done to the workers.
TEST(SimulatedLaneTest, ConservesJobs) {
  std::mt19937 random(9);
  const auto any = [&](int max) { return std::uniform_int_distribution<int>(0, max)(random); };
  for (int round = 0; round < 300; ++round) {
    std::vector<LaneJob> jobs;
    Duration arrival{0};
    for (int i = any(60); i > 0; --i) {
      arrival += milliseconds(any(3000));
      jobs.push_back({arrival, milliseconds(any(20000))});
    }
    const auto count = static_cast<std::int64_t>(jobs.size());
    SimulatedLane lane({1 + any(3), milliseconds(any(9000))}, jobs, any(3));
    Duration now{0};
    for (int step = 0; step < 200; ++step) {
      lane.AdvanceTo(now += milliseconds(any(2000)));
      const int action = any(3);
      if (action == 0 && lane.asked() < 50) lane.Raise(any(4));
      if (action == 1) {
        const std::int64_t kills = lane.kills();
        lane.ReleaseIdle(any(4));
        ASSERT_EQ(lane.kills(), kills);
      }
      if (action == 2) lane.Cut(std::min(any(3), lane.asked()), milliseconds(any(9000)));
      ASSERT_EQ(lane.waiting() + lane.running() + count - lane.unfinished(), lane.arrivals());
      ASSERT_GE(lane.busy(), 0);
      ASSERT_GE(lane.free_slots(), 0);
      ASSERT_FALSE(lane.waiting() > 0 && lane.free_slots() > 0) << "a slot stands idle";
    }
    lane.Raise(1);
    lane.AdvanceTo(now + std::chrono::hours(1));
    ASSERT_TRUE(lane.done());
    ASSERT_EQ(lane.runs(), count + lane.kills());
  }
}

}  // namespace
}  // namespace lanekeeper::simulate
