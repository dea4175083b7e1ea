#include "operator/kubernetes/lease_election.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "operator/kubernetes/lease_candidate.h"
#include "operator/kubernetes/lease_server.h"

namespace lanekeeper::kubernetes {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class LeaseElectionTest : public testing::Test {
 protected:
  // Both side by side.
  void Run(milliseconds time) {
    for (milliseconds passed(0); passed < time; passed += milliseconds(50)) {
      a_.Step();
      b_.Step();
      EXPECT_FALSE(a_.leads() && b_.leads());
      clock_.Advance(milliseconds(50));
    }
  }
  LeaseServer server_;
  FakeClock clock_;
  Candidate a_{server_, clock_, "a"};
  Candidate b_{server_, clock_, "b"};
};

TEST_F(LeaseElectionTest, LeaseWithoutAHolderIsTakenAtOnce) {
  server_.Put("", 1, 4);
  a_.Step();
  EXPECT_TRUE(a_.leads());
  EXPECT_EQ(a_.epoch(), 5);
  EXPECT_EQ(server_.holder(), "a");
}

TEST_F(LeaseElectionTest, LeaseAsAChartMakesItIsTakenAtOnce) {
  server_.Put("", 0, 0);
  a_.Step();
  EXPECT_EQ(a_.epoch(), 1);
  EXPECT_EQ(server_.lease()["metadata"]["labels"]["by"], "somebody");
}

TEST_F(LeaseElectionTest, MissingLeaseIsMadeAfterAWholeDuration) {
  a_.Run(milliseconds(5900));
  EXPECT_FALSE(a_.leads());
  EXPECT_EQ(server_.writes(), 0);
  a_.Run(milliseconds(200));
  EXPECT_TRUE(a_.leads());
}

TEST_F(LeaseElectionTest, OneLeadsAndTheOtherStandsBy) {
  server_.Put("", 1, 0);
  Run(seconds(60));
  EXPECT_TRUE(a_.leads());
  EXPECT_FALSE(b_.leads());
  EXPECT_EQ(a_.epoch(), 1);
  EXPECT_EQ(b_.election().holder(), "a");
  // One write a second, and none by the standby.
  EXPECT_LE(server_.writes(), 62);
}

TEST_F(LeaseElectionTest, DeadLeadersLeaseIsTakenWhenItHasRunOut) {
  server_.Put("", 1, 0);
  Run(seconds(3));
  ASSERT_TRUE(a_.leads());
  b_.Run(milliseconds(4500));  // a is no more.
  EXPECT_FALSE(b_.leads());
  b_.Run(milliseconds(2000));
  EXPECT_TRUE(b_.leads());
  EXPECT_EQ(b_.epoch(), 2);
}

TEST_F(LeaseElectionTest, LeaderStopsBeforeAnybodyElseCanLead) {
  server_.Put("", 1, 0);
  Run(seconds(3));
  ASSERT_TRUE(a_.leads());
  const MonotonicTime requests_end = a_.election().lead()->ends;
  // a is cut off; it still has a clock.
  MonotonicTime stopped{};
  MonotonicTime taken{};
  for (int n = 0; n < 200 && taken == MonotonicTime{}; ++n) {
    clock_.Advance(milliseconds(50));
    if (!a_.leads() && stopped == MonotonicTime{}) stopped = clock_.Now();
    b_.Step();
    if (b_.leads()) taken = clock_.Now();
  }
  ASSERT_NE(taken, MonotonicTime{});
  EXPECT_LT(stopped, taken);
  EXPECT_LT(requests_end, taken);
  EXPECT_GE(taken - stopped, milliseconds(1500));
}

TEST_F(LeaseElectionTest, ReleasedLeaseIsTakenAtTheNextLook) {
  server_.Put("", 1, 0);
  Run(seconds(3));
  const auto release = a_.election().Release(clock_.WallNow());
  ASSERT_TRUE(release);
  EXPECT_FALSE(a_.election().lead());
  EXPECT_EQ(server_.Exchange(*release, {})->status, 200);
  EXPECT_EQ(server_.holder(), "");
  b_.Run(milliseconds(300));
  EXPECT_TRUE(b_.leads());
  EXPECT_EQ(b_.epoch(), 2);
  EXPECT_FALSE(a_.election().Release(clock_.WallNow()));  // There is nothing to hand back.
}

TEST_F(LeaseElectionTest, ClocksOfDifferentMachinesAreNotCompared) {
  a_.wall_ahead = std::chrono::hours(-5);  // Its renewals look long expired to b,
  b_.wall_ahead = std::chrono::hours(5);
  server_.Put("", 1, 0);
  Run(seconds(30));
  EXPECT_TRUE(a_.leads());
  EXPECT_EQ(a_.epoch(), 1);
  b_.Run(seconds(7));  // and once a is dead its lease looks fresh for hours to nobody.
  EXPECT_TRUE(b_.leads());
}

TEST_F(LeaseElectionTest, StandbyThatComesLateWaitsAWholeDuration) {
  server_.Put("dead", 6, 7);
  clock_.Advance(std::chrono::hours(1));
  a_.Run(milliseconds(5900));
  EXPECT_FALSE(a_.leads());
  a_.Run(milliseconds(200));
  EXPECT_TRUE(a_.leads());
  EXPECT_EQ(a_.epoch(), 8);
}

TEST_F(LeaseElectionTest, HoldersOwnDurationCounts) {
  server_.Put("slow", 30, 1);
  a_.Run(seconds(29));
  EXPECT_FALSE(a_.leads());
  a_.Run(milliseconds(1200));
  EXPECT_TRUE(a_.leads());
}

TEST_F(LeaseElectionTest, DurationNobodyCanMeanIsOurs) {
  for (const int wrong : {-5, 0, 100'000'000}) {
    server_.Put("typo", wrong, 1);
    Candidate other(server_, clock_, "other" + std::to_string(wrong));
    other.Run(milliseconds(6200));
    EXPECT_TRUE(other.leads()) << wrong;
  }
}

TEST_F(LeaseElectionTest, StolenLeaseEndsTheLead) {
  server_.Put("", 1, 0);
  a_.Run(seconds(2));
  ASSERT_TRUE(a_.leads());
  server_.Put("thief", 6, 2);
  a_.Run(milliseconds(1200));
  EXPECT_FALSE(a_.leads());
  EXPECT_EQ(a_.election().lost_because(), "thief has taken it");
  EXPECT_EQ(server_.holder(), "thief");
}

TEST_F(LeaseElectionTest, LeaderMakesADeletedLeaseAgainAndItsEpochGoesOn) {
  server_.Put("", 1, 8);
  Run(seconds(3));
  ASSERT_EQ(a_.epoch(), 9);
  server_.Delete();
  Run(seconds(30));
  EXPECT_TRUE(a_.leads());
  EXPECT_EQ(a_.epoch(), 9);
  EXPECT_EQ(server_.holder(), "a");
}

TEST_F(LeaseElectionTest, LeaseDeletedUnderALeaderThatIsCutOffIsNotTakenBeforeItStops) {
  server_.Put("", 1, 8);
  Run(seconds(3));
  ASSERT_TRUE(a_.leads());
  server_.Delete();
  b_.Run(milliseconds(2500));  // a acts on: it does not know yet.
  EXPECT_TRUE(a_.leads());
  EXPECT_FALSE(b_.leads());
  b_.Run(milliseconds(4000));
  EXPECT_FALSE(a_.leads());
  EXPECT_TRUE(b_.leads());
  EXPECT_EQ(b_.epoch(), 10);  // Though the lease began anew.
}

TEST_F(LeaseElectionTest, TwoThatTakeItAtOnceAreOneLeader) {
  server_.Put("", 1, 0);
  const auto first = a_.election().Next(clock_.Now(), clock_.WallNow());
  a_.election().OnAnswer(server_.Exchange(*first.request, {}), clock_.Now(), clock_.Now());
  const auto take = a_.election().Next(clock_.Now(), clock_.WallNow());
  b_.Step();  // In between.
  a_.election().OnAnswer(server_.Exchange(*take.request, {}), clock_.Now(), clock_.Now());
  EXPECT_TRUE(b_.leads());
  EXPECT_FALSE(a_.leads());
  Run(seconds(10));
  EXPECT_TRUE(b_.leads());
}

TEST_F(LeaseElectionTest, RenewalWithoutAnAnswerIsLookedAtAndTriedAgain) {
  server_.Put("", 1, 0);
  a_.Run(seconds(2));
  server_.loses_answers = true;
  a_.Run(seconds(2));
  EXPECT_TRUE(a_.leads());
  server_.loses_answers = false;
  Run(seconds(20));
  EXPECT_TRUE(a_.leads());
  EXPECT_EQ(a_.epoch(), 1);
  EXPECT_FALSE(a_.election().trouble());
}

TEST_F(LeaseElectionTest, LeadThatNobodyConfirmedIsNone) {
  server_.Put("", 1, 0);
  server_.loses_answers = true;
  a_.Run(seconds(10));
  EXPECT_FALSE(a_.leads());
  server_.loses_answers = false;
  a_.Run(seconds(2));
  EXPECT_TRUE(a_.leads());
}

TEST_F(LeaseElectionTest, LeadCountsFromTheSendingOfTheRenewal) {
  server_.Put("", 1, 0);
  a_.answer_takes = milliseconds(1500);
  const MonotonicTime begin = clock_.Now();
  const auto read = a_.election().Next(begin, clock_.WallNow());
  a_.election().OnAnswer(server_.Exchange(*read.request, {}), begin, begin);
  const auto take = a_.election().Next(begin, clock_.WallNow());
  a_.election().OnAnswer(server_.Exchange(*take.request, {}), begin, begin + milliseconds(1500));
  EXPECT_EQ(a_.election().acts_until(), begin + seconds(4));
}

TEST_F(LeaseElectionTest, SlowServerLetsNobodyLeadTwice) {
  server_.Put("", 1, 0);
  a_.answer_takes = b_.answer_takes = milliseconds(700);
  Run(seconds(20));
  EXPECT_TRUE(a_.leads());
  a_.answer_takes = b_.answer_takes = seconds(5);  // Longer than the renew deadline: nobody leads.
  for (int n = 0; n < 10; ++n) {
    a_.Step();
    EXPECT_FALSE(a_.leads() && b_.leads());
    b_.Step();
    EXPECT_FALSE(a_.leads() && b_.leads());
  }
}

TEST_F(LeaseElectionTest, ServerThatIsGoneEndsTheLeadAndItsReturnBeginsAnother) {
  server_.Put("", 1, 0);
  Run(seconds(2));
  server_.gone = true;
  Run(milliseconds(4100));
  EXPECT_FALSE(a_.leads());
  Run(seconds(60));
  server_.gone = false;
  Run(seconds(2));
  EXPECT_TRUE(a_.leads() || b_.leads());
  EXPECT_EQ(a_.epoch() + b_.epoch(), 2);
}

TEST_F(LeaseElectionTest, LeadThatRanOutIsAnotherLeadWhenTakenAgain) {
  server_.Put("", 1, 0);
  a_.Run(seconds(2));
  clock_.Advance(seconds(30));  // The process was stopped; nobody else was there.
  EXPECT_FALSE(a_.leads());
  a_.Run(milliseconds(500));
  EXPECT_TRUE(a_.leads());
  EXPECT_EQ(a_.epoch(), 2);
}

TEST_F(LeaseElectionTest, RefusalIsTroubleAndNoLead) {
  server_.refuses = 403;
  a_.Run(seconds(10));
  ASSERT_TRUE(a_.election().trouble());
  EXPECT_EQ(a_.election().trouble()->kind, ErrorKind::kForbidden);
  EXPECT_FALSE(a_.leads());
  server_.refuses = 0;
  a_.Run(milliseconds(7500));
  EXPECT_FALSE(a_.election().trouble());
  EXPECT_TRUE(a_.leads());
}

TEST_F(LeaseElectionTest, OneRequestLeavesTimeForAnotherBeforeTheDeadline) {
  server_.Put("", 1, 0);
  a_.Run(seconds(2));
  EXPECT_EQ(a_.last_deadline, seconds(2));
  server_.gone = true;
  a_.Run(milliseconds(3900));
  EXPECT_LT(a_.last_deadline, seconds(1));
}

TEST_F(LeaseElectionTest, RefusedRequestsAreNotRepeatedWithoutAPause) {
  server_.Put("", 1, 0);
  server_.refuses = 409;
  a_.Run(seconds(10));
  EXPECT_LE(server_.writes(), 0);
  server_.refuses = 0;
  a_.Run(seconds(1));
  ASSERT_TRUE(a_.leads());
  const int before = server_.writes();
  server_.refuses = 409;
  a_.Run(seconds(10));
  EXPECT_LE(server_.writes() - before, 100);
}

TEST(LeaseTimesTest, MustFitTogether) {
  EXPECT_TRUE(Check(LeaseTimes{}));
  const Result<void> deadline = Check({seconds(4), seconds(4), seconds(1)});
  ASSERT_FALSE(deadline);
  EXPECT_EQ(deadline.error().message,
            "LANEKEEPER_LEASE_RENEW_DEADLINE is 4s; it must be shorter than "
            "LANEKEEPER_LEASE_DURATION, 4s");
  EXPECT_FALSE(Check({seconds(6), seconds(4), seconds(4)}));
}

TEST(LeaseJson, WhatIsNoLeaseIsNone) {
  for (const char* text : {"", "[]", "{}", R"({"metadata":{}})", R"({"metadata":7})"}) {
    EXPECT_FALSE(ReadLease(text)) << text;
  }
  const auto lease = ReadLease(R"({"metadata":{"resourceVersion":"7"},"spec":7})");
  ASSERT_TRUE(lease);
  EXPECT_EQ(lease->holder, "");
}

TEST(LeaseJson, TimeIsWrittenWithMicrosecondsAndTheDurationRoundedUp) {
  LeaseServer server;
  FakeClock clock;
  server.Put("", 1, 0);
  Candidate a(server, clock, "a", {milliseconds(1500), milliseconds(900), milliseconds(200)});
  a.Step();
  const nlohmann::json spec = server.lease()["spec"];
  EXPECT_EQ(spec["renewTime"], "2026-01-01T00:00:01.000000Z");
  EXPECT_EQ(spec["leaseDurationSeconds"], 2);
}

}  // namespace
}  // namespace lanekeeper::kubernetes
