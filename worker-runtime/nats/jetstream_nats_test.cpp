#include "worker-runtime/nats/jetstream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "worker-runtime/nats/queue_setup.h"
#include "worker-runtime/nats/testing/nats_test.h"

namespace lanekeeper::nats {
namespace {

using nlohmann::json;

class JetStreamTest : public testing::Test {
 protected:
  NatsServer server_ = RunServer();
  std::unique_ptr<Connection> connection_ = Connect(server_.url());
  JetStream jetstream_{*connection_, kAnswerDeadline};
};

TEST_F(JetStreamTest, StoresReadsAndRemovesMessages) {
  ASSERT_TRUE(jetstream_.CreateStream("S", R"({"name":"S","subjects":["s.*"],"allow_direct":true})")
                  .has_value());
  const Headers headers{{"Nats-Msg-Id", "1"}, {"Lk-Type", "x"}};
  const auto first = jetstream_.PublishAck("s.a", "body", headers);
  ASSERT_TRUE(first.has_value()) << first.error().error.message;
  EXPECT_EQ(first->stream, "S");
  EXPECT_EQ(first->sequence, 1u);
  EXPECT_FALSE(first->duplicate);
  EXPECT_TRUE(jetstream_.PublishAck("s.a", "body", headers)->duplicate);
  ASSERT_TRUE(jetstream_.PublishAck("s.b", "other").has_value());

  const auto stored = jetstream_.GetMessage("S", 1);
  ASSERT_TRUE(stored.has_value()) << stored.error().error.message;
  EXPECT_EQ(stored->payload, "body");
  EXPECT_THAT(stored->headers, testing::UnorderedElementsAreArray(headers));
  const auto next = jetstream_.NextMessage("S", 1, "s.b");
  ASSERT_TRUE(next.has_value()) << next.error().error.message;
  EXPECT_EQ(next->sequence, 2u);
  EXPECT_EQ(next->payload, "other");
  EXPECT_EQ(jetstream_.NextMessage("S", 3, "s.b").error().cause, ApiCause::kMessageMissing);

  const auto state = jetstream_.StreamInfo("S", ">");
  ASSERT_TRUE(state.has_value());
  EXPECT_EQ(state->messages, 2);
  EXPECT_THAT(state->subjects,
              testing::UnorderedElementsAre(std::pair<std::string, std::int64_t>("s.a", 1),
                                            std::pair<std::string, std::int64_t>("s.b", 1)));
  ASSERT_TRUE(jetstream_.DeleteMessage("S", 1).has_value());
  EXPECT_EQ(jetstream_.GetMessage("S", 1).error().cause, ApiCause::kMessageMissing);
}

TEST_F(JetStreamTest, ErrorsSayWhatIsMissing) {
  EXPECT_EQ(jetstream_.StreamInfo("NONE").error().cause, ApiCause::kStreamMissing);
  EXPECT_EQ(jetstream_.ConsumerInfo("NONE", "c").error().cause, ApiCause::kStreamMissing);
  ASSERT_TRUE(jetstream_.CreateStream("S", R"({"name":"S","subjects":["s"]})").has_value());
  EXPECT_EQ(jetstream_.ConsumerInfo("S", "c").error().cause, ApiCause::kConsumerMissing);
  EXPECT_EQ(jetstream_.PublishAck("nobody.takes.this", "").error().cause, ApiCause::kStreamMissing);
  for (const char* name : {"", "a.b", "a b", "*", ">", "a\tb"}) {
    EXPECT_EQ(jetstream_.StreamInfo(name).error().error.kind, ErrorKind::kInvalid) << name;
  }
}

TEST_F(JetStreamTest, AFullQueueIsToldApart) {
  ASSERT_TRUE(
      jetstream_.CreateStream("S", R"({"name":"S","subjects":["s"],"max_msgs":1,"discard":"new"})")
          .has_value());
  ASSERT_TRUE(jetstream_.PublishAck("s", "").has_value());
  const auto full = jetstream_.PublishAck("s", "");
  ASSERT_FALSE(full.has_value());
  EXPECT_EQ(full.error().cause, ApiCause::kQueueFull);
  EXPECT_EQ(full.error().err_code, 10077);
  EXPECT_EQ(full.error().error.kind, ErrorKind::kRetryable);
}

TEST_F(JetStreamTest, ListsAreReadPageByPage) {
  constexpr int kStreams = 1030;  // A page of names holds 1024.
  for (int i = 0; i < kStreams; ++i) {
    const std::string name = "S" + std::to_string(i);
    ASSERT_TRUE(jetstream_
                    .CreateStream(name, json{{"name", name},
                                             {"subjects", {"s." + std::to_string(i)}},
                                             {"storage", "memory"}}
                                            .dump())
                    .has_value());
  }
  const auto names = jetstream_.StreamNames();
  ASSERT_TRUE(names.has_value());
  EXPECT_EQ(names->size(), static_cast<std::size_t>(kStreams));
  EXPECT_EQ(jetstream_.StreamNames("s.7")->size(), 1u);
  ASSERT_TRUE(jetstream_.PutConsumer("S1", "c", R"({"name":"c"})", "create").has_value());
  EXPECT_THAT(*jetstream_.ConsumerNames("S1"), testing::ElementsAre("c"));
}

TEST(JetStreamOff, IsToldApartFromAnythingElse) {
  NatsServer server = RunServer({.jetstream = false});
  auto connection = Connect(server.url());
  EXPECT_EQ(JetStream(*connection, kAnswerDeadline).ConsumerInfo("S", "c").error().cause,
            ApiCause::kJetStreamOff);
}

TEST(JetStreamOff, AnAccountWithoutItToo) {
  NatsServer server = RunServer(
      {.config = "accounts: {WITH: {jetstream: enabled, users: [{user: w, password: w}]}, "
                 "WITHOUT: {users: [{user: o, password: o}]}}"});
  auto with = Connect(server.url("w:w"));
  auto without = Connect(server.url("o:o"));
  EXPECT_EQ(JetStream(*with, kAnswerDeadline).StreamInfo("S").error().cause,
            ApiCause::kStreamMissing);
  EXPECT_EQ(JetStream(*without, kAnswerDeadline).StreamInfo("S").error().cause,
            ApiCause::kJetStreamOff);
}

// Counts API requests by listening to them.
class ApiRequests {
 public:
  explicit ApiRequests(Connection& connection)
      : connection_(connection), subscription_(*connection.Subscribe("$JS.API.>")) {}
  std::vector<std::string> Take() {
    EXPECT_TRUE(connection_.Flush(kTestDeadline).has_value());
    std::vector<std::string> subjects;
    while (auto message = subscription_->Next(std::chrono::milliseconds(0))) {
      subjects.push_back(message->subject);
    }
    return subjects;
  }

