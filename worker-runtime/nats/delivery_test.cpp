#include <gtest/gtest.h>

#include "worker-runtime/nats/pull_consumer.h"
#include "worker-runtime/nats/pull_status.h"

namespace lanekeeper::nats {
namespace {

TEST(ParseDelivery, ReadsTheFirstForm) {
  const auto delivery = ParseDelivery(
      {.reply = "$JS.ACK.LK_a_b_c.workers.2.17.19.1790000000123456789.5", .payload = "body"});
  ASSERT_TRUE(delivery.has_value()) << delivery.error().message;
  EXPECT_EQ(delivery->stream, "LK_a_b_c");
  EXPECT_EQ(delivery->consumer, "workers");
  EXPECT_EQ(delivery->delivered, 2u);
  EXPECT_EQ(delivery->stream_sequence, 17u);
  EXPECT_EQ(delivery->consumer_sequence, 19u);
  EXPECT_EQ(delivery->pending, 5u);
  EXPECT_EQ(delivery->stored_at.time_since_epoch(), std::chrono::nanoseconds(1790000000123456789));
  EXPECT_EQ(delivery->message.payload, "body");
}

TEST(ParseDelivery, ReadsTheSecondForm) {
  for (const char* tail : {"", ".random", ".a.b"}) {
    const auto delivery = ParseDelivery(
        {.reply = std::string("$JS.ACK._.ACCHASH.S.C.1.2.3.1790000000000000000.4") + tail});
    ASSERT_TRUE(delivery.has_value()) << tail;
    EXPECT_EQ(delivery->stream, "S");
    EXPECT_EQ(delivery->consumer, "C");
    EXPECT_EQ(delivery->stream_sequence, 2u);
    EXPECT_EQ(delivery->pending, 4u);
  }
}

TEST(ParseDelivery, RefusesGarbage) {
  for (const char* reply :
       {"", "_INBOX.x", "$JS.ACK", "$JS.ACK.S.C.1.2.3.4", "$JS.ACK.S.C.1.2.3.4.5.6",
        "$JS.ACK.S.C.x.2.3.4.5", "$JS.ACK.S.C.-1.2.3.4.5", "$JS.ACK.S.C.0.2.3.4.5",
        "$JS.ACK.S.C.1.2.3.4.99999999999999999999", "$JS.ACK.S.C.1.2.3.18446744073709551615.5",
        "$JS.ACK..C.1.2.3.4.5", "$JS.NAK.S.C.1.2.3.4.5", "........",
        "$JS.ACK.a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s"}) {
    const auto delivery = ParseDelivery({.reply = reply});
    ASSERT_FALSE(delivery.has_value()) << reply;
    EXPECT_EQ(delivery.error().kind, ErrorKind::kInvalid);
  }
}

using Effect = PullStatus::Effect;

PullStatus Read(int status, std::string text, Headers headers = {}) {
  return ReadPullStatus(
      {.headers = std::move(headers), .status = status, .status_text = std::move(text)});
}

TEST(ReadPullStatus, EachStatusSaysWhatBecameOfThePull) {
  EXPECT_EQ(Read(100, "Idle Heartbeat").effect, Effect::kAlive);
  EXPECT_EQ(Read(404, "No Messages").effect, Effect::kPartOver);
  EXPECT_EQ(Read(408, "Request Timeout").unfilled, std::nullopt);
  EXPECT_EQ(Read(408, "Request Timeout", {{"Nats-Pending-Messages", "7"}}).unfilled, 7);
  EXPECT_EQ(Read(408, "Interest Expired").effect, Effect::kPartOver);
  EXPECT_EQ(Read(409, "Leadership Change").effect, Effect::kAllOver);
  EXPECT_EQ(Read(409, "Server Shutdown").effect, Effect::kAllOver);
  EXPECT_EQ(Read(409, "Consumer Deleted").effect, Effect::kGone);
  EXPECT_EQ(Read(409, "Consumer Deleted").error.kind, ErrorKind::kNotFound);
  EXPECT_EQ(Read(409, "Exceeded MaxRequestBatch of 12").batch_max, 12);
  EXPECT_EQ(Read(409, "Exceeded MaxRequestExpires of 5s").effect, Effect::kExpiresTooLong);
  EXPECT_EQ(Read(409, "Exceeded MaxWaiting").effect, Effect::kGone);
  EXPECT_EQ(Read(409, "Consumer is push based").effect, Effect::kImpossible);
  EXPECT_EQ(Read(400, "Bad Request").error.kind, ErrorKind::kInvalid);
  EXPECT_EQ(Read(423, "Nats-Pin-Id mismatch").effect, Effect::kImpossible);
  EXPECT_EQ(Read(503, "").effect, Effect::kGone);
  EXPECT_EQ(Read(503, "").error.kind, ErrorKind::kRetryable);
}

}  // namespace
}  // namespace lanekeeper::nats
