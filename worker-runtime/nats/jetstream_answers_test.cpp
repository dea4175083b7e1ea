#include "worker-runtime/nats/jetstream_answers.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace lanekeeper::nats {
namespace {

using nlohmann::json;

// As nats-server 2.15.2 wrote it.
constexpr const char* kConsumerInfo =
    R"({"type":"io.nats.jetstream.api.v1.consumer_info_response","stream_name":"S","name":"workers",)"
    R"("created":"2026-11-24T22:00:00.1Z","config":{"durable_name":"workers","name":"workers",)"
    R"("deliver_policy":"all","ack_policy":"explicit","ack_wait":30000000000,"max_deliver":-1,)"
    R"("replay_policy":"instant","max_waiting":512,"max_ack_pending":1000,"num_replicas":0},)"
    R"("delivered":{"consumer_seq":9,"stream_seq":7,"last_active":"2026-11-24T22:00:00Z"},)"
    R"("ack_floor":{"consumer_seq":5,"stream_seq":4},"num_ack_pending":3,"num_redelivered":2,)"
    R"("num_waiting":1,"num_pending":42,"ts":"2026-11-24T22:00:00Z"})";

Message Body(std::string payload) { return {.payload = std::move(payload)}; }

Message ApiFailure(int code, int err_code) {
  return Body(json{{"type", "x"},
                   {"error", {{"code", code}, {"err_code", err_code}, {"description", "said"}}}}
                  .dump());
}

TEST(JetStreamAnswers, ReadsAConsumerInfo) {
  const auto state = ParseConsumerState(Body(kConsumerInfo));
  ASSERT_TRUE(state.has_value()) << state.error().error.message;
  EXPECT_EQ(state->pending, 42);
  EXPECT_EQ(state->ack_pending, 3);
  EXPECT_EQ(state->redelivered, 2);
  EXPECT_EQ(state->waiting_pulls, 1);
  EXPECT_EQ(state->delivered_stream_sequence, 7u);
  EXPECT_EQ(state->delivered_consumer_sequence, 9u);
  EXPECT_EQ(state->ack_floor_stream_sequence, 4u);
  EXPECT_EQ(state->ack_floor_consumer_sequence, 5u);
  EXPECT_EQ(state->ack_pending_max, 1000);
  EXPECT_FALSE(state->paused);
}

TEST(JetStreamAnswers, UnlimitedAckPendingIsZero) {
  json info = json::parse(kConsumerInfo);
  info["config"]["max_ack_pending"] = -1;
  EXPECT_EQ(ParseConsumerState(Body(info.dump()))->ack_pending_max, 0);
}

TEST(JetStreamAnswers, RefusesConsumerInfosThatAreIncompleteOrNonsense) {
  for (const char* field :
       {"num_pending", "num_ack_pending", "num_waiting", "num_redelivered", "config"}) {
    for (const json& value : {json(), json("x"), json(-1), json(1.5), json(1e300)}) {
      json info = json::parse(kConsumerInfo);
      info[field] = value;
      const auto state = ParseConsumerState(Body(info.dump()));
      ASSERT_FALSE(state.has_value()) << field << " " << value;
      EXPECT_EQ(state.error().cause, ApiCause::kUnreadable);
      info.erase(field);
      EXPECT_FALSE(ParseConsumerState(Body(info.dump())).has_value()) << field;
    }
  }
  for (const char* text : {"", "[]", "{", "{}", "null", "\xff", R"({"error":3})"}) {
    const auto state = ParseConsumerState(Body(text));
    ASSERT_FALSE(state.has_value()) << text;
    EXPECT_EQ(state.error().cause, ApiCause::kUnreadable) << text;
  }
}

TEST(JetStreamAnswers, EveryErrorHasACauseAndAKind) {
  struct Row {
    int code, err_code;
    ApiCause cause;
    ErrorKind kind;
  };
  for (const Row& row : {Row{404, 10059, ApiCause::kStreamMissing, ErrorKind::kNotFound},
                         Row{404, 10014, ApiCause::kConsumerMissing, ErrorKind::kNotFound},
                         Row{404, 10037, ApiCause::kMessageMissing, ErrorKind::kNotFound},
                         Row{503, 10077, ApiCause::kQueueFull, ErrorKind::kRetryable},
                         Row{400, 10071, ApiCause::kWrongRevision, ErrorKind::kInvalid},
                         Row{400, 10002, ApiCause::kNoRoom, ErrorKind::kRetryable},
                         Row{503, 10023, ApiCause::kNoRoom, ErrorKind::kRetryable},
                         Row{500, 10028, ApiCause::kNoRoom, ErrorKind::kRetryable},
                         Row{500, 10047, ApiCause::kNoRoom, ErrorKind::kRetryable},
                         Row{429, 10167, ApiCause::kBusy, ErrorKind::kRetryable},
                         Row{503, 10039, ApiCause::kJetStreamOff, ErrorKind::kRetryable},
                         Row{503, 10076, ApiCause::kJetStreamOff, ErrorKind::kRetryable},
                         Row{500, 10052, ApiCause::kRefused, ErrorKind::kInvalid},
                         Row{400, 10100, ApiCause::kRefused, ErrorKind::kInvalid},
                         Row{400, 10003, ApiCause::kRefused, ErrorKind::kInvalid},
                         Row{503, 10008, ApiCause::kRefused, ErrorKind::kRetryable}}) {
    const auto state = ParseConsumerState(ApiFailure(row.code, row.err_code));
    ASSERT_FALSE(state.has_value());
    EXPECT_EQ(state.error().cause, row.cause) << row.err_code;
    EXPECT_EQ(state.error().error.kind, row.kind) << row.err_code;
    EXPECT_EQ(state.error().err_code, row.err_code);
    EXPECT_NE(state.error().error.message.find("said"), std::string::npos);
  }
}

TEST(JetStreamAnswers, NoRespondersMeansJetStreamIsOff) {
  const Message answer{.status = 503};
  EXPECT_EQ(ParseConsumerState(answer).error().cause, ApiCause::kJetStreamOff);
  EXPECT_EQ(ParsePubAck(answer).error().cause, ApiCause::kStreamMissing);
}

TEST(JetStreamAnswers, ReadsPublishAcks) {
  const auto ack = ParsePubAck(Body(R"({"stream":"S","seq":7,"duplicate":true})"));
  ASSERT_TRUE(ack.has_value());
  EXPECT_EQ(ack->stream, "S");
  EXPECT_EQ(ack->sequence, 7u);
  EXPECT_TRUE(ack->duplicate);
  EXPECT_FALSE(ParsePubAck(Body(R"({"stream":"S"})")).has_value());
  EXPECT_EQ(ParsePubAck({.payload = R"({"stream":"S", "seq":12})"})->sequence, 12U);
  EXPECT_EQ(ParsePubAck({.payload = R"({"stream":"S","seq":12,"duplicate":true})"})->duplicate,
            true);
  EXPECT_EQ(ParsePubAck({.payload = R"({"stream":"S", "seq":12)"}).error().cause,
            ApiCause::kUnreadable);
  EXPECT_EQ(ParsePubAck({.payload = R"({"stream":"", "seq":12})"}).error().cause,
            ApiCause::kUnreadable);
  EXPECT_EQ(ParsePubAck(ApiFailure(503, 10077)).error().cause, ApiCause::kQueueFull);
}

TEST(JetStreamAnswers, ADirectlyReadMessageMayCarryAnyHeader) {
  const Message answer{.headers = {{"Nats-Sequence", "3"},
                                   {"Nats-Subject", "a.b"},
                                   {"Nats-Stream", "S"},
                                   {"Nats-Time-Stamp", "2026-11-24T22:28:40.5Z"},
                                   {"Status", "404"},
                                   {"Lk-Type", "x"}},
                       .status = 404};
  const auto stored = ParseStoredMessage(answer);
  ASSERT_TRUE(stored.has_value());
  EXPECT_EQ(stored->sequence, 3u);
  EXPECT_EQ(stored->subject, "a.b");
  EXPECT_EQ(stored->headers, (Headers{{"Status", "404"}, {"Lk-Type", "x"}}));
}

TEST(JetStreamAnswers, ReadsAMessageOfTheApi) {
  const auto stored = ParseStoredMessage(
      Body(R"({"message":{"subject":"a","seq":2,"hdrs":"TkFUUy8xLjANCkE6IGINCkM6ZA0KDQo=",)"
           R"("data":"aGVsbG8=","time":"2026-11-24T22:28:40Z"}})"));
  ASSERT_TRUE(stored.has_value());
  EXPECT_EQ(stored->payload, "hello");
  EXPECT_EQ(stored->headers, (Headers{{"A", "b"}, {"C", "d"}}));
}

TEST(ParseServerTime, ReadsWhatTheServerWrites) {
  const auto plain = ParseServerTime("2026-11-24T22:28:40Z");
  ASSERT_TRUE(plain.has_value());
  EXPECT_EQ(FormatRfc3339(*plain), "2026-11-24T22:28:40Z");
  EXPECT_EQ(*ParseServerTime("2026-11-24T22:28:40.000000250Z") - *plain,
            std::chrono::nanoseconds(250));
  EXPECT_EQ(ParseServerTime("2026-11-25T00:28:40+02:00"), plain);
  EXPECT_EQ(ParseServerTime("2026-11-24T21:28:40-01:00"), plain);
}

TEST(ParseServerTime, RefusesEverythingElse) {
  for (const char* text :
       {"", "yesterday", "2026-11-24", "2026-11-24T22:28:40", "2026-11-24T22:28:40.Z",
        "2026-11-24T22:28:40Zx", "2026-11-24T22:28:40+2"}) {
    EXPECT_FALSE(ParseServerTime(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace lanekeeper::nats
