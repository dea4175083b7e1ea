#include "worker-runtime/nats/connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>

#include "worker-runtime/nats/testing/nats_test.h"

namespace lanekeeper::nats {
namespace {

using std::chrono::milliseconds;
using Kind = ConnectionChange::Kind;

// Collects what a connection tells, from any thread.
class Changes {
 public:
  explicit Changes(Connection& connection)
      : registration_(connection.OnChange([this](const ConnectionChange& change) {
          const std::lock_guard lock(mutex_);
          changes_.push_back(change);
        })) {}
  int Count(Kind kind) const {
    const std::lock_guard lock(mutex_);
    return static_cast<int>(
        std::ranges::count_if(changes_, [&](const auto& change) { return change.kind == kind; }));
  }

 private:
  mutable std::mutex mutex_;
  std::vector<ConnectionChange> changes_;
  std::unique_ptr<Registration> registration_;
};

TEST(Connection, CarriesPayloadAndHeadersBothWays) {
  NatsServer server = RunServer();
  auto connection = Connect(server.url());
  auto subscription = *connection->Subscribe("a.*");
  const std::string payload("with \0 zero", 11);
  const Headers headers{{"Lk-Type", "thumbnail"}, {"Many", "1"}, {"Many", "2"}};
  ASSERT_TRUE(connection->PublishRequest("a.b", "answer.here", payload, headers).has_value());
  const auto message = subscription->Next(kTestDeadline);
  ASSERT_TRUE(message.has_value());
  EXPECT_EQ(message->subject, "a.b");
  EXPECT_EQ(message->reply, "answer.here");
  EXPECT_EQ(message->payload, payload);
  EXPECT_THAT(message->headers, testing::UnorderedElementsAreArray(headers));
  EXPECT_EQ(message->Header("lk-type"), "thumbnail");
  EXPECT_EQ(message->status, 0);
}

TEST(Connection, RefusesAHeaderThatWouldForgeAnother) {
  NatsServer server = RunServer();
  auto connection = Connect(server.url());
  for (const Headers& headers : {Headers{{"A", "b\r\nC: d"}}, Headers{{"", "x"}},
                                 Headers{{"A:B", "x"}}, Headers{{"A\n", "x"}}}) {
    EXPECT_EQ(connection->Publish("a", "", headers).error().kind, ErrorKind::kInvalid);
  }
}

TEST(Connection, RequestsAreAnsweredAndNobodyThereIsTold) {
  NatsServer server = RunServer();
  auto connection = Connect(server.url());
  auto echo = *connection->SubscribeCallback("echo", [&](const Message& message) {
    ASSERT_TRUE(connection->Publish(message.reply, message.payload).has_value());
  });
  std::vector<std::thread> callers;
  for (int i = 0; i < 8; ++i) {
    callers.emplace_back([&, i] {
      for (int k = 0; k < 50; ++k) {
        const std::string payload = std::to_string(i * 1000 + k);
        const auto answer = connection->Request("echo", payload, {}, kTestDeadline);
        ASSERT_TRUE(answer.has_value()) << answer.error().message;
        EXPECT_EQ(answer->payload, payload);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  const auto nobody = connection->Request("nobody", "", {}, kTestDeadline);
  ASSERT_TRUE(nobody.has_value());
  EXPECT_TRUE(nobody->NoResponders());
}

TEST(Connection, ConnectsWhenTheServerComesUpLater) {
  NatsServer server = RunServer();
  server.Stop();
  auto connection = *Connection::Open({.url = server.url()});
  EXPECT_FALSE(connection->Connected());
  auto subscription = *connection->Subscribe("a");
  EXPECT_EQ(connection->Request("a", "", {}, kTestDeadline).error().kind, ErrorKind::kRetryable);
  ASSERT_TRUE(server.Start().has_value());
  ASSERT_TRUE(connection->WaitConnected(kTestDeadline));
  ASSERT_TRUE(connection->Publish("a", "x").has_value());
  EXPECT_TRUE(subscription->Next(kTestDeadline).has_value());
}

TEST(Connection, SubscriptionsSurviveAKilledServer) {
  NatsServer server = RunServer();
  auto connection = Connect(server.url());
  Changes changes(*connection);
  const std::uint64_t epoch = connection->Epoch();
  auto subscription = *connection->Subscribe("a");
  std::atomic<int> called{0};
  auto callback = *connection->SubscribeCallback("a", [&](const Message&) { ++called; });
  server.Kill();
  ASSERT_TRUE(Eventually([&] { return changes.Count(Kind::kDisconnected) == 1; }));
  EXPECT_FALSE(connection->Connected());
  ASSERT_TRUE(server.Start().has_value());
  ASSERT_TRUE(connection->WaitConnected(kTestDeadline));
  EXPECT_NE(connection->Epoch(), epoch);
  ASSERT_TRUE(connection->Publish("a", "x").has_value());
  EXPECT_TRUE(subscription->Next(kTestDeadline).has_value());
  EXPECT_TRUE(Eventually([&] { return called == 1 && changes.Count(Kind::kConnected) == 1; }));
}

TEST(Connection, APublishWhileDisconnectedIsSentAfterwards) {
  NatsServer server = RunServer();
  auto connection = Connect(server.url());
  auto subscription = *connection->Subscribe("a");
  ASSERT_TRUE(connection->Flush(kTestDeadline).has_value());
  server.Kill();
  ASSERT_TRUE(Eventually([&] { return !connection->Connected(); }));
  ASSERT_TRUE(connection->Publish("a", "kept").has_value());
  Result<void> full;
  for (int i = 0; i < 10'000 && full; ++i) full = connection->Publish("b", std::string(1000, 'x'));
  ASSERT_FALSE(full.has_value()) << "the buffer must be bounded";
  EXPECT_EQ(full.error().kind, ErrorKind::kRetryable);
  ASSERT_TRUE(server.Start().has_value());
  const auto message = subscription->Next(kTestDeadline);
  ASSERT_TRUE(message.has_value());
  EXPECT_EQ(message->payload, "kept");
}

TEST(Connection, ALostConnectionFailsOpenRequestsAtOnce) {
  NatsServer server = RunServer();
  auto connection = Connect(server.url());
  std::atomic<bool> asked{false};
  auto silent = *connection->SubscribeCallback("silent", [&](const Message&) { asked = true; });
  std::thread killer([&] {
    EXPECT_TRUE(Eventually([&] { return asked.load(); }));
    server.Kill();
  });
  // A day: only the loss of the connection can end it in the time of this test.
  const auto answer = connection->Request("silent", "", {}, std::chrono::hours(24));
  killer.join();
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().kind, ErrorKind::kRetryable);
}

// libnats closes a connection for good after two refused logins.
TEST(Connection, RefusedCredentialsAreTriedAgainForEver) {
  NatsServer server = RunServer({.config = "authorization: {user: a, password: wrong}"});
  auto connection = *Connection::Open({.url = server.url("a:right")});
  Changes changes(*connection);
  auto subscription = *connection->Subscribe("a");
  std::atomic<int> called{0};
  std::atomic<int> called_last{0};
  auto callback = *connection->SubscribeCallback(
      "a", [&](const Message& message) { ++(message.payload == "last" ? called_last : called); });
  ASSERT_TRUE(Eventually([&] { return changes.Count(Kind::kError) >= 3; }));
  EXPECT_NE(connection->LastError(), "");
  server.Stop();
  server.SetConfig("authorization: {user: a, password: right}");
  ASSERT_TRUE(server.Start().has_value());
  ASSERT_TRUE(connection->WaitConnected(kTestDeadline)) << connection->LastError();
  // A new session gets the subscriptions a moment after it has come.
  ASSERT_TRUE(Eventually([&] {
    EXPECT_TRUE(connection->Publish("a", "x").has_value());
    return subscription->Next(milliseconds(50)).has_value() && called > 0;
  }));
  ASSERT_TRUE(connection->Publish("a", "last").has_value());
  EXPECT_TRUE(Eventually([&] { return called_last > 0; }));
  ASSERT_TRUE(connection->Flush(kTestDeadline).has_value());
  EXPECT_EQ(called_last, 1);
}

TEST(Connection, ADeniedRequestIsForbiddenWithoutWaiting) {
  NatsServer server = RunServer({.config = "authorization: {users: [{user: a, password: b, "
                                           "permissions: {publish: {deny: [\"secret.>\"]}}}]}"});
  auto connection = Connect(server.url("a:b"));
  Changes changes(*connection);
  const auto answer = connection->Request("secret.x", "", {}, std::chrono::hours(24));
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().kind, ErrorKind::kForbidden) << answer.error().message;
  EXPECT_TRUE(Eventually([&] { return changes.Count(Kind::kDenied) == 1; }));
}

TEST(Connection, ASilentPeerIsNoticed) {
  NatsServer server = RunServer();
  auto connection = Connect(server.url(), {.ping_interval = milliseconds(100)});
  server.Pause();
  EXPECT_TRUE(Eventually([&] { return !connection->Connected(); }));
  server.Resume();
  EXPECT_TRUE(connection->WaitConnected(kTestDeadline));
}

TEST(Connection, ASlowReaderLosesMessagesAndIsCounted) {
  NatsServer server = RunServer();
  auto connection = Connect(server.url());
  auto subscription = *connection->Subscribe("a", /*capacity=*/10);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(connection->Publish("a", "x").has_value());
  ASSERT_TRUE(Eventually([&] { return subscription->Dropped() == 90; }));
  EXPECT_TRUE(Eventually([&] { return connection->SlowConsumerCount() > 0; }));
  int read = 0;
  while (subscription->Next(milliseconds(0))) ++read;
  EXPECT_EQ(read, 10);
}

TEST(Connection, StopDeliveryLosesNothingThatWasSent) {
  NatsServer server = RunServer();
  auto connection = Connect(server.url());
  auto subscription = *connection->Subscribe("a");
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(connection->Publish("a", "x").has_value());
  ASSERT_TRUE(subscription->StopDelivery(kTestDeadline).has_value());
  ASSERT_TRUE(connection->Publish("a", "after").has_value());
  ASSERT_TRUE(connection->Flush(kTestDeadline).has_value());
  int read = 0;
  while (const auto message = subscription->Next(milliseconds(0))) {
    EXPECT_EQ(message->payload, "x");
    ++read;
  }
  EXPECT_EQ(read, 1000);
}

TEST(Connection, SubscribeOnceFiresOnceAlsoAfterAReconnect) {
  NatsServer server = RunServer();
  auto connection = Connect(server.url(), {.shared_delivery = true});
  std::atomic<int> fired{0};
  auto once = *connection->SubscribeOnce("a", [&](const Message&) { ++fired; });
  auto later = *connection->SubscribeOnce("b", [&](const Message&) { ++fired; });
  ASSERT_TRUE(connection->Publish("a", "1").has_value());
  ASSERT_TRUE(connection->Publish("a", "2").has_value());
  ASSERT_TRUE(Eventually([&] { return fired == 1; }));
  server.Kill();
  ASSERT_TRUE(server.Start().has_value());
  ASSERT_TRUE(Eventually([&] { return connection->Flush(milliseconds(1000)).has_value(); }));
  ASSERT_TRUE(connection->Publish("a", "3").has_value());
  ASSERT_TRUE(connection->Publish("b", "1").has_value());
  EXPECT_TRUE(Eventually([&] { return fired == 2; }));
  ASSERT_TRUE(connection->Flush(kTestDeadline).has_value());
  EXPECT_EQ(fired, 2);
}

// Also the test for a crash inside libnats 3.4.1 (nats.c issue 637): unsubscribing while messages
// arrive.
TEST(Connection, NoHandlerRunsAfterItsRegistrationIsGone) {
  NatsServer server = RunServer();
  auto connection = Connect(server.url());
  for (int round = 0; round < 200; ++round) {
    auto alive = std::make_unique<std::atomic<int>>(0);
    auto registration = *connection->SubscribeCallback(
        "a", [raw = alive.get()](const Message&) { ++*raw; });  // A sanitizer sees a late call.
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(connection->Publish("a", "x").has_value());
    ASSERT_TRUE(Eventually([&] { return *alive > 0; }));
    registration.reset();
    alive.reset();
  }
}

TEST(Connection, HandlesMayOutliveIt) {
  NatsServer server = RunServer();
  auto connection = Connect(server.url());
  auto subscription = *connection->Subscribe("a");
  auto callback = *connection->SubscribeCallback("a", [](const Message&) {});
  auto listener = connection->OnChange([](const ConnectionChange&) {});
  connection.reset();
  EXPECT_FALSE(subscription->Next(milliseconds(10)).has_value());
}

TEST(Connection, CloseIsIdempotentAndFailsWhatFollows) {
  NatsServer server = RunServer();
  auto connection = Connect(server.url());
  Changes changes(*connection);
  connection->Close();
  connection->Close();
  EXPECT_EQ(changes.Count(Kind::kClosed), 1);
  EXPECT_FALSE(connection->Connected());
  EXPECT_FALSE(connection->WaitConnected(kTestDeadline));
  EXPECT_FALSE(connection->Publish("a", "").has_value());
  EXPECT_FALSE(connection->Request("a", "", {}, kTestDeadline).has_value());
  EXPECT_FALSE(connection->Subscribe("a").has_value());
}

TEST(Connection, RefusesWhatCannotBeConnectedTo) {
  EXPECT_EQ(Connection::Open({.url = ""}).error().kind, ErrorKind::kInvalid);
  EXPECT_EQ(Connection::Open({.url = " , "}).error().kind, ErrorKind::kInvalid);
  EXPECT_EQ(Connection::Open({.url = "nats://127.0.0.1:port"}).error().kind, ErrorKind::kInvalid);
  EXPECT_EQ(Connection::Open({.credentials_file = "/does/not/exist"}).error().kind,
            ErrorKind::kInvalid);
}

TEST(Connection, APayloadTheServerWouldRefuseIsNotSent) {
  NatsServer server = RunServer({.config = "max_payload: 1000"});
  auto connection = Connect(server.url());
  EXPECT_EQ(connection->MaxPayload(), 1000);
  EXPECT_EQ(connection->Publish("a", std::string(1001, 'x')).error().kind, ErrorKind::kInvalid);
  EXPECT_TRUE(connection->Publish("a", std::string(1000, 'x')).has_value());
}

// What RequestAsync told, from any thread.
class Answers {
 public:
  AnswerHandler Handler() {
    return [this](Result<Message> answer) {
      const std::lock_guard lock(mutex_);
      answers_.push_back(std::move(answer));
    };
  }
  std::size_t Count() const {
    const std::lock_guard lock(mutex_);
    return answers_.size();
  }
  Result<Message> at(std::size_t n) const {
    const std::lock_guard lock(mutex_);
    return answers_.at(n);
  }

 private:
  mutable std::mutex mutex_;
  std::vector<Result<Message>> answers_;
};

TEST(Connection, ManyRequestsWaitWithoutAThread) {
  NatsServer server = RunServer();
  auto connection = Connect(server.url());
  auto service = Connect(server.url());
  const auto echo = service->SubscribeCallback("echo", [&](const Message& message) {
    static_cast<void>(service->Publish(message.reply, message.payload));
  });
  ASSERT_TRUE(service->Flush(kTestDeadline));
  Answers answers;
  for (int n = 0; n < 1000; ++n) {
    connection->RequestAsync("echo", std::to_string(n), {}, kTestDeadline, answers.Handler());
  }
  ASSERT_TRUE(Eventually([&] { return answers.Count() == 1000; }));
  EXPECT_EQ(answers.at(999)->payload, "999");
}

TEST(Connection, ARequestWithoutAThreadEndsHoweverItEnds) {
  NatsServer server = RunServer();
  auto connection = Connect(server.url());
  Answers answers;
  connection->RequestAsync("nobody", "", {}, kTestDeadline, answers.Handler());
  ASSERT_TRUE(Eventually([&] { return answers.Count() == 1; }));
  EXPECT_TRUE(answers.at(0)->NoResponders());

  const auto silent = connection->Subscribe("silent");
  connection->RequestAsync("silent", "", {}, milliseconds(1), answers.Handler());
  ASSERT_TRUE(Eventually([&] { return answers.Count() == 2; }));
  EXPECT_EQ(answers.at(1).error().message, "timeout");

  connection->RequestAsync("silent", "", {}, std::chrono::hours(1), answers.Handler());
  server.Stop();
  ASSERT_TRUE(Eventually([&] { return answers.Count() == 3; }));
  EXPECT_EQ(answers.at(2).error().message, "connection lost");

  ASSERT_TRUE(Eventually([&] { return !connection->Connected(); }));
  connection->RequestAsync("silent", "", {}, kTestDeadline, answers.Handler());
  ASSERT_EQ(answers.Count(), 4U);  // At once.
  EXPECT_EQ(answers.at(3).error().message, "requesting silent: not connected");
}

TEST(Connection, WritingTogetherLosesAndReordersNothing) {
  NatsServer server = RunServer();
  auto connection = Connect(server.url(), {.writes = ConnectOptions::Writes::kTogether});
  auto reader = Connect(server.url());
  const auto subscription = reader->Subscribe("a");
  ASSERT_TRUE(reader->Flush(kTestDeadline));
  for (int n = 0; n < 5000; ++n) ASSERT_TRUE(connection->Publish("a", std::to_string(n)));
  for (int n = 0; n < 5000; ++n) {
    const auto message = (*subscription)->Next(kTestDeadline);
    ASSERT_TRUE(message);
    ASSERT_EQ(message->payload, std::to_string(n));
  }
  // One alone is written too, and after a reconnect.
  const NextConnect connect(*connection);
  const NextConnect reader_connect(*reader);
  server.Stop();
  ASSERT_TRUE(server.Start());
  ASSERT_TRUE(connect.Wait() && reader_connect.Wait());
  ASSERT_TRUE(reader->Flush(kTestDeadline));
  ASSERT_TRUE(connection->Publish("a", "alone"));
  ASSERT_TRUE((*subscription)->Next(kTestDeadline).has_value());
}

}  // namespace
}  // namespace lanekeeper::nats
