// Submissions without a key: stored or refused, and never both.
#include "worker-runtime/gateway/gateway.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "worker-runtime/gateway/testing/gateway_fixture.h"
#include "worker-runtime/nats/pull_consumer.h"

namespace lanekeeper::gateway {
namespace {

using nats::Eventually;
using nats::kTestDeadline;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

class GatewayTest : public GatewayFixture {
 protected:
  // Takes the oldest waiting job, as a worker does, and leaves it running.
  void DeliverOne() {
    const std::string inbox = connection_->NewInbox();
    const auto delivered = connection_->Subscribe(inbox);
    ASSERT_TRUE(delivered);
    ASSERT_TRUE(connection_->PublishRequest(
        "$JS.API.CONSUMER.MSG.NEXT.LK_studio_media_short.workers", inbox, R"({"batch":1})"));
    ASSERT_TRUE((*delivered)->Next(kTestDeadline));
  }
};

TEST_F(GatewayTest, AnAcceptedJobIsStoredUnderTheIdItWasGiven) {
  MakeLane();
  const auto gateway = Start();
  const auto accepted = SubmitAndWait(
      *gateway, {.type = "thumbnail", .payload = "body", .headers = {{"X-Own", "1"}}});
  ASSERT_TRUE(accepted) << accepted.error().detail;
  EXPECT_EQ(accepted->lane, key_);
  EXPECT_EQ(accepted->sequence, 1U);
  EXPECT_FALSE(accepted->known);
  const JobMessage message = MessageAt(1);
  EXPECT_EQ(message.payload, "body");
  EXPECT_EQ(FindHeader(message.headers, "X-Own"), "1");
  EXPECT_EQ(FindHeader(message.headers, kHeaderCaller), "web");
  const auto head = DecodeHead(message);
  ASSERT_TRUE(head) << head.error().message;
  EXPECT_EQ(head->id, accepted->id);
  EXPECT_EQ(head->type, "thumbnail");
  EXPECT_TRUE(Eventually([&] { return gateway->Counts().in_hand == 0; }));
}

TEST_F(GatewayTest, NothingIsAcceptedBeforeItIsStored) {
  MakeLane();
  const auto gateway = Start();
  ASSERT_TRUE(SubmitAndWait(*gateway, {}));
  server_.Pause();
  Coming coming = Begin(*gateway, {.payload = "second"});
  EXPECT_FALSE(Came(coming));
  EXPECT_TRUE(Eventually([&] { return gateway->Counts().in_hand == 1; }));
  server_.Resume();
  const auto accepted = Wait(std::move(coming));
  ASSERT_TRUE(accepted) << accepted.error().detail;
  EXPECT_EQ(MessageAt(accepted->sequence).payload, "second");
}

TEST_F(GatewayTest, PositionsCountTheJobsBefore) {
  MakeLane();
  GatewayOptions options = Patient();
  // What was stored while a look was under way counts twice, until the next one.
  options.gauge_interval = seconds(60);
  const auto gateway = Start(options);
  for (std::int64_t n = 0; n < 5; ++n) {
    const auto accepted = SubmitAndWait(*gateway, {});
    ASSERT_TRUE(accepted) << accepted.error().detail;
    EXPECT_EQ(accepted->position, n);
  }
}

TEST_F(GatewayTest, WhatThePoolDoesNotHaveIsRefused) {
  MakeLane();
  const auto gateway = Start();
  const auto lane = SubmitAndWait(*gateway, {.lane = "long"});
  ASSERT_FALSE(lane);
  EXPECT_EQ(lane.error().type, ProblemType::kLaneNotFound);
  EXPECT_THAT(lane.error().detail, HasSubstr("It has: short."));
  for (const char* pool : {"none", "*", ">", "a.b", ""}) {
    std::promise<ProblemType> type;
    gateway->Submit("web", "studio", pool, {},
                    [&](const Answer<Accepted>& answer) { type.set_value(answer.error().type); });
    EXPECT_EQ(type.get_future().get(), ProblemType::kPoolNotFound) << pool;
  }
  EXPECT_EQ(Stored(), 0);
}

// A brief that should never have been: no name of it reaches a subject.
TEST_F(GatewayTest, ALaneThatIsNoNameIsNotPublishedTo) {
  LaneBrief bad = Short();
  bad.name = "*";
  pools_.Put(Media(bad));
  const auto gateway = Start();
  EXPECT_EQ(SubmitAndWait(*gateway, {}).error().type, ProblemType::kLaneNotFound);
}

TEST_F(GatewayTest, AFullLaneIsBusyAndItsStreamStaysAtItsLimit) {
  LaneBrief brief = Short();
  brief.depth_max = 3;
  MakeLane(brief);
  const auto gateway = Start();
  for (int n = 0; n < 3; ++n) ASSERT_TRUE(SubmitAndWait(*gateway, {}));
  for (int n = 0; n < 10; ++n) {
    const auto refused = SubmitAndWait(*gateway, {});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().type, ProblemType::kLaneFull);
    EXPECT_THAT(refused.error().detail, HasSubstr("maxDepth of 3"));
    ASSERT_TRUE(refused.error().retry_after);
    EXPECT_GE(*refused.error().retry_after, seconds(1));
  }
  EXPECT_EQ(Stored(), 3);
  Remove(1);
  EXPECT_TRUE(Eventually([&] { return SubmitAndWait(*gateway, {}).has_value(); }));
  EXPECT_EQ(Stored(), 3);
}

TEST_F(GatewayTest, AfterOneRefusalByTheStreamTheNextIsMadeHere) {
  LaneBrief brief = Short();
  brief.depth_max = 1;
  MakeLane(brief);
  GatewayOptions options = Patient();
  options.gauge_interval = seconds(60);  // What it saw before the first job is all it sees.
  const auto gateway = Start(options);
  ASSERT_TRUE(SubmitAndWait(*gateway, {}));
  EXPECT_EQ(SubmitAndWait(*gateway, {}).error().type, ProblemType::kLaneFull);
  server_.Pause();
  const Coming coming = Begin(*gateway, {});
  EXPECT_TRUE(Came(coming)) << "the server was asked";
  server_.Resume();
}

TEST_F(GatewayTest, ManyAtOnceNeverOverfillALane) {
  LaneBrief brief = Short();
  brief.depth_max = 50;
  MakeLane(brief);
  const auto gateway = Start();
  std::vector<Coming> coming;
  for (int n = 0; n < 500; ++n) coming.push_back(Begin(*gateway, {}));
  int accepted = 0;
  for (Coming& one : coming) {
    const auto answer = Wait(std::move(one));
    if (answer) {
      ++accepted;
    } else {
      EXPECT_EQ(answer.error().type, ProblemType::kLaneFull);
    }
  }
  EXPECT_EQ(accepted, 50);
  EXPECT_EQ(Stored(), 50);
}

TEST_F(GatewayTest, AJobThatWouldWaitTooLongIsRefused) {
  LaneBrief brief = Short();
  brief.admission.wait_max = seconds(60);
  MakeLane(brief);
  const auto gateway = Start();
  pools_.Predict(key_, seconds(45));
  EXPECT_EQ(SubmitAndWait(*gateway, {})->eta, seconds(45));
  pools_.Predict(key_, seconds(70));
  const auto refused = SubmitAndWait(*gateway, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().type, ProblemType::kWaitTooLong);
  EXPECT_EQ(refused.error().retry_after, seconds(10));
  EXPECT_EQ(Stored(), 1);
}

class CallerQuotaTest : public GatewayTest {
 protected:
  void SetUp() override {
    LaneBrief brief = Short();
    brief.admission.caller_depth_max = 2;
    MakeLane(brief);
  }
  std::optional<ProblemType> Refused(Gateway& gateway, const Caller& caller) {
    const auto answer = SubmitPatiently(gateway, {}, caller);
    return answer ? std::nullopt : std::optional(answer.error().type);
  }
};

TEST_F(CallerQuotaTest, OneCallerCannotFillTheLane) {
  const auto gateway = Start();
  EXPECT_EQ(Refused(*gateway, "web"), std::nullopt);
  EXPECT_EQ(Refused(*gateway, "web"), std::nullopt);
  EXPECT_EQ(Refused(*gateway, "web"), ProblemType::kCallerQuota);
  EXPECT_EQ(Refused(*gateway, "batch"), std::nullopt);
  EXPECT_EQ(Stored(), 3);
}

TEST_F(CallerQuotaTest, AJobThatHasStartedDoesNotCount) {
  const auto gateway = Start();
  for (int n = 0; n < 2; ++n) ASSERT_EQ(Refused(*gateway, "web"), std::nullopt);
  DeliverOne();
  EXPECT_TRUE(Eventually([&] { return Refused(*gateway, "web") == std::nullopt; }));
  EXPECT_EQ(Refused(*gateway, "web"), ProblemType::kCallerQuota);
}

TEST_F(CallerQuotaTest, HoldsAfterARestart) {
  {
    const auto gateway = Start();
    for (int n = 0; n < 2; ++n) ASSERT_EQ(Refused(*gateway, "web"), std::nullopt);
    ASSERT_EQ(Refused(*gateway, "batch"), std::nullopt);
    DeliverOne();
  }
  const auto gateway = Start();
  EXPECT_EQ(Refused(*gateway, "web"), std::nullopt);
  EXPECT_EQ(Refused(*gateway, "web"), ProblemType::kCallerQuota);
  EXPECT_EQ(Refused(*gateway, "batch"), std::nullopt);
  EXPECT_EQ(Refused(*gateway, "batch"), ProblemType::kCallerQuota);
}

TEST_F(CallerQuotaTest, ManyAtOnceDoNotGetPastIt) {
  const auto gateway = Start();
  std::vector<Coming> coming;
  for (int n = 0; n < 50; ++n) coming.push_back(Begin(*gateway, {}));
  int accepted = 0;
  for (Coming& one : coming) accepted += Wait(std::move(one)).has_value() ? 1 : 0;
  EXPECT_EQ(accepted, 2);
}

// The server gets both; the answer to the first came when nobody waited for it any more.
TEST_F(GatewayTest, ALostAnswerMakesNoSecondJob) {
  MakeLane();
  const auto gateway = Start();
  ASSERT_TRUE(SubmitAndWait(*gateway, {}));
  server_.Pause();
  Coming coming = Begin(*gateway, {.payload = "second"});
  ASSERT_TRUE(Eventually([&] { return gateway->Counts().published_again >= 1; }));
  server_.Resume();
  const auto accepted = Wait(std::move(coming));
  ASSERT_TRUE(accepted) << accepted.error().detail;
  EXPECT_EQ(accepted->sequence, 2U);
  ASSERT_TRUE(connection_->WaitConnected(kTestDeadline));
  EXPECT_EQ(Stored(), 2);
}

TEST_F(GatewayTest, WithoutNatsTheQueueIsUnavailable) {
  MakeLane();
  GatewayOptions options = Patient();
  options.publish_timeout = milliseconds(500);
  const auto gateway = Start(options);
  ASSERT_TRUE(SubmitPatiently(*gateway, {}));
  server_.Stop();
  const auto refused = SubmitAndWait(*gateway, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().type, ProblemType::kQueueUnavailable);
  EXPECT_TRUE(refused.error().retry_after);
  const auto keyed = SubmitAndWait(*gateway, {.idempotency_key = "k"});
  ASSERT_FALSE(keyed);
  EXPECT_EQ(keyed.error().type, ProblemType::kQueueUnavailable);
  EXPECT_TRUE(Eventually([&] { return gateway->Counts().in_hand == 0; }));
  ASSERT_TRUE(server_.Start());
  EXPECT_TRUE(Eventually([&] { return SubmitAndWait(*gateway, {}).has_value(); }));
}

TEST_F(GatewayTest, ARestartOfTheServerIsOnlyAPause) {
  MakeLane();
  const auto gateway = Start();
  ASSERT_TRUE(SubmitAndWait(*gateway, {}));
  server_.Stop();
  std::vector<Coming> coming;
  for (int n = 0; n < 20; ++n) coming.push_back(Begin(*gateway, {}));
  ASSERT_TRUE(server_.Start());
  for (Coming& one : coming) EXPECT_TRUE(Wait(std::move(one)));
  EXPECT_EQ(Stored(), 21);
}

TEST_F(GatewayTest, ALaneWithoutAStreamIsUnavailable) {
  GatewayOptions options = Patient();
  options.publish_timeout = milliseconds(500);
  const auto gateway = Start(options);
  EXPECT_EQ(SubmitAndWait(*gateway, {}).error().type, ProblemType::kQueueUnavailable);
}

TEST_F(GatewayTest, HoldsOnlySoManyInHand) {
  MakeLane();
  GatewayOptions options = Patient();
  options.in_hand_max = 2;
  const auto gateway = Start(options);
  // A job is in hand until after its answer has been told.
  const auto none_in_hand = [&] { return gateway->Counts().in_hand == 0; };
  ASSERT_TRUE(SubmitAndWait(*gateway, {}));
  ASSERT_TRUE(Eventually(none_in_hand));
  server_.Pause();
  Coming first = Begin(*gateway, {});
  Coming second = Begin(*gateway, {});
  const auto third = SubmitAndWait(*gateway, {});
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().type, ProblemType::kTooManyRequests);
  EXPECT_EQ(third.error().retry_after, seconds(1));
  server_.Resume();
  EXPECT_TRUE(Wait(std::move(first)));
  EXPECT_TRUE(Wait(std::move(second)));
  EXPECT_TRUE(Eventually(none_in_hand));
  EXPECT_TRUE(SubmitAndWait(*gateway, {}));
}

