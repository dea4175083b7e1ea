#include "operator/jetstream/lane_facts.h"

#include <gtest/gtest.h>

namespace lanekeeper {
namespace {

using nats::ApiCause;
using scaling::Doubt;

const MonotonicTime kNow{std::chrono::hours(1)};

TEST(LaneFacts, AGoodAnswerEndsTheDoubt) {
  LaneSample sample{.doubt = Doubt::kStale, .doubt_detail = "x", .oldest_wait_seconds = 9};
  ApplyConsumer({.pending = 4, .ack_pending = 3, .waiting_pulls = 2, .ack_pending_max = 1}, kNow,
                &sample);
  EXPECT_EQ(sample, (LaneSample{.doubt = Doubt::kNone,
                                .waiting = 4,
                                .ack_pending = 3,
                                .open_pulls = 2,
                                .ack_pending_max = 1,
                                .oldest_wait_seconds = 9,
                                .taken_at = kNow}));
  ApplyConsumer({}, kNow, &sample);
  EXPECT_EQ(sample.oldest_wait_seconds, 0);
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
