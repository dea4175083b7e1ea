#include "e2e/chaos/gateway_verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lanekeeper::e2e {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(GatewayVerdictTest, EveryAnswerWithItsJobHolds) {
  const auto verdict = DecideGatewayVerdict({.answers = {{"k", "1"}, {"k", "1"}, {"p", "2"}},
                                             .keyed = {"k"},
                                             .plain = {"p", "lost"},
                                             .jobs = {{"k", "1"}, {"k", "1"}, {"p", "2"}}});
  EXPECT_EQ(verdict.accepted, 2);
  EXPECT_EQ(verdict.unanswered_jobs, 0);
  EXPECT_THAT(verdict.accepted_lost, IsEmpty());
  EXPECT_THAT(verdict.keys_with_two_jobs, IsEmpty());
  EXPECT_THAT(verdict.keys_without_a_job, IsEmpty());
  EXPECT_THAT(verdict.plain_with_two_jobs, IsEmpty());
  EXPECT_THAT(verdict.jobs_of_nobody, IsEmpty());
}

TEST(GatewayVerdictTest, AnIdWithoutAJobIsLost) {
  const auto verdict =
      DecideGatewayVerdict({.answers = {{"p", "2"}}, .keyed = {}, .plain = {"p"}, .jobs = {}});
  EXPECT_THAT(verdict.accepted_lost, ElementsAre("2"));
}

TEST(GatewayVerdictTest, AKeyHasOneJobWhetherOrNotSomebodyWasToldOfTheOther) {
  const auto verdict =
      DecideGatewayVerdict({.answers = {{"a", "1"}, {"a", "2"}, {"b", "3"}},
                            .keyed = {"a", "b", "c"},
                            .plain = {},
                            .jobs = {{"a", "1"}, {"a", "2"}, {"b", "3"}, {"b", "4"}}});
  EXPECT_THAT(verdict.keys_with_two_jobs, ElementsAre("a", "b"));
  EXPECT_THAT(verdict.keys_without_a_job, ElementsAre("c"));
}

TEST(GatewayVerdictTest, APlainSubmitWithoutItsAnswerMayHaveOneJob) {
  const auto verdict =
      DecideGatewayVerdict({.answers = {{"p", "1"}},
                            .keyed = {},
                            .plain = {"p", "q", "r"},
                            .jobs = {{"p", "1"}, {"q", "2"}, {"r", "3"}, {"r", "4"}}});
  EXPECT_EQ(verdict.unanswered_jobs, 3);
  EXPECT_THAT(verdict.plain_with_two_jobs, ElementsAre("r"));
}

TEST(GatewayVerdictTest, AJobOfNobodyIsFound) {
  const auto verdict =
      DecideGatewayVerdict({.answers = {}, .keyed = {}, .plain = {}, .jobs = {{"x", "9"}}});
  EXPECT_THAT(verdict.jobs_of_nobody, ElementsAre("9"));
}

}  // namespace
}  // namespace lanekeeper::e2e