TEST_F(GatewayTest, AJobLargerThanNatsTakesIsRefusedBeforeItsKeyIsWritten) {
  MakeLane();
  const auto gateway = Start();
  const auto refused =
      SubmitAndWait(*gateway, {.payload = std::string(1 << 20, 'x'), .idempotency_key = "large"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().type, ProblemType::kPayloadTooLarge);
  EXPECT_EQ(Keys(), 0);
  EXPECT_TRUE(SubmitAndWait(*gateway, {.payload = std::string((1 << 20) - 1024, 'x')}));
}

TEST_F(GatewayTest, TheOperatorIsToldThatThereAreJobs) {
  MakeLane();
  auto wakes = connection_->Subscribe(WakeSubject(key_));
  ASSERT_TRUE(wakes);
  const auto gateway = Start();
  ASSERT_TRUE(SubmitAndWait(*gateway, {}));
  EXPECT_TRUE((*wakes)->Next(kTestDeadline));
}

TEST_F(GatewayTest, AGaugeFollowsItsLane) {
  MakeLane();
  const auto gateway = Start();
  EXPECT_EQ(gateway->Gauge({"studio", "media", "none"}), std::nullopt);
  for (int n = 0; n < 3; ++n) ASSERT_TRUE(SubmitAndWait(*gateway, {}));
  DeliverOne();
  EXPECT_TRUE(Eventually([&] {
    const auto gauge = gateway->Gauge(key_);
    return gauge && gauge->depth == 3 && gauge->waiting == 2;
  }));
  Remove(2);
  EXPECT_TRUE(Eventually([&] {
    const auto gauge = gateway->Gauge(key_);
    return gauge && gauge->depth == 2;
  }));
  // One after the other: what leaves between two looks that are far apart has no rate.
  EXPECT_TRUE(Eventually([&] {
    const auto gauge = gateway->Gauge(key_);
    if (gauge && gauge->drained_per_second > 0) return true;
    const auto accepted = SubmitAndWait(*gateway, {});
    if (accepted) Remove(accepted->sequence);
    return false;
  }));
}

class ExternalLaneTest : public GatewayTest {
 protected:
  void MakeStream(const std::string& config, const std::string& filter = "") {
    ASSERT_TRUE(jetstream_.CreateStream("ORDERS", config));
    ASSERT_TRUE(jetstream_.PutConsumer(
        "ORDERS", "mine",
        R"({"durable_name":"mine","ack_policy":"explicit")" +
            (filter.empty() ? "" : R"(,"filter_subject":")" + filter + "\"") + "}",
        "create"));
    LaneBrief brief = Short();
    brief.stream = "ORDERS";
    brief.consumer = "mine";
    brief.external = true;
    pools_.Put(Media(brief));
  }
};

