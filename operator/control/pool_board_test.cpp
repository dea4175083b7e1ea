#include "operator/control/pool_board.h"

#include "operator/control/reconciler_fixture.h"

namespace lanekeeper {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

TEST(BriefOf, SaysAllThatAGatewayHasToKnow) {
  WorkerPool pool;
  pool.key = {"studio", "media"};
  pool.paused = true;
  pool.routing = Routing::kLearned;
  pool.routes = {{"film", "long"}};
  pool.lanes.resize(2);
  pool.lanes[0].name = "short";
  pool.lanes[0].queue = {.stream = "LK_studio_media_short", .consumer = "workers", .depth_max = 7};
  pool.lanes[0].admission = {.wait_max = minutes(1), .caller_depth_max = 3};
  pool.lanes[1].name = "long";
  pool.lanes[1].lane_class = LaneClass::kLong;
  pool.lanes[1].queue = {.external = true, .stream = "S", .consumer = "C"};
  pool.lanes[1].jobs.timeout = minutes(90);
  pool.lanes[1].jobs.tracking = Tracking::kNone;
  EXPECT_EQ(BriefOf(pool), (PoolBrief{.pool_namespace = "studio",
                                      .pool = "media",
                                      .lanes = {{.name = "short",
                                                 .stream = "LK_studio_media_short",
                                                 .consumer = "workers",
                                                 .depth_max = 7,
                                                 .admission = {minutes(1), 3}},
                                                {.name = "long",
                                                 .lane_class = "Long",
                                                 .stream = "S",
                                                 .consumer = "C",
                                                 .external = true,
                                                 .tracking = Tracking::kNone,
                                                 .timeout = minutes(90)}},
                                      .routes = {{"film", "long"}},
                                      .routing = Routing::kLearned,
                                      .paused = true}));
}

TEST_F(ReconcilerTest, BoardIsToldOfThePoolOnceForEachGeneration) {
  Pass();
  EXPECT_EQ(board.briefs.at(pool.key), BriefOf(pool));
  probe.Set(Key("short"), Jobs(40));
  Wait(seconds(10));
  Pass();
  EXPECT_EQ(board.tells, 1);
  pool.routes = {{"film", "long"}};
  ++pool.generation;
  Pass();
  EXPECT_EQ(board.tells, 2);
  EXPECT_EQ(board.briefs.at(pool.key).routes.size(), 1U);
}

TEST_F(ReconcilerTest, BoardIsToldEveryStatusThatIsWritten) {
  Pass();
  EXPECT_EQ(board.statuses.at(pool.key), Status());
  EXPECT_EQ(board.status_tells, platform.status_writes);
  probe.Set(Key("short"), Jobs(40));
  Wait(seconds(10));
  Pass();
  EXPECT_EQ(board.statuses.at(pool.key), Status());
  EXPECT_EQ(board.status_tells, platform.status_writes);
}

TEST_F(ReconcilerTest, RestartedOperatorTellsTheStatusItFinds) {
  Pass();
  const PoolStatus before = Status();
  FakePoolBoard fresh_board;
  Reconciler restarted{platform, queues, probe, clock, &counts, &ledger, &fresh_board};
  probe.Set(Key("short"), Doubtful(scaling::Doubt::kNoSampleYet));
  restarted.Reconcile(pool);
  EXPECT_GE(fresh_board.status_tells, 1);
  EXPECT_EQ(fresh_board.briefs.at(pool.key), BriefOf(pool));
}

TEST_F(ReconcilerTest, BoardForgetsAPoolBeforeItsQueuesGo) {
  Pass();
  pool.deleting = true;
  pool.delete_queues = true;
  platform.workers_end_slowly = true;
  Pass();
  EXPECT_TRUE(board.forgotten.contains(pool.key));
  EXPECT_FALSE(board.briefs.contains(pool.key));
  EXPECT_TRUE(queues.removed.empty());
}

TEST_F(ReconcilerTest, BoardForgetsAPoolThatIsGoneThoughItWasNeverSeen) {
  reconciler.Forget({"studio", "other"});
  EXPECT_TRUE(board.forgotten.contains({"studio", "other"}));
}

TEST_F(ReconcilerTest, BoardKeepsTheBriefOfAPoolThatBecameInvalid) {
  Pass();
  Wait(seconds(5));
  reconciler.ReconcileInvalid(pool.key, {ErrorKind::kInvalid, "spec.lanes: is broken"});
  EXPECT_EQ(board.briefs.at(pool.key), BriefOf(pool));
  EXPECT_EQ(board.statuses.at(pool.key), Status());
}

}  // namespace
}  // namespace lanekeeper
