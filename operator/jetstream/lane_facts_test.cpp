#include "operator/jetstream/lane_facts.h"

#include <gtest/gtest.h>

namespace lanekeeper {
namespace {

using nats::ApiCause;
using scaling::Doubt;

const MonotonicTime kNow{std::chrono::hours(1)};

TEST(LaneFacts, AGoodAnswerEndsTheDoubt) {
  LaneSample sample{.doubt = Doubt::kStale, .doubt_detail = "x", .oldest_wait_seconds = 9};
  ApplyConsumer(
      {.pending = 4, .ack_pending = 3, .waiting_pulls = 2, .ack_pending_max = 1, .paused = true},
      kNow, &sample);
  EXPECT_EQ(sample, (LaneSample{.doubt = Doubt::kNone,
                                .waiting = 4,
                                .ack_pending = 3,
                                .open_pulls = 2,
                                .ack_pending_max = 1,
                                .paused = true,
                                .oldest_wait_seconds = 9,
                                .taken_at = kNow}));
  ApplyConsumer({}, kNow, &sample);
  EXPECT_EQ(sample.oldest_wait_seconds, 0);
  EXPECT_FALSE(sample.paused);
}

TEST(LaneFacts, NumbersAreNeverNegative) {
  LaneSample sample;
  ApplyConsumer({.pending = -4, .ack_pending = -3, .waiting_pulls = -2, .ack_pending_max = -1},
                kNow, &sample);
  EXPECT_EQ(sample, (LaneSample{.doubt = Doubt::kNone, .taken_at = kNow}));
}

TEST(LaneFacts, EachCauseIsItsOwnDoubtAndKeepsTheNumbers) {
  for (const auto& [cause, doubt] : {std::pair{ApiCause::kStreamMissing, Doubt::kConsumerMissing},
                                     {ApiCause::kConsumerMissing, Doubt::kConsumerMissing},
                                     {ApiCause::kJetStreamOff, Doubt::kJetStreamOff},
                                     {ApiCause::kDenied, Doubt::kRefused},
                                     {ApiCause::kUnreadable, Doubt::kUnreadable},
                                     {ApiCause::kRefused, Doubt::kNone},
                                     {ApiCause::kBusy, Doubt::kNone}}) {
    LaneSample sample{.doubt = Doubt::kNone, .waiting = 7, .taken_at = kNow};
    EXPECT_EQ(ApplyError({.error = {ErrorKind::kRetryable, "said"}, .cause = cause}, &sample),
              doubt != Doubt::kNone);
    EXPECT_EQ(sample.doubt, doubt);
    EXPECT_EQ(sample.doubt_detail, doubt == Doubt::kNone ? "" : "said");
    EXPECT_EQ(sample.waiting, 7);
    EXPECT_EQ(sample.taken_at, kNow);
  }
}

MonotonicTime After(int milliseconds) { return kNow + std::chrono::milliseconds(milliseconds); }

TEST(PassingJobs, WhatWasHandedOutBeforeItsReportIsNoRetry) {
  PassingJobs passing;
  passing.OnAnswer(2, 0, After(0));
  EXPECT_EQ(passing.count(), 2);
  passing.OnReport(0, 2);
  EXPECT_EQ(passing.count(), 0);
  passing.OnReport(2, 0);
  EXPECT_EQ(passing.count(), 2) << "the answer still has them";
  passing.OnAnswer(2, 0, After(500));
  EXPECT_EQ(passing.count(), 2) << "others have come in their place";
}

TEST(PassingJobs, WhatIsNobodysTwiceIsParked) {
  PassingJobs passing;
  passing.OnAnswer(5, 3, After(0));
  EXPECT_EQ(passing.count(), 2);
  passing.OnAnswer(5, 3, After(500));
  EXPECT_EQ(passing.count(), 0);
  passing.OnAnswer(6, 3, After(1000));
  EXPECT_EQ(passing.count(), 1) << "one more was handed out";
  passing.OnReport(3, 4);
  EXPECT_EQ(passing.count(), 0);
}

TEST(PassingJobs, AnswersInQuickSuccessionWaitForTheReports) {
  PassingJobs passing;
  passing.OnAnswer(2, 0, After(0));
  passing.OnAnswer(2, 0, After(20));
  EXPECT_EQ(passing.count(), 2);
  passing.OnAnswer(2, 0, After(520));
  EXPECT_EQ(passing.count(), 0) << "parked in earnest";
  passing.OnAnswer(2, 0, After(540));
  EXPECT_EQ(passing.count(), 0);
}

nats::ConsumerState At(std::uint64_t stream, std::uint64_t consumer, std::int64_t pending) {
  return {.pending = pending,
          .delivered_stream_sequence = stream,
          .delivered_consumer_sequence = consumer};
}

TEST(LaneFacts, ArrivalsAreJobsThatCameWhateverHappenedToThem) {
  struct Row {
    const char* claim;
    nats::ConsumerState before;
    nats::ConsumerState after;
    std::int64_t arrivals;
  };
  for (const Row& row : {
           Row{"nothing happened", At(10, 10, 5), At(10, 10, 5), 0},
           Row{"some came and wait", At(10, 10, 5), At(10, 10, 8), 3},
           Row{"some were delivered", At(10, 10, 5), At(14, 14, 1), 0},
           Row{"some came and were delivered at once", At(10, 10, 0), At(17, 17, 0), 7},
           Row{"some were delivered again", At(10, 10, 5), At(10, 30, 5), 0},
           Row{"some came while others were delivered again", At(10, 10, 0), At(12, 30, 1), 3},
           Row{"all that waited were purged", At(10, 10, 900), At(910, 10, 0), 0},
           Row{"after the purge, some came", At(910, 10, 0), At(911, 11, 2), 3},
           Row{"one that waited was deleted", At(10, 10, 5), At(10, 10, 4), 0},
           Row{"and the gap was passed", At(10, 10, 4), At(12, 11, 3), 0},
           Row{"a filter passes over messages of others", At(10, 3, 0), At(1010, 5, 1), 3},
           Row{"a killed server forgot deliveries", At(10, 10, 0), At(7, 8, 3), 0},
           Row{"a consumer made anew", At(10, 300, 5), At(8, 0, 7), 0},
           Row{"a queue made anew", At(1000, 1000, 5), At(0, 0, 2), 0},
       }) {
    EXPECT_EQ(ArrivalsBetween(row.before, row.after), row.arrivals) << row.claim;
  }
}

TEST(LaneFacts, ArrivalsAloneAreNothingToReconcile) {
  LaneSample sample{.doubt = Doubt::kNone, .waiting = 1};
  LaneSample later = sample;
  later.arrivals_total = 5;
  later.taken_at = kNow;
  EXPECT_TRUE(SameFacts(sample, later));
  later.workers_version = 1;
  EXPECT_FALSE(SameFacts(sample, later));
}

TEST(LaneFacts, AWaitIsNeverNegative) {
  const WallTime now{std::chrono::hours(1)};
  EXPECT_EQ(WaitSeconds(now - std::chrono::milliseconds(2999), now), 2);
  EXPECT_EQ(WaitSeconds(now + std::chrono::seconds(5), now), 0);
}

TEST(LaneFacts, ALaneInDoubtIsNotAtRest) {
  EXPECT_TRUE(AtRest({.doubt = Doubt::kNone}));
  EXPECT_FALSE(AtRest({.doubt = Doubt::kStale}));
  EXPECT_FALSE(AtRest({.doubt = Doubt::kNone, .waiting = 1}));
  EXPECT_FALSE(AtRest({.doubt = Doubt::kNone, .ack_pending = 1}));
}

}  // namespace
}  // namespace lanekeeper