 private:
  Connection& connection_;
  std::unique_ptr<Subscription> subscription_;
};

class QueueSetupTest : public JetStreamTest {
 protected:
  json StreamConfig(const std::string& stream) {
    return json::parse(jetstream_.StreamInfo(stream)->config_json);
  }
  json WorkersConfig() {
    return json::parse(jetstream_.ConsumerInfo(stream_, "workers")->config_json);
  }
  const LaneKey key_{"studio", "media", "short"};
  const std::string stream_ = JobStreamName(key_);
};

TEST_F(QueueSetupTest, MakesWhatTheContractSays) {
  ASSERT_TRUE(EnsureJobQueue(jetstream_, key_, {.depth_max = 7}).has_value());
  const json stream = StreamConfig(stream_);
  EXPECT_EQ(stream["retention"], "workqueue");
  EXPECT_EQ(stream["storage"], "file");
  EXPECT_EQ(stream["discard"], "new");
  EXPECT_EQ(stream["max_msgs"], 7);
  EXPECT_EQ(stream["subjects"], json::array({"lk.jobs.studio.media.short"}));
  EXPECT_EQ(stream["allow_direct"], true);
  EXPECT_EQ(stream["metadata"]["lanekeeper.dev/schema"], "1");
  EXPECT_EQ(stream["metadata"]["lanekeeper.dev/pool"], "studio/media");
  EXPECT_EQ(stream["metadata"]["lanekeeper.dev/lane"], "short");
  const json workers = WorkersConfig();
  EXPECT_EQ(workers["ack_policy"], "explicit");
  EXPECT_EQ(workers["ack_wait"], 30'000'000'000);
  EXPECT_EQ(workers["max_deliver"], -1);
  EXPECT_EQ(workers["max_ack_pending"], 100'000);
  EXPECT_EQ(workers["max_waiting"], 4096);
  EXPECT_EQ(workers["deliver_policy"], "all");
  EXPECT_FALSE(workers.contains("backoff"));

  ASSERT_TRUE(EnsureDeadLetters(jetstream_, "studio", "media", {}).has_value());
  const json dead = StreamConfig("LK_studio_media_DEAD");
  EXPECT_EQ(dead["retention"], "limits");
  EXPECT_EQ(dead["discard"], "old");
  EXPECT_EQ(dead["subjects"], json::array({"lk.dead.studio.media.*"}));
}

TEST_F(QueueSetupTest, WritesNothingWhenNothingDiffers) {
  ApiRequests requests(*connection_);
  ASSERT_TRUE(EnsureJobQueue(jetstream_, key_, {}).has_value());
  ASSERT_TRUE(EnsureDeadLetters(jetstream_, "studio", "media", {}).has_value());
  EXPECT_EQ(requests.Take().size(), 6u);  // Look and make, three times.
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(EnsureJobQueue(jetstream_, key_, {}).has_value());
    ASSERT_TRUE(EnsureDeadLetters(jetstream_, "studio", "media", {}).has_value());
    EXPECT_THAT(requests.Take(),
                testing::ElementsAre("$JS.API.STREAM.INFO." + stream_,
                                     "$JS.API.CONSUMER.INFO." + stream_ + ".workers",
                                     "$JS.API.STREAM.INFO.LK_studio_media_DEAD"));
  }
}

TEST_F(QueueSetupTest, KeepsFieldsItDoesNotKnow) {
  ASSERT_TRUE(EnsureJobQueue(jetstream_, key_, {.depth_max = 10}).has_value());
  json changed = StreamConfig(stream_);
  changed["description"] = "a person wrote this";
  changed["allow_msg_ttl"] = true;
  changed["metadata"]["owner"] = "team-a";
  ASSERT_TRUE(jetstream_.UpdateStream(stream_, changed.dump()).has_value());
  json consumer = WorkersConfig();
  consumer["metadata"]["owner"] = "team-a";
  consumer["max_batch"] = 50;
  ASSERT_TRUE(jetstream_.PutConsumer(stream_, "workers", consumer.dump(), "update").has_value());

  ASSERT_TRUE(
      EnsureJobQueue(jetstream_, key_, {.depth_max = 20, .ack_wait = std::chrono::seconds(60)})
          .has_value());
  const json after = StreamConfig(stream_);
  EXPECT_EQ(after["max_msgs"], 20);
  EXPECT_EQ(after["description"], "a person wrote this");
  EXPECT_EQ(after["allow_msg_ttl"], true);
  EXPECT_EQ(after["metadata"]["owner"], "team-a");
  const json workers = WorkersConfig();
  EXPECT_EQ(workers["ack_wait"], 60'000'000'000);
  EXPECT_EQ(workers["metadata"]["owner"], "team-a");
  EXPECT_EQ(workers["max_batch"], 50);
}

TEST_F(QueueSetupTest, ALowerDepthDropsNoJob) {
  ASSERT_TRUE(EnsureJobQueue(jetstream_, key_, {.depth_max = 10}).has_value());
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(jetstream_.PublishAck(JobSubject(key_), "").has_value());
  ASSERT_TRUE(EnsureJobQueue(jetstream_, key_, {.depth_max = 3}).has_value());
  EXPECT_EQ(jetstream_.StreamInfo(stream_)->messages, 10);
  EXPECT_EQ(jetstream_.PublishAck(JobSubject(key_), "").error().cause, ApiCause::kQueueFull);
  const NextConnect connect(*connection_);
  server_.Stop();
  ASSERT_TRUE(server_.Start().has_value());
  ASSERT_TRUE(connect.Wait());
  const auto after = jetstream_.StreamInfo(stream_);
  ASSERT_TRUE(after.has_value()) << after.error().error.message;
  EXPECT_EQ(after->messages, 10);
}

TEST_F(QueueSetupTest, RefusesWhatJetStreamCannotChangeAndSaysTheRemedy) {
  ASSERT_TRUE(EnsureJobQueue(jetstream_, key_, {}).has_value());
  const auto storage = EnsureJobQueue(jetstream_, key_, {.storage = Storage::kMemory});
  ASSERT_FALSE(storage.has_value());
  EXPECT_EQ(storage.error().kind, ErrorKind::kInvalid);
  EXPECT_THAT(storage.error().message, testing::HasSubstr("storage is file, wanted memory"));
  EXPECT_THAT(storage.error().message, testing::HasSubstr("remove the stream"));
}

TEST_F(QueueSetupTest, RefusesASomebodyElsesStream) {
  ApiRequests requests(*connection_);
  ASSERT_TRUE(
      jetstream_.CreateStream(stream_, json{{"name", stream_}, {"subjects", {"theirs"}}}.dump())
          .has_value());
  requests.Take();
  const auto refused = EnsureJobQueue(jetstream_, key_, {});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().kind, ErrorKind::kInvalid);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("theirs"));
  EXPECT_THAT(requests.Take(), testing::ElementsAre("$JS.API.STREAM.INFO." + stream_));
}

TEST_F(QueueSetupTest, RefusesAPushConsumerOfThatName) {
  ASSERT_TRUE(EnsureJobQueue(jetstream_, key_, {.consumer = "other"}).has_value());
  ASSERT_TRUE(jetstream_.DeleteConsumer(stream_, "other").has_value());
  ASSERT_TRUE(jetstream_
                  .PutConsumer(stream_, "workers",
                               R"({"durable_name":"workers","name":"workers",)"
                               R"("deliver_subject":"x","ack_policy":"explicit"})",
                               "create")
                  .has_value());
  const auto refused = EnsureJobQueue(jetstream_, key_, {});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().kind, ErrorKind::kInvalid);
}

TEST_F(QueueSetupTest, MakesADeletedConsumerAgain) {
  ASSERT_TRUE(EnsureJobQueue(jetstream_, key_, {}).has_value());
  ASSERT_TRUE(jetstream_.PublishAck(JobSubject(key_), "").has_value());
  ASSERT_TRUE(jetstream_.DeleteConsumer(stream_, "workers").has_value());
  ASSERT_TRUE(EnsureJobQueue(jetstream_, key_, {}).has_value());
  EXPECT_EQ(jetstream_.ConsumerInfo(stream_, "workers")->pending, 1);
}

TEST_F(QueueSetupTest, ReplicasAServerAloneCannotGiveAreInvalid) {
  const auto refused = EnsureJobQueue(jetstream_, key_, {.replicas = 3});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().kind, ErrorKind::kInvalid) << refused.error().message;
}

TEST_F(QueueSetupTest, RemovingIsIdempotent) {
  ASSERT_TRUE(EnsureJobQueue(jetstream_, key_, {}).has_value());
  EXPECT_TRUE(RemoveStream(jetstream_, stream_).has_value());
  EXPECT_TRUE(RemoveStream(jetstream_, stream_).has_value());
  EXPECT_EQ(jetstream_.StreamInfo(stream_).error().cause, ApiCause::kStreamMissing);
}

}  // namespace
}  // namespace lanekeeper::nats
