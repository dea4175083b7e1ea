#include "worker-runtime/runner/nats_job_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/registry.h>

#include <atomic>
#include <string>

#include "worker-runtime/runner/runner.h"
#include "worker-runtime/runner/testing/lane_fixture.h"

namespace lanekeeper::runner {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kMaxPayload = 8192;

class NatsJobSourceTest : public LaneFixture {
 protected:
  NatsJobSourceTest() : LaneFixture("max_payload: " + std::to_string(kMaxPayload)) {}

  void SetUp() override {
    LaneFixture::SetUp();
    auto source = NatsJobSource::Open(*connection_, {.stream = JobStreamName(key_),
                                                     .consumer = std::string(kConsumerName),
                                                     .dead_subject = DeadSubject(key_),
                                                     .worker = "w-1",
                                                     .answer_timeout = seconds(2)});
    ASSERT_TRUE(source) << source.error().message;
    source_ = *std::move(source);
  }
  // The next job, which has to come.
  Received FetchOne() {
    Received received;
    EXPECT_TRUE(Eventually([&] {
      auto fetched = source_->Fetch(1, seconds(2));
      if (!fetched || fetched->empty()) return false;
      received = std::move(fetched->front());
      return true;
    }));
    return received;
  }

  std::unique_ptr<NatsJobSource> source_;
};

TEST_F(NatsJobSourceTest, KnowsTheLeaseTimeBeforeTheFirstJob) {
  MakeLane(seconds(7));
  Publish("body", {{"Lk-Type", "x"}});
  const Received received = FetchOne();
  EXPECT_EQ(source_->LeaseTime(), seconds(7));
  EXPECT_EQ(received.message.stream, "LK_studio_media_short");
  EXPECT_EQ(received.message.sequence, 1U);
  EXPECT_EQ(received.message.delivery, 1);
  EXPECT_EQ(received.message.payload, "body");
  EXPECT_EQ(FindHeader(received.message.headers, "Lk-Type"), "x");
  EXPECT_TRUE(source_->Acknowledge(received.lease));
  EXPECT_EQ(JobsLeft(), 0);
}

TEST_F(NatsJobSourceTest, WithoutALaneAFetchSaysSo) {
  const auto fetched = source_->Fetch(1, milliseconds(10));
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().kind, ErrorKind::kNotFound) << fetched.error().message;
}

TEST_F(NatsJobSourceTest, GivenBackJobsComeAgain) {
  MakeLane();
  Publish("body");
  EXPECT_TRUE(source_->GiveBack(FetchOne().lease, milliseconds(0)));
  const Received again = FetchOne();
  EXPECT_EQ(again.message.delivery, 2);
  EXPECT_TRUE(source_->GiveBack(again.lease, milliseconds(20)));
  EXPECT_EQ(FetchOne().message.delivery, 3);
}

TEST_F(NatsJobSourceTest, ADeadLetterIsStoredOnceHoweverOftenItIsSent) {
  MakeLane();
  Publish("body", {{"Nats-Msg-Id", "order-1"}});
  const Received received = FetchOne();
  EXPECT_TRUE(source_->PutDead(received.message, {"rejected", "no"}));
  EXPECT_TRUE(source_->PutDead(received.message, {"rejected", "no"}));
  EXPECT_TRUE(source_->Remove(received.lease, "rejected"));
  EXPECT_EQ(DeadLetters().size(), 1U);
  EXPECT_EQ(JobsLeft(), 0);
}

TEST_F(NatsJobSourceTest, AJobOfTheLargestSizeLosesNothingAsADeadLetter) {
  MakeLane();
  const std::string payload(kMaxPayload, 'p');
  Publish(payload);
  const Received received = FetchOne();
  const Result<void> put = source_->PutDead(received.message, {"rejected", "no"});
  ASSERT_TRUE(put) << put.error().message;
  const auto parts = DeadLetters();
  ASSERT_EQ(parts.size(), 2U);
  EXPECT_EQ(parts[0].payload + parts[1].payload, payload);
  EXPECT_EQ(FindHeader(parts[1].headers, "Lk-Dead-Part"), "2/2");
}

TEST_F(NatsJobSourceTest, WithoutItsDeadLetterStreamAJobIsKeptUntilThereIsOne) {
  MakeLane();
  const std::string dead_stream = DeadStreamName(key_.pool_namespace, key_.pool);
  ASSERT_TRUE(jetstream_->DeleteStream(dead_stream));
  Publish("body");

  std::atomic<int> runs{0};
  HandlerRegistry handlers;
  handlers.HandleAny([&runs](Job&) -> Outcome {
    ++runs;
    return Rejected{"bad"};
  });
  prometheus::Registry registry;
  RunnerMetrics metrics(registry, key_);
  Runner runner({.worker = "w-1",
                 .policy = {.tracking = Tracking::kNone},
                 .settler = {.kept_retry = milliseconds(50)}},
                handlers, *source_, /*records=*/nullptr, metrics, [](const WorkerReport&) {});
  runner.Start();
  // It has been back in its lane and come again.
  const auto redelivered = [this] {
    const auto state = jetstream_->ConsumerInfo(JobStreamName(key_), kConsumerName);
    return state && state->delivered_consumer_sequence >= 3;
  };
  ASSERT_TRUE(Eventually(redelivered));
  EXPECT_EQ(JobsLeft(), 1);
  MakeDeadLetters();
  ASSERT_TRUE(Eventually([this] { return JobsLeft() == 0; }));
  ASSERT_EQ(DeadLetters().size(), 1U);
  EXPECT_EQ(FindHeader(DeadLetters()[0].headers, "Lk-Dead-Reason"), "rejected");
  EXPECT_EQ(runs, 1);
}

}  // namespace
}  // namespace lanekeeper::runner
