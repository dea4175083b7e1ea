#include "worker-runtime/nats/pull_consumer.h"

#include <gtest/gtest.h>

#include <set>

#include "worker-runtime/nats/jetstream.h"
#include "worker-runtime/nats/queue_setup.h"
#include "worker-runtime/nats/testing/nats_test.h"

namespace lanekeeper::nats {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class PullConsumerTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(Ensure().has_value());
    consumer_ = *PullConsumer::Open(*connection_, stream_, "workers");
  }
  Result<void> Ensure(seconds ack_wait = seconds(3600)) {
    return EnsureJobQueue(jetstream_, key_, {.depth_max = 100'000, .ack_wait = ack_wait});
  }
  // Once each, however often an answer is lost.
  void Publish(int jobs) {
    for (int i = 0; i < jobs; ++i) {
      const std::string job = std::to_string(published_++);
      ASSERT_TRUE(Eventually([&] {
        return jetstream_.PublishAck(JobSubject(key_), job, {{"Nats-Msg-Id", job}}).has_value();
      }));
    }
  }
  ConsumerState Info() {
    ConsumerState info;
    EXPECT_TRUE(Eventually([&] {
      auto answer = jetstream_.ConsumerInfo(stream_, "workers");
      if (answer) info = *std::move(answer);
      return answer.has_value();
    }));
    return info;
  }
  // Calls Fetch until it has `count` deliveries.
  std::vector<Delivery> FetchAll(int count, int slots) {
    std::vector<Delivery> all;
    EXPECT_TRUE(Eventually([&] {
      auto some = consumer_->Fetch(slots, milliseconds(200));
      if (!some) return false;
      EXPECT_LE(some->size(), static_cast<std::size_t>(slots));
      for (Delivery& delivery : *some) all.push_back(std::move(delivery));
      return static_cast<int>(all.size()) >= count;
    })) << all.size()
        << " of " << count;
    return all;
  }

  // Until `slots` are full: what came has taken one.
  std::vector<Delivery> FillSlots(int slots) {
    std::vector<Delivery> all;
    EXPECT_TRUE(Eventually([&] {
      auto some = consumer_->Fetch(slots - static_cast<int>(all.size()), milliseconds(200));
      if (!some) return false;
      for (Delivery& delivery : *some) all.push_back(std::move(delivery));
      return static_cast<int>(all.size()) == slots;
    })) << all.size()
        << " of " << slots;
    return all;
  }

  const LaneKey key_{"studio", "media", "short"};
  const std::string stream_ = JobStreamName(key_);
  NatsServer server_ = RunServer();
  std::unique_ptr<Connection> connection_ = Connect(server_.url());
  JetStream jetstream_{*connection_, kAnswerDeadline};
  std::unique_ptr<PullConsumer> consumer_;
  int published_ = 0;
};

TEST_F(PullConsumerTest, DeliversEachJobOnceInOrder) {
  Publish(100);
  const auto deliveries = FetchAll(100, 8);
  for (int i = 0; i < 100; ++i) {
    const Delivery& delivery = deliveries[static_cast<std::size_t>(i)];
    EXPECT_EQ(delivery.message.payload, std::to_string(i));
    EXPECT_EQ(delivery.stream, stream_);
    EXPECT_EQ(delivery.consumer, "workers");
    EXPECT_EQ(delivery.delivered, 1u);
    EXPECT_EQ(delivery.stream_sequence, static_cast<std::uint64_t>(i + 1));
    ASSERT_TRUE(AckConfirmed(*connection_, delivery, kTestDeadline).has_value());
  }
  EXPECT_EQ(jetstream_.StreamInfo(stream_)->messages, 0);
}

TEST_F(PullConsumerTest, NeverAsksForMoreThanThereAreFreeSlots) {
  EXPECT_TRUE(consumer_->Fetch(5, milliseconds(0))->empty());
  EXPECT_EQ(consumer_->Requested(), 5);
  EXPECT_TRUE(consumer_->Fetch(5, milliseconds(0))->empty());
  EXPECT_EQ(consumer_->Requested(), 5);
  Publish(20);
  EXPECT_EQ(FillSlots(5).size(), 5u);
  EXPECT_EQ(consumer_->Requested(), 0);
  EXPECT_EQ(Info().ack_pending, 5) << "more was delivered than there was room for";
  // Two slots are free again.
  FillSlots(2);
  EXPECT_EQ(Info().ack_pending, 7);
}

TEST_F(PullConsumerTest, MoreFreeSlotsAreAskedForOnTopOfWhatIsOpen) {
  EXPECT_TRUE(consumer_->Fetch(2, milliseconds(0))->empty());
  EXPECT_TRUE(consumer_->Fetch(8, milliseconds(0))->empty());
  EXPECT_EQ(consumer_->Requested(), 8);
  Publish(20);
  EXPECT_TRUE(Eventually([&] { return Info().ack_pending == 8; })) << Info().ack_pending;
  EXPECT_EQ(Info().waiting_pulls, 0);
}

TEST_F(PullConsumerTest, AnOpenPullDeliversAsSoonAsAJobComes) {
  std::thread publisher([&] {
    EXPECT_TRUE(Eventually([&] { return Info().waiting_pulls == 1; }));
    Publish(1);
  });
  const auto got = consumer_->Fetch(4, kTestDeadline);
  publisher.join();
  ASSERT_TRUE(got.has_value());
  EXPECT_EQ(got->size(), 1u);
  EXPECT_EQ(consumer_->Stats().pulls_sent, 1u);
}

TEST_F(PullConsumerTest, InterruptEndsAFetch) {
  std::thread interrupter([&] {
    EXPECT_TRUE(Eventually([&] { return Info().waiting_pulls == 1; }));
    consumer_->Interrupt();
  });
  const auto got = consumer_->Fetch(1, std::chrono::hours(24));
  interrupter.join();
  ASSERT_TRUE(got.has_value());
  EXPECT_TRUE(got->empty());
}

TEST_F(PullConsumerTest, SettlementsDoWhatTheySay) {
  Publish(1);
  auto delivery = FetchAll(1, 1)[0];
  ASSERT_TRUE(InProgress(*connection_, delivery).has_value());
  ASSERT_TRUE(Nak(*connection_, delivery).has_value());
  delivery = FetchAll(1, 1)[0];
  EXPECT_EQ(delivery.delivered, 2u);
  ASSERT_TRUE(Nak(*connection_, delivery, milliseconds(50)).has_value());
  delivery = FetchAll(1, 1)[0];
  EXPECT_EQ(delivery.delivered, 3u);
  auto advisories = *connection_->Subscribe("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>");
  ASSERT_TRUE(TermConfirmed(*connection_, delivery, "bad\njob", kTestDeadline).has_value());
  const auto advisory = advisories->Next(kTestDeadline);
  ASSERT_TRUE(advisory.has_value());
  EXPECT_NE(advisory->payload.find("\"bad job\""), std::string::npos) << advisory->payload;
  EXPECT_EQ(jetstream_.StreamInfo(stream_)->messages, 0);
}

TEST_F(PullConsumerTest, AnAckThatNobodyTakesIsTriedForItsTime) {
  Publish(1);
  const auto delivery = FetchAll(1, 1)[0];
  ASSERT_TRUE(jetstream_.DeleteStream(stream_).has_value());
  EXPECT_EQ(AckConfirmed(*connection_, delivery, milliseconds(300)).error().kind,
            ErrorKind::kRetryable);
}

// The promise behind drain: nothing asked for, nothing stranded until ack_wait (an hour here).
TEST_F(PullConsumerTest, WithdrawStrandsNothing) {
  auto publisher_connection = Connect(server_.url());
  constexpr int kAhead = 200;  // So slow as the rounds are, so slow it is.
  std::atomic<bool> stop{false};
  std::atomic<int> published{0};
  std::atomic<int> settled{0};
  std::thread publisher([&] {
    while (!stop) {
      if (published - settled < kAhead && publisher_connection->Publish(JobSubject(key_), "x")) {
        ++published;
      }
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  });
  std::set<std::uint64_t> done;
  const auto settle = [&](const std::vector<Delivery>& deliveries) {
    for (const Delivery& delivery : deliveries) {
      EXPECT_TRUE(done.insert(delivery.stream_sequence).second) << "delivered twice";
      // `delivered` may be 2: the server also counts a delivery that a withdrawal overtook.
      EXPECT_TRUE(Ack(*connection_, delivery).has_value());
      ++settled;
    }
  };
  for (int round = 0; round < 200; ++round) {
    auto fetched = consumer_->Fetch(8, milliseconds(2));
    ASSERT_TRUE(fetched.has_value()) << fetched.error().message;
    settle(*fetched);
    settle(consumer_->Withdraw(kTestDeadline));
    EXPECT_EQ(consumer_->Requested(), 0);
  }
  stop = true;
  publisher.join();
  ASSERT_TRUE(publisher_connection->Flush(kTestDeadline).has_value());
  ASSERT_TRUE(connection_->Flush(kTestDeadline).has_value());
  EXPECT_TRUE(Eventually([&] {
    const ConsumerState info = Info();
    return info.ack_pending == 0 && info.waiting_pulls == 0;
  })) << Info().ack_pending
      << " stranded, " << Info().waiting_pulls << " pulls open";
  // And it opens again.
  Publish(1);
  EXPECT_TRUE(Eventually([&] {
    settle(consumer_->Fetch(8, milliseconds(10)).value_or(std::vector<Delivery>{}));
    return static_cast<int>(done.size()) == published + 1;
  })) << done.size()
      << " of " << published + 1;
}

TEST_F(PullConsumerTest, GoesOnAfterTheServerWasKilled) {
  Publish(3);
  auto deliveries = FetchAll(1, 1);
  ASSERT_TRUE(AckConfirmed(*connection_, deliveries[0], kTestDeadline).has_value());
  EXPECT_TRUE(consumer_->Fetch(1, milliseconds(0)).has_value());
  server_.Kill();
  ASSERT_TRUE(Eventually([&] {
    const auto got = consumer_->Fetch(1, milliseconds(10));
    return !got && got.error().kind == ErrorKind::kRetryable;
  }));
  const NextConnect connect(*connection_);
  ASSERT_TRUE(server_.Start().has_value());
  ASSERT_TRUE(connect.Wait());
  ASSERT_TRUE(Ensure(seconds(1)).has_value());  // What was on its way comes again soon.
  std::set<std::string> seen;
  EXPECT_TRUE(Eventually([&] {
    auto got = consumer_->Fetch(1, milliseconds(100));
    if (!got) return false;
    for (const Delivery& delivery : *got) {
      seen.insert(delivery.message.payload);
      EXPECT_TRUE(AckConfirmed(*connection_, delivery, kTestDeadline).has_value());
    }
    return seen.contains("1") && seen.contains("2");
  }));
}

TEST_F(PullConsumerTest, SaysThatTheConsumerIsMissingAndGoesOnWhenItIsBack) {
  EXPECT_TRUE(consumer_->Fetch(1, milliseconds(0)).has_value());
  ASSERT_TRUE(Eventually([&] { return Info().waiting_pulls == 1; }));
  ASSERT_TRUE(jetstream_.DeleteConsumer(stream_, "workers").has_value());
  ASSERT_TRUE(Eventually([&] {
    const auto got = consumer_->Fetch(1, milliseconds(50));
    return !got && got.error().kind == ErrorKind::kNotFound;
  }));
  ASSERT_TRUE(Ensure().has_value());
  Publish(1);
  FetchAll(1, 1);
}

TEST_F(PullConsumerTest, AConsumerThatNeverWasIsNotFound) {
  consumer_ =
      *PullConsumer::Open(*connection_, stream_, "nobody",
                          {.expires = milliseconds(400), .idle_heartbeat = milliseconds(100)});
  EXPECT_TRUE(Eventually([&] {
    const auto got = consumer_->Fetch(1, milliseconds(50));
    return !got && got.error().kind == ErrorKind::kNotFound;
  }));
}

TEST_F(PullConsumerTest, ExpiredPullsAreRenewed) {
  consumer_ =
      *PullConsumer::Open(*connection_, stream_, "workers",
                          {.expires = milliseconds(200), .idle_heartbeat = milliseconds(100)});
  // Silence on a slow machine makes it ask again too, once each: that is not what is meant.
  ASSERT_TRUE(Eventually([&] {
    const auto got = consumer_->Fetch(4, milliseconds(50));
    const PullStats stats = consumer_->Stats();
    EXPECT_TRUE(got || stats.heartbeats_missed > 0) << got.error().message;
    EXPECT_LE(consumer_->Requested(), 4);
    return stats.pulls_sent >= 4 + stats.heartbeats_missed;
  }));
  Publish(1);
  EXPECT_EQ(FetchAll(1, 4).size(), 1u);
}

TEST_F(PullConsumerTest, ASilentServerIsAskedAgain) {
  // It may be silent again on a slow machine: what is lost then comes again.
  ASSERT_TRUE(Ensure(seconds(1)).has_value());
  // Pings would take minutes: only missed heartbeats can notice.
  auto connection = Connect(server_.url(), {.ping_interval = std::chrono::minutes(10)});
  consumer_ =
      *PullConsumer::Open(*connection, stream_, "workers",
                          {.expires = milliseconds(400), .idle_heartbeat = milliseconds(200)});
  EXPECT_TRUE(consumer_->Fetch(1, milliseconds(0)).has_value());
  server_.Pause();
  EXPECT_TRUE(Eventually([&] {
    (void)consumer_->Fetch(1, milliseconds(50));
    return consumer_->Stats().heartbeats_missed > 0;
  }));
  server_.Resume();
  Publish(1);
  EXPECT_EQ(FetchAll(1, 1).size(), 1u);
  consumer_.reset();
}

TEST_F(PullConsumerTest, LimitsOfTheConsumerAreRespected) {
  ASSERT_TRUE(
      jetstream_
          .PutConsumer(stream_, "workers",
                       R"({"durable_name":"workers","name":"workers","ack_policy":"explicit",)"
                       R"("max_waiting":4096,"max_batch":3,"max_expires":2000000000})",
                       "update")
          .has_value());
  Publish(10);
  EXPECT_EQ(FetchAll(10, 10).size(), 10u);
}

TEST_F(PullConsumerTest, APushConsumerCannotBeFetchedFrom) {
  ASSERT_TRUE(jetstream_.CreateStream("P", R"({"name":"P","subjects":["p"]})").has_value());
  ASSERT_TRUE(
      jetstream_.PutConsumer("P", "push", R"({"name":"push","deliver_subject":"to"})", "create")
          .has_value());
  consumer_ = *PullConsumer::Open(*connection_, "P", "push");
  EXPECT_TRUE(Eventually([&] {
    const auto got = consumer_->Fetch(1, milliseconds(50));
    return !got && got.error().kind == ErrorKind::kInvalid;
  }));
}

TEST_F(PullConsumerTest, StrangersOnTheInboxAreIgnored) {
  EXPECT_TRUE(consumer_->Fetch(1, milliseconds(0)).has_value());
  auto inboxes = *connection_->Subscribe("$JS.API.CONSUMER.MSG.NEXT.>");
  consumer_ = *PullConsumer::Open(*connection_, stream_, "workers");
  EXPECT_TRUE(consumer_->Fetch(1, milliseconds(0)).has_value());
  const auto pull = inboxes->Next(kTestDeadline);
  ASSERT_TRUE(pull.has_value());
  // The server itself drops a publish whose reply looks like an ack subject.
  for (const char* reply : {"", "a.b.c.d.e.f.g.h.i", "reply.to.me"}) {
    ASSERT_TRUE(connection_->PublishRequest(pull->reply, reply, "garbage").has_value());
  }
  ASSERT_TRUE(connection_->Flush(kTestDeadline).has_value());
  EXPECT_TRUE(Eventually([&] {
    EXPECT_TRUE(consumer_->Fetch(1, milliseconds(10))->empty());
    return consumer_->Stats().unreadable == 3;
  }));
}

TEST(PullConsumerDenied, IsForbidden) {
  NatsServer server = RunServer({.config = "authorization: {users: [{user: a, password: b, "
                                           "permissions: {publish: {deny: [\"$JS.API.>\"]}}}]}"});
  auto connection = Connect(server.url("a:b"));
  auto consumer = *PullConsumer::Open(*connection, "S", "c");
  EXPECT_TRUE(Eventually([&] {
    const auto got = consumer->Fetch(1, milliseconds(50));
    return !got && got.error().kind == ErrorKind::kForbidden;
  }));
}

TEST(PullConsumer, RefusesNamesThatAreNone) {
  auto connection = *Connection::Open({.url = "nats://127.0.0.1:1"});
  EXPECT_EQ(PullConsumer::Open(*connection, "a.b", "c").error().kind, ErrorKind::kInvalid);
  EXPECT_EQ(PullConsumer::Open(*connection, "a", "").error().kind, ErrorKind::kInvalid);
  EXPECT_EQ(PullConsumer::Open(*connection, "a", "c", {.expires = milliseconds(1)}).error().kind,
            ErrorKind::kInvalid);
}

}  // namespace
}  // namespace lanekeeper::nats
