#include "worker-runtime/gateway/routing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>
#include <string>

namespace lanekeeper::gateway {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

PoolBrief Media(Routing routing = Routing::kRoutes) {
  return {.pool_namespace = "studio",
          .pool = "media",
          .lanes = {{.name = "short", .timeout = seconds(30)},
                    {.name = "gpu", .lane_class = "Gpu", .timeout = hours(12)},
                    {.name = "middle", .timeout = seconds(600)},
                    {.name = "long", .lane_class = "Long", .timeout = hours(6)}},
          .routes = {{.type = "upscale", .lane = "gpu"},
                     {.type = "upscale", .lane = "short"},
                     {.type = "", .lane = "middle"}},
          .routing = routing};
}

struct RoutingCase {
  const char* name;  // The claim this row proves.
  Routing routing;
  std::string lane;
  std::string type;
  std::optional<milliseconds> learned_p95;
  std::string expected;
};
void PrintTo(const RoutingCase& row, std::ostream* out) { *out << row.name; }

class DecideRouteTest : public testing::TestWithParam<RoutingCase> {};

TEST_P(DecideRouteTest, ReturnsExpectedLane) {
  const RoutingCase& row = GetParam();
  const PoolBrief pool = Media(row.routing);
  const auto lane = DecideRoute(pool, row.lane, row.type, row.learned_p95);
  ASSERT_TRUE(lane) << lane.error().detail;
  EXPECT_EQ((*lane)->name, row.expected);
}

constexpr auto kRoutes = Routing::kRoutes;
constexpr auto kLearned = Routing::kLearned;

INSTANTIATE_TEST_SUITE_P(
    Rows, DecideRouteTest,
    testing::Values(
        RoutingCase{"ANamedLaneIsTaken", kRoutes, "long", "upscale", {}, "long"},
        RoutingCase{"TheFirstRouteOfTheTypeCounts", kRoutes, "", "upscale", {}, "gpu"},
        RoutingCase{"NoTypeHasARouteToo", kRoutes, "", "", {}, "middle"},
        RoutingCase{"OtherTypesGoToTheFirstLane", kRoutes, "", "thumbnail", {}, "short"},
        RoutingCase{"ARouteIsOfTheWholeWord", kRoutes, "", "upscale2", {}, "short"},
        RoutingCase{"WhatWasLearnedIsNotAskedForByRoutes", kRoutes, "", "x", hours(1), "short"},
        RoutingCase{"NothingLearnedIsTheFirstLane", kLearned, "", "x", {}, "short"},
        RoutingCase{"AShortTypeStaysInTheShortLane", kLearned, "", "x", seconds(24), "short"},
        RoutingCase{"ATypeThatNearlyTimesOutGoesFurther", kLearned, "", "x", milliseconds(24'001),
                    "middle"},
        RoutingCase{"AGpuLaneIsNeverLearned", kLearned, "", "x", hours(4), "long"},
        RoutingCase{"TheLastLaneTakesWhatIsLongerThanAll", kLearned, "", "x", hours(100), "long"},
        RoutingCase{"ARouteGoesBeforeWhatWasLearned", kLearned, "", "upscale", hours(1), "gpu"}),
    [](const auto& test) { return test.param.name; });

TEST(RoutingTest, AnUnknownLaneIsRefusedWithTheOnesThereAre) {
  const PoolBrief pool = Media();
  const auto lane = DecideRoute(pool, "shrot", "upscale", {});
  ASSERT_FALSE(lane);
  EXPECT_EQ(lane.error().type, ProblemType::kLaneNotFound);
  EXPECT_EQ(lane.error().detail,
            "lane \"shrot\" is no lane of pool studio/media. It has: short, gpu, middle, long.");
}

TEST(RoutingTest, AnEndlessNameIsNotRepeated) {
  const PoolBrief pool = Media();
  EXPECT_LT(DecideRoute(pool, std::string(100'000, 'x'), "", {}).error().detail.size(), 200U);
}

TEST(RoutingTest, ARouteToALaneThatIsGoneIsRefused) {
  PoolBrief pool = Media();
  pool.routes = {{.type = "x", .lane = "gone"}};
  const auto lane = DecideRoute(pool, "", "x", {});
  ASSERT_FALSE(lane);
  EXPECT_EQ(lane.error().type, ProblemType::kLaneNotFound);
  EXPECT_THAT(lane.error().detail, HasSubstr("route"));
}

TEST(RoutingTest, APoolOfGpuLanesOnlyHasNothingToLearn) {
  PoolBrief pool = Media(kLearned);
  pool.lanes = {{.name = "gpu", .lane_class = "Gpu"}};
  pool.routes.clear();
  EXPECT_EQ((*DecideRoute(pool, "", "x", hours(1)))->name, "gpu");
}

TEST(RoutingTest, APoolWithoutLanesTakesNothing) {
  EXPECT_EQ(DecideRoute({}, "", "x", {}).error().type, ProblemType::kLaneNotFound);
}

}  // namespace
}  // namespace lanekeeper::gateway
