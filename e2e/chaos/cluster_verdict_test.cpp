#include "e2e/chaos/cluster_verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lanekeeper::e2e {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr milliseconds kSlack{1000};

SteadyTime At(double after_seconds) {
  return SteadyTime(seconds(1000)) + milliseconds(static_cast<std::int64_t>(after_seconds * 1000));
}

const std::vector<BusySpan> kTwoBusy = {{"a", At(0), At(20)}, {"b", At(0), At(12)}};

TEST(StepsBelowBusy, FewerWorkersThanAreBusyIsWrong) {
  EXPECT_THAT(StepsBelowBusy({{At(10), 3, 1}}, kTwoBusy, kSlack),
              ElementsAre("from 3 to 1 workers, though 2 were busy"));
}

TEST(StepsBelowBusy, AsManyAsAreBusyIsRight) {
  EXPECT_THAT(StepsBelowBusy({{At(10), 3, 2}, {At(15), 2, 1}}, kTwoBusy, kSlack), IsEmpty());
}

TEST(StepsBelowBusy, UpIsNeverBelow) {
  EXPECT_THAT(StepsBelowBusy({{At(10), 0, 1}}, kTwoBusy, kSlack), IsEmpty());
}

TEST(StepsBelowBusy, WhatCouldNotBeKnownYetIsNoFault) {
  EXPECT_THAT(StepsBelowBusy({{At(0.5), 2, 0}}, kTwoBusy, kSlack), IsEmpty());
}

TEST(StepsBelowBusy, AWorkerBusyTwiceIsOneWorker) {
  const std::vector<BusySpan> spans = {{"a", At(0), At(20)}, {"a", At(1), At(19)}};
  EXPECT_THAT(StepsBelowBusy({{At(10), 2, 1}}, spans, kSlack), IsEmpty());
}

TEST(EndedWhileBusy, AWorkerWithAJobIsNamed) {
  EXPECT_THAT(EndedWhileBusy({{"a", At(10)}, {"b", At(15)}, {"c", At(10)}}, kTwoBusy, kSlack),
              ElementsAre("a was told to end with jobs in hand"));
}

TEST(JobSpans, ReachFromTheFirstAnswerToTheLastRun) {
  EXPECT_THAT(JobSpans({{"k", "a", At(2)}, {"k", "a", At(1)}, {"l", "b", At(3)}},
                       {{{"k", "a"}, At(4)}, {{"k", "a"}, At(9)}, {{"m", "c"}, At(5)}}),
              ElementsAre(JobSpan{"a", At(1), At(9)}, JobSpan{"b", At(3), At(3)}));
}

// A job counted as waiting until its key was handed in again.
TEST(JobSpans, ASecondAnswerLongAfterTheJobIsNotItsEnd) {
  EXPECT_THAT(JobSpans({{"k", "a", At(30)}, {"k", "a", At(1)}}, {{{"k", "a"}, At(2)}}),
              ElementsAre(JobSpan{"a", At(1), At(2)}));
}

TEST(ZeroWhileJobsWait, AJobLeftAloneIsNamed) {
  const std::vector<JobSpan> jobs = {{"j1", At(0), At(5)}, {"j2", At(1), At(30)}};
  EXPECT_THAT(ZeroWhileJobsWait({{At(10), 2, 0}}, jobs, kSlack),
              ElementsAre("from 2 to 0 workers, though 1 jobs waited, such as j2, accepted "
                          "9000 ms before and done 20000 ms after"));
}

TEST(ZeroWhileJobsWait, AJobThatJustCameIsNoFault) {
  EXPECT_THAT(ZeroWhileJobsWait({{At(10), 1, 0}}, {{"j", At(9.5), At(30)}}, kSlack), IsEmpty());
}

TEST(ZeroWhileJobsWait, OneWorkerIsNotZero) {
  EXPECT_THAT(ZeroWhileJobsWait({{At(10), 2, 1}}, {{"j", At(0), At(30)}}, kSlack), IsEmpty());
}

TEST(StepsWithin, TellsEveryStepOfThatTimeAndNoOther) {
  EXPECT_THAT(StepsWithin({{At(1), 0, 1}, {At(5), 1, 2}, {At(9), 2, 0}}, At(4), At(9)),
              ElementsAre("from 1 to 2 workers after 1000 ms"));
}

TEST(AcceptedWithin, TheFirstAnswerCounts) {
  const std::vector<GatewayAnswer> answers = {{"s1", "again", At(6)},
                                              {"s1", "again", At(1)},
                                              {"s2", "new", At(6)},
                                              {"s3", "later", At(11)}};
  EXPECT_THAT(AcceptedWithin(answers, At(5), At(10)), ElementsAre("new"));
}

TEST(DishonestRefusals, OnlyA503ThatSaysWhenIsHonest) {
  EXPECT_THAT(DishonestRefusals({{503, true}, {503, false}, {0, false}, {404, true}}),
              ElementsAre("503 without Retry-After", "no answer", "404"));
}

}  // namespace
}  // namespace lanekeeper::e2e
