#include "e2e/chaos/scaling_verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lanekeeper::e2e {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

WallTime At(int seconds) { return WallTime(std::chrono::seconds(seconds)); }

// Ran on "pod-a" from second 10 to second 20.
JobRecord Done() {
  JobRecord record;
  record.state = JobState::kDone;
  record.runs = 1;
  record.worker = "pod-a";
  record.started_at = At(10);
  record.ended_at = At(20);
  return record;
}

std::vector<std::string> Judge(const JobRecord& record, const PodEnds& ends = {},
                               EndOfPods allowed = EndOfPods::kOnlyIdle) {
  return FindInterruptions({{"job", record}}, ends, allowed);
}

TEST(ScalingVerdictTest, JobThatRanOnceIsNotInterrupted) { EXPECT_THAT(Judge(Done()), IsEmpty()); }

TEST(ScalingVerdictTest, JobStartedTwiceIsInterrupted) {
  JobRecord record = Done();
  record.runs = 2;
  EXPECT_THAT(Judge(record), ElementsAre(HasSubstr("2 starts")));
}

TEST(ScalingVerdictTest, InterruptionCrashAndFailureEachCount) {
  for (int JobRecord::*count :
       {&JobRecord::interruptions, &JobRecord::crashes, &JobRecord::attempts}) {
    JobRecord record = Done();
    record.*count = 1;
    EXPECT_EQ(Judge(record).size(), 1U);
  }
}

TEST(ScalingVerdictTest, EarlierLifeCounts) {
  JobRecord record = Done();
  record.history.push_back({});
  EXPECT_EQ(Judge(record).size(), 1U);
}

TEST(ScalingVerdictTest, UnfinishedJobCounts) {
  JobRecord record = Done();
  record.state = JobState::kWaiting;
  EXPECT_THAT(Judge(record), ElementsAre(HasSubstr("is waiting")));
  EXPECT_THAT(FindInterruptions({{"job", std::nullopt}}, {}, EndOfPods::kWithinGrace),
              ElementsAre(HasSubstr("never started")));
}

TEST(ScalingVerdictTest, BusyPodMustNotBeToldToEndByAScaleIn) {
  EXPECT_THAT(Judge(Done(), {{"pod-a", At(15)}}), ElementsAre(HasSubstr("told to end")));
  EXPECT_THAT(Judge(Done(), {{"pod-a", At(20)}}), IsEmpty());
  EXPECT_THAT(Judge(Done(), {{"pod-a", At(9)}}), IsEmpty());
  EXPECT_THAT(Judge(Done(), {{"pod-b", At(15)}}), IsEmpty());
}

TEST(ScalingVerdictTest, BusyPodMayBeToldToEndByARolloutIfItIsLeftToFinish) {
  EXPECT_THAT(Judge(Done(), {{"pod-a", At(15)}}, EndOfPods::kWithinGrace), IsEmpty());
}

}  // namespace
}  // namespace lanekeeper::e2e