TEST_F(ExternalLaneTest, ItsJobsGoToTheSubjectOfItsStream) {
  MakeStream(R"({"name":"ORDERS","subjects":["orders.new"]})");
  const auto gateway = Start();
  const auto accepted = SubmitPatiently(*gateway, {.payload = "body"});
  ASSERT_TRUE(accepted) << accepted.error().detail;
  EXPECT_THAT(accepted->id, HasSubstr("ORDERS.1."));
  EXPECT_EQ(jetstream_.GetMessage("ORDERS", 1)->subject, "orders.new");
}

TEST_F(ExternalLaneTest, OrToWhatItsConsumerReads) {
  MakeStream(R"({"name":"ORDERS","subjects":["orders.>"]})", "orders.new");
  const auto gateway = Start();
  ASSERT_TRUE(SubmitPatiently(*gateway, {}));
  EXPECT_EQ(jetstream_.GetMessage("ORDERS", 1)->subject, "orders.new");
}

TEST_F(ExternalLaneTest, ManySubjectsAreRefusedWithTheRemedy) {
  MakeStream(R"({"name":"ORDERS","subjects":["orders.*"]})");
  const auto gateway = Start();
  EXPECT_TRUE(Eventually([&] {  // Once it has read the stream.
    const auto refused = SubmitAndWait(*gateway, {});
    EXPECT_FALSE(refused);
    return !refused && refused.error().type == ProblemType::kQueueUnavailable &&
           refused.error().detail.find("filter_subject") != std::string::npos;
  }));
}

