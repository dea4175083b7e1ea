#include "worker-runtime/gateway/admission.h"

#include <gtest/gtest.h>

#include <limits>
#include <ostream>

namespace lanekeeper::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max() / 2;

struct AdmissionCase {
  const char* name;  // The claim this row proves.
  LaneBrief lane;
  LaneGauge gauge;
  std::int64_t caller_waiting;
  Admission expected;
};
void PrintTo(const AdmissionCase& row, std::ostream* out) { *out << row.name; }

class DecideAdmissionTest : public testing::TestWithParam<AdmissionCase> {};

TEST_P(DecideAdmissionTest, ReturnsExpectedAdmission) {
  const auto& [name, lane, gauge, caller_waiting, expected] = GetParam();
  EXPECT_EQ(DecideAdmission(lane, gauge, caller_waiting), expected);
}

LaneBrief Lane(std::int64_t depth_max, AdmissionPolicy admission = {}) {
  return {.name = "short", .depth_max = depth_max, .admission = admission};
}
LaneBrief External(std::int64_t depth_max) {
  LaneBrief lane = Lane(depth_max);
  lane.external = true;
  return lane;
}
const LaneBrief kHundred = Lane(100);
const LaneBrief kOneMinute = Lane(100, {.wait_max = milliseconds(60'000)});
const LaneBrief kThreeEach = Lane(100, {.caller_depth_max = 3});

Busy Full(int after) { return {BusyCause::kLaneFull, seconds(after)}; }
Busy TooLong(int after) { return {BusyCause::kWaitTooLong, seconds(after)}; }
Busy Quota(int after) { return {BusyCause::kCallerQuota, seconds(after)}; }

INSTANTIATE_TEST_SUITE_P(
    Rows, DecideAdmissionTest,
    testing::Values(
        //   name                                  lane, {depth, waiting, drain, prediction}, caller
        AdmissionCase{"AnEmptyLaneTakesAJob", kHundred, {}, 0, Accept{}},
        AdmissionCase{"TheLastPlaceIsGiven", kHundred, {99, 90, 0, {}}, 0, Accept{.position = 90}},
        AdmissionCase{"AFullLaneIsBusy", kHundred, {100, 90, 0, {}}, 0, Full(10)},
        AdmissionCase{"RunningJobsFillALaneToo", kHundred, {100, 0, 0, {}}, 0, Full(10)},
        AdmissionCase{
            "AFullLaneIsTriedAgainWhenAJobHasLeft", kHundred, {100, 90, 0.25, {}}, 0, Full(4)},
        AdmissionCase{"NeverBeforeASecond", kHundred, {100, 90, 5000, {}}, 0, Full(1)},
        AdmissionCase{"OverfullTakesLonger", kHundred, {149, 90, 10, {}}, 0, Full(5)},
        AdmissionCase{"NeverAfterFiveMinutes", kHundred, {100, 90, 0.0001, {}}, 0, Full(300)},
        AdmissionCase{
            "AHugeDepthDoesNotOverflow", kHundred, {kHuge, kHuge, 0.0001, {}}, 0, Full(300)},
        AdmissionCase{"AnExternalLaneHasItsOwnLimit",
                      External(100),
                      {500, 400, 0, {}},
                      0,
                      Accept{.position = 400}},

        AdmissionCase{"TheWaitFollowsFromTheDrain",
                      kHundred,
                      {60, 50, 10, {}},
                      0,
                      Accept{.position = 50, .eta = seconds(5)}},
        AdmissionCase{"APredictionIsBetterThanThat",
                      kHundred,
                      {60, 50, 10, milliseconds(7200)},
                      0,
                      Accept{.position = 50, .eta = seconds(8)}},
        AdmissionCase{"WithoutADrainNobodyKnowsTheWait",
                      kOneMinute,
                      {60, 50, 0, {}},
                      0,
                      Accept{.position = 50}},
        AdmissionCase{"WaitsOfExactlyTheLimitAreTaken",
                      kOneMinute,
                      {61, 60, 1, {}},
                      0,
                      Accept{.position = 60, .eta = seconds(60)}},
        AdmissionCase{"LongerOnesAreNot", kOneMinute, {71, 70, 1, {}}, 0, TooLong(10)},
        AdmissionCase{
            "ALittleLongerIsASecond", kOneMinute, {1, 1, 1, milliseconds(60'001)}, 0, TooLong(1)},
        AdmissionCase{"PredictedDaysAreFiveMinutes",
                      kOneMinute,
                      {1, 1, 0, milliseconds(kHuge / 1'000'000)},
                      0,
                      TooLong(300)},
        AdmissionCase{"AHugeWaitDoesNotOverflow",
                      Lane(kHuge, {.wait_max = seconds(1)}),
                      {kHuge - 1, kHuge - 1, 0.001, {}},
                      0,
                      TooLong(300)},
        AdmissionCase{"FullComesBeforeTooLong", kOneMinute, {100, 90, 1, {}}, 0, Full(1)},

        AdmissionCase{
            "ACallerBelowItsQuotaIsTaken", kThreeEach, {10, 10, 0, {}}, 2, Accept{.position = 10}},
        AdmissionCase{"AtItsQuotaItIsBusy", kThreeEach, {10, 10, 0, {}}, 3, Quota(10)},
        AdmissionCase{"ItsOwnJobsAreAShareOfTheDrain", kThreeEach, {30, 30, 1, {}}, 3, Quota(10)},
        AdmissionCase{"AloneItHasTheWholeDrain", kThreeEach, {3, 3, 0.5, {}}, 3, Quota(2)},
        AdmissionCase{"MoreThanWaitIsNotMoreThanAll", kThreeEach, {3, 1, 0.5, {}}, 3, Quota(2)},
        AdmissionCase{
            "WithoutAQuotaNobodyCounts", kHundred, {10, 10, 0, {}}, 90, Accept{.position = 10}}),
    [](const auto& test) { return test.param.name; });

TEST(BusyWhenFullTest, TheStreamKnowsBetterThanTheGauge) {
  EXPECT_EQ(BusyWhenFull(kHundred, {}), Full(10));
  EXPECT_EQ(BusyWhenFull(kHundred, {.depth = 90, .drained_per_second = 0.5}), Full(2));
  EXPECT_EQ(BusyWhenFull(kHundred, {.depth = 110, .drained_per_second = 1}), Full(11));
  EXPECT_EQ(BusyWhenFull(External(100), {.depth = 500, .drained_per_second = 0.5}), Full(2));
}

}  // namespace
}  // namespace lanekeeper::gateway
