#include "worker-runtime/nats/grouped_acks.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "worker-runtime/nats/jetstream.h"
#include "worker-runtime/nats/pull_consumer.h"
#include "worker-runtime/nats/queue_setup.h"
#include "worker-runtime/nats/testing/nats_test.h"

namespace lanekeeper::nats {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class GroupedAcksTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(EnsureJobQueue(jetstream_, key_, {.ack_wait = seconds(3600)}));
    for (int n = 0; n < kJobs; ++n) ASSERT_TRUE(jetstream_.PublishAck(JobSubject(key_), "x"));
    consumer_ = *PullConsumer::Open(*connection_, JobStreamName(key_), "workers");
    ASSERT_TRUE(Eventually([this] {
      auto some = consumer_->Fetch(kJobs, milliseconds(200));
      for (Delivery& delivery : some.value_or(std::vector<Delivery>{})) {
        subjects_.push_back(std::move(delivery.message.reply));
      }
      return subjects_.size() == kJobs;
    }));
  }
  void AckAll() {
    for (const std::string& subject : subjects_) {
      acks_.Ack(subject, [this](const Result<void>& told) {
        if (!told) kind_ = told.error().kind;
        told ? ++confirmed_ : ++failed_;
      });
    }
  }

  // No handler runs any more: neither is one of them called twice.
  void ExpectAllFailed() {
    ASSERT_TRUE(Eventually([this] { return failed_ >= kJobs; })) << failed_;
    connection_->Close();
    EXPECT_EQ(failed_, kJobs);
    EXPECT_EQ(confirmed_, 0);
    EXPECT_EQ(kind_, ErrorKind::kRetryable);
  }

  static constexpr int kJobs = 500;
  const LaneKey key_{"studio", "media", "short"};
  NatsServer server_ = RunServer();
  std::unique_ptr<Connection> connection_ =
      Connect(server_.url(), {.writes = ConnectOptions::Writes::kTogether});
  JetStream jetstream_{*connection_, kAnswerDeadline};
  std::unique_ptr<PullConsumer> consumer_;
  GroupedAcks acks_{*connection_, seconds(30)};
  std::vector<std::string> subjects_;
  std::atomic<int> confirmed_{0};
  std::atomic<int> failed_{0};
  std::atomic<ErrorKind> kind_{ErrorKind::kInvalid};
};

TEST_F(GroupedAcksTest, WhatIsConfirmedIsGone) {
  AckAll();
  ASSERT_TRUE(Eventually([this] { return confirmed_ == kJobs; }));
  const auto state = jetstream_.ConsumerInfo(JobStreamName(key_), "workers");
  ASSERT_TRUE(state);
  EXPECT_EQ(state->ack_pending, 0);
  const auto stream = jetstream_.StreamInfo(JobStreamName(key_));
  ASSERT_TRUE(stream);
  EXPECT_EQ(stream->messages, 0);
}

TEST_F(GroupedAcksTest, EachIsToldOnceThatTheConsumerIsGone) {
  ASSERT_TRUE(jetstream_.DeleteConsumer(JobStreamName(key_), "workers"));
  AckAll();
  ExpectAllFailed();  // Retryable: it may only be without a leader.
}

TEST_F(GroupedAcksTest, EachIsToldOnceThatTheServerIsGone) {
  server_.Stop();
  ASSERT_TRUE(Eventually([this] { return !connection_->Connected(); }));
  AckAll();
  // Here, or on the thread that tells of the lost connection at this very moment.
  ExpectAllFailed();
}

}  // namespace
}  // namespace lanekeeper::nats
