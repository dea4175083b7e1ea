#include "e2e/chaos/failover_verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lanekeeper::e2e {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(DecisionsOfTwoLeaders, LeadsThatFollowOnOneAnotherAreRight) {
  EXPECT_THAT(DecisionsOfTwoLeaders({{"a", 1}, {"a", 1}, {"b", 2}, {"a", 4}}), IsEmpty());
}

TEST(DecisionsOfTwoLeaders, DecisionOfAnEarlierLeadIsFound) {
  EXPECT_THAT(DecisionsOfTwoLeaders({{"a", 1}, {"b", 2}, {"a", 1}, {"b", 2}}),
              ElementsAre(HasSubstr("decision 3 of lead 1 by a comes after lead 2")));
}

TEST(DecisionsOfTwoLeaders, TwoInOneLeadAreFound) {
  EXPECT_THAT(DecisionsOfTwoLeaders({{"a", 1}, {"b", 1}}), ElementsAre(HasSubstr("another's")));
}

TEST(DecisionsOfTwoLeaders, DecisionThatNobodySignedIsFound) {
  EXPECT_THAT(DecisionsOfTwoLeaders({{"", 0}}), ElementsAre(HasSubstr("nobody")));
}

class WrongStepsTest : public testing::Test {
 protected:
  static SteadyTime At(int second) { return SteadyTime(seconds(1000 + second)); }
  const StepRules rules_{.window = seconds(10)};
};

TEST_F(WrongStepsTest, StepsThatTheJobsAskedForAreRight) {
  const std::vector<Need> needs = {{At(0), 0}, {At(10), 5}, {At(20), 0}};
  EXPECT_THAT(WrongSteps(needs, {{At(11), 0, 5}, {At(30), 5, 0}}, rules_), IsEmpty());
}

TEST_F(WrongStepsTest, StepDownWithinTheWindowIsFound) {
  const std::vector<Need> needs = {{At(0), 5}, {At(20), 0}};
  EXPECT_THAT(WrongSteps(needs, {{At(25), 5, 0}}, rules_),
              ElementsAre("from 5 to 0 workers, though 5 were needed within the window"));
}

TEST_F(WrongStepsTest, StepDownWhileMoreIsNeededIsFound) {
  EXPECT_THAT(WrongSteps({{At(0), 5}}, {{At(60), 5, 3}}, rules_), testing::SizeIs(1));
}

TEST_F(WrongStepsTest, StepUpBeyondTheNeedIsFound) {
  EXPECT_THAT(WrongSteps({{At(0), 5}}, {{At(60), 0, 6}}, rules_),
              ElementsAre("from 0 to 6 workers, though 5 were needed at most"));
}

TEST_F(WrongStepsTest, RequestThatWasUnderWayIsNotHeldAgainstAnybody) {
  const std::vector<Need> needs = {{At(0), 8}, {At(20), 0}};
  EXPECT_THAT(WrongSteps(needs, {{At(25), 0, 8}}, rules_), IsEmpty());
  EXPECT_THAT(WrongSteps(needs, {{At(29), 0, 8}}, rules_), testing::SizeIs(1));
}

}  // namespace
}  // namespace lanekeeper::e2e
