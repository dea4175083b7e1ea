#include "cli/lanes/pool_lanes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

namespace lanekeeper::lanes {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json Pool() {
  return json::parse(R"({
    "namespace":"studio","pool":"media","paused":false,"lanes":[{"name":"short"},{"name":"gpu"}],
    "status":{"lanes":[{"name":"short","waiting":12,"running":3,"parked":1,"deadLetters":2,
      "oldestWaitSeconds":130,"predictedWaitSeconds":45,
      "workers":{"desired":13,"ready":12,"busy":3,"idle":9,"draining":0,"unschedulable":0},
      "decision":{"workers":13,"reason":"BacklogGrew","time":"2026-11-26T02:31:40Z",
                  "message":"Scaled from 0 to 13 workers.","terms":[]}}]}})");
}

std::string Table(const json& pool) {
  std::ostringstream out;
  cli::PrintItems(out, cli::Format::kTable, LanesOf(pool), LaneColumns(), "No lanes.");
  return out.str();
}

TEST(PoolLanes, EveryLaneOfThePoolIsALineAlsoOneWithoutStatus) {
  EXPECT_EQ(
      Table(Pool()),
      "LANE                WAITING  RUNNING  PARKED  WORKERS  DEAD  WAIT  OLDEST  LAST DECISION\n"
      "studio/media/short  12       3        1       12/13    2     45s   2m      Scaled from 0 to "
      "13 workers.\n"
      "studio/media/gpu    -        -        -       -/-      -     -     -       -\n");
}

TEST(PoolLanes, WhereNoJobWaitsNoneHasWaited) {
  json pool = Pool();
  pool["status"]["lanes"][0]["waiting"] = 0;
  pool["status"]["lanes"][0]["oldestWaitSeconds"] = 0;
  EXPECT_THAT(Table(pool), HasSubstr("45s   -       Scaled"));
}

TEST(PoolLanes, APauseIsShownInPlaceOfTheDecisionThatItOverrules) {
  json pool = Pool();
  pool["lanes"][0]["pause"] = {{"until", "2026-11-26T03:00:00Z"}};
  EXPECT_THAT(Table(pool), HasSubstr("Paused until 2026-11-26T03:00:00Z."));
  EXPECT_EQ(LanesOf(pool)[0]["paused"], true);
  pool = Pool();
  pool["paused"] = true;
  EXPECT_THAT(Table(pool), HasSubstr("Paused."));
}

TEST(PoolLanes, RowsAreThoseOfTheLiveTable) {
  const auto rows = RowsOf(Pool());
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].key, (LaneKey{"studio", "media", "short"}));
  EXPECT_EQ(rows[0].status.waiting, 12);
  EXPECT_EQ(rows[0].status.workers_desired, 13);
  EXPECT_EQ(rows[0].status.decision_message, "Scaled from 0 to 13 workers.");
  EXPECT_EQ(rows[1].status, LaneStatus{});
}

TEST(PoolLanes, APoolOfWhichTheOperatorSaidNothingHasItsLanes) {
  json pool = Pool();
  pool.erase("status");
  EXPECT_EQ(LanesOf(pool).size(), 2u);
  EXPECT_EQ(RowsOf(pool).size(), 2u);
}

}  // namespace
}  // namespace lanekeeper::lanes