TEST_F(ExternalLaneTest, ItsStreamSaysWhenItIsFull) {
  MakeStream(
      R"({"name":"ORDERS","subjects":["orders"],"max_msgs":2,"discard":"new",
          "retention":"workqueue","max_msg_size":1000})");
  const auto gateway = Start();
  const auto large = SubmitPatiently(*gateway, {.payload = std::string(2000, 'x')});
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().type, ProblemType::kPayloadTooLarge);
  ASSERT_TRUE(SubmitPatiently(*gateway, {}));
  ASSERT_TRUE(SubmitPatiently(*gateway, {}));
  const auto refused = SubmitPatiently(*gateway, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().type, ProblemType::kLaneFull);
  EXPECT_THAT(refused.error().detail, HasSubstr("its stream"));
}

// The clients of a gateway that ends are still answered.
TEST_F(GatewayTest, WhatIsInHandIsAnsweredBeforeItEnds) {
  MakeLane();
  std::vector<Coming> coming;
  {
    const auto gateway = Start();
    for (int n = 0; n < 200; ++n) coming.push_back(Begin(*gateway, {}));
  }
  for (Coming& one : coming) EXPECT_TRUE(Came(one) && one.get());
  EXPECT_EQ(Stored(), 200);
}

TEST_F(GatewayTest, OneThatCannotAnswerEndsAllTheSame) {
  MakeLane();
  GatewayOptions options;
  options.publish_timeout = milliseconds(200);
  auto gateway = Start(options);
  ASSERT_TRUE(SubmitPatiently(*gateway, {}));
  server_.Pause();
  const Coming coming = Begin(*gateway, {});
  gateway.reset();
  server_.Resume();
  connection_->Close();  // Late answers find nobody, and harm nobody.
}

}  // namespace
}  // namespace lanekeeper::gateway
