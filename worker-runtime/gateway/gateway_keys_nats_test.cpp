// Submissions with an Idempotency-Key: one job, whatever happens in between.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <ostream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "worker-runtime/gateway/keys.h"
#include "worker-runtime/gateway/testing/gateway_fixture.h"
#include "worker-runtime/job/job_record.h"
#include "worker-runtime/nats/job_record_json.h"
#include "worker-runtime/nats/queue_setup.h"
#include "worker-runtime/nats/testing/nats_cluster.h"

namespace lanekeeper::gateway {
namespace {

using nats::Connect;
using nats::Eventually;
using nats::kAnswerDeadline;
using nats::NextConnect;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

Submission Order(const std::string& payload = "body") {
  return {.type = "order", .payload = payload, .idempotency_key = "order-1"};
}

class KeysTest : public GatewayFixture {
 protected:
  void SetUp() override { MakeLane(); }
};

TEST_F(KeysTest, TheSameKeyAndBodyAreTheSameJob) {
  const auto gateway = Start();
  const auto first = SubmitAndWait(*gateway, Order());
  ASSERT_TRUE(first) << first.error().detail;
  EXPECT_FALSE(first->known);
  for (int n = 0; n < 3; ++n) {
    const auto again = SubmitAndWait(*gateway, Order());
    ASSERT_TRUE(again) << again.error().detail;
    EXPECT_EQ(again->id, first->id);
    EXPECT_EQ(again->sequence, first->sequence);
    EXPECT_EQ(again->lane, key_);
    EXPECT_TRUE(again->known);
  }
  EXPECT_EQ(Stored(), 1);
  EXPECT_EQ(DecodeHead(MessageAt(1))->id, first->id);
}

TEST_F(KeysTest, AlsoAfterTheGatewayAndTheServerWereStartedAnewAndTheJobIsDone) {
  std::string id;
  {
    const auto gateway = Start();
    id = SubmitAndWait(*gateway, Order())->id;
  }
  {
    const auto gateway = Start();
    EXPECT_EQ(SubmitAndWait(*gateway, Order())->id, id);
  }
  Remove(1);
  const NextConnect connect(*connection_);
  server_.Kill();
  ASSERT_TRUE(server_.Start());
  ASSERT_TRUE(connect.Wait());
  const auto gateway = Start();
  const auto again = SubmitPatiently(*gateway, Order());
  ASSERT_TRUE(again) << again.error().detail;
  EXPECT_EQ(again->id, id);
  EXPECT_TRUE(again->known);
  EXPECT_EQ(Stored(), 0);
}

TEST_F(KeysTest, AnotherBodyUnderTheKeyIsRefused) {
  const auto gateway = Start();
  ASSERT_TRUE(SubmitAndWait(*gateway, Order()));
  const auto other = SubmitAndWait(*gateway, Order("other"));
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().type, ProblemType::kKeyReused);
  EXPECT_EQ(Stored(), 1);
}

TEST_F(KeysTest, KeysOfTwoCallersAreTwoKeys) {
  const auto gateway = Start();
  ASSERT_TRUE(SubmitAndWait(*gateway, Order(), "web"));
  const auto other = SubmitAndWait(*gateway, Order("other"), "batch");
  ASSERT_TRUE(other) << other.error().detail;
  EXPECT_FALSE(other->known);
  EXPECT_EQ(Stored(), 2);
}

TEST_F(KeysTest, AtOnceOverTwoGatewaysItIsOneJob) {
  const auto other_connection = Connect(server_.url());
  const auto first = Start();
  const auto second = Gateway::Start(*other_connection, pools_, nullptr, Patient());
  std::vector<Coming> coming;
  for (int n = 0; n < 32; ++n) {
    coming.push_back(Begin(*first, Order()));
    coming.push_back(Begin(*second, Order()));
  }
  std::set<std::string> ids;
  int unknown = 0;
  for (Coming& one : coming) {
    const auto answer = Wait(std::move(one));
    ASSERT_TRUE(answer) << answer.error().detail;
    ids.insert(answer->id);
    unknown += answer->known ? 0 : 1;
  }
  EXPECT_EQ(ids.size(), 1U);
  EXPECT_EQ(unknown, 1);
  EXPECT_EQ(Stored(), 1);
}

TEST_F(KeysTest, AKnownKeyIsAnsweredWhileTheLaneIsFull) {
  LaneBrief brief = Short();
  brief.depth_max = 1;
  MakeLane(brief);
  const auto gateway = Start();
  const auto first = SubmitAndWait(*gateway, Order());
  ASSERT_TRUE(first);
  ASSERT_EQ(SubmitAndWait(*gateway, {}).error().type, ProblemType::kLaneFull);
  const auto again = SubmitAndWait(*gateway, Order());
  ASSERT_TRUE(again) << again.error().detail;
  EXPECT_EQ(again->id, first->id);

  EXPECT_EQ(SubmitAndWait(*gateway, Order("other")).error().type, ProblemType::kKeyReused);
  Submission fresh = Order();
  fresh.idempotency_key = "order-2";
  EXPECT_EQ(SubmitAndWait(*gateway, fresh).error().type, ProblemType::kLaneFull);
  EXPECT_EQ(Keys(), 1) << "nothing is written for a job that is not taken";
}

// The gauge said that there was room: the key is written, the stream refuses.
TEST_F(KeysTest, AKeyWhoseJobWasRefusedByTheStreamIsTakenLater) {
  LaneBrief brief = Short();
  brief.depth_max = 1;
  MakeLane(brief);
  const auto gateway = Start();
  pools_.Put(Media(Short()));  // As if it had more room than its stream.
  ASSERT_TRUE(SubmitAndWait(*gateway, {}));
  ASSERT_EQ(SubmitAndWait(*gateway, Order()).error().type, ProblemType::kLaneFull);
  Remove(1);
  Answer<Accepted> accepted;
  EXPECT_TRUE(Eventually([&] {
    accepted = SubmitAndWait(*gateway, Order());
    return accepted.has_value();
  }));
  EXPECT_EQ(SubmitAndWait(*gateway, Order())->id, accepted->id);
  EXPECT_EQ(Stored(), 1);
}

TEST_F(KeysTest, AKeyThatWasDeletedStandsForNothing) {
  const auto gateway = Start();
  const auto first = SubmitAndWait(*gateway, Order());
  ASSERT_TRUE(first);
  const std::string subject = KeySubject("studio", "media", "web", "order-1");
  ASSERT_TRUE(jetstream_.PublishAck(subject, "", {{"KV-Operation", "DEL"}}));
  const auto second = SubmitAndWait(*gateway, Order("other"));
  ASSERT_TRUE(second) << second.error().detail;
  EXPECT_NE(second->id, first->id);
  EXPECT_EQ(Stored(), 2);
}

TEST_F(KeysTest, ABucketThatWasDeletedIsMadeAnew) {
  const auto gateway = Start();
  ASSERT_TRUE(SubmitAndWait(*gateway, Order()));
  ASSERT_TRUE(jetstream_.DeleteStream(kKeyStream));
  const auto again = SubmitAndWait(*gateway, Order());
  ASSERT_TRUE(again) << again.error().detail;
  EXPECT_EQ(SubmitAndWait(*gateway, Order())->id, again->id);
}

TEST_F(KeysTest, AKeyEndsAfterItsTime) {
  GatewayOptions options = Patient();
  options.key_kept = seconds(1);
  const auto gateway = Start(options);
  const auto first = SubmitAndWait(*gateway, Order());
  ASSERT_TRUE(first);
  EXPECT_TRUE(Eventually([&] { return Keys() == 0; }));
  const auto second = SubmitAndWait(*gateway, Order("other"));
  ASSERT_TRUE(second) << second.error().detail;
  EXPECT_NE(second->id, first->id);
}

TEST_F(KeysTest, ALostAnswerToTheKeyIsNoSecondJob) {
  const auto gateway = Start();
  ASSERT_TRUE(SubmitAndWait(*gateway, {}));
  server_.Pause();
  Coming coming = Begin(*gateway, Order());
  // Its key is sent again after a timeout of NATS; nothing to wait for but that.
  std::this_thread::sleep_for(milliseconds(3500));
  server_.Resume();
  auto accepted = Wait(std::move(coming));
  // A server that has slept may be too slow for the look whether there is such a job.
  if (!accepted && accepted.error().type == ProblemType::kQueueUnavailable) {
    accepted = SubmitPatiently(*gateway, Order());
  }
  ASSERT_TRUE(accepted) << accepted.error().detail;
  EXPECT_EQ(SubmitAndWait(*gateway, Order())->id, accepted->id);
  EXPECT_EQ(Stored(), 2);
}

enum class Meanwhile { kNothing, kWindowOver, kWindowOverAndJobDone, kJobDoneAndServerKilled };

struct Crash {
  const char* name;
  const char* step;
  Meanwhile meanwhile;
};
void PrintTo(const Crash& row, std::ostream* out) { *out << row.name; }

// The gateway dies after a step; the client, who got no answer, hands the job in again.
class KeyCrashTest : public KeysTest, public testing::WithParamInterface<Crash> {
 protected:
  void SetUp() override {
    MakeLane();
    // The stream forgets message ids at once.
    const auto state = jetstream_.StreamInfo("LK_studio_media_short");
    ASSERT_TRUE(state);
    std::string config = state->config_json;
    const std::string window = "\"duplicate_window\":120000000000";
    const auto at = config.find(window);
    ASSERT_NE(at, std::string::npos) << config;
    config.replace(at, window.size(), "\"duplicate_window\":1000000000");
    ASSERT_TRUE(jetstream_.UpdateStream("LK_studio_media_short", config));
  }

  void DieAfter(const std::string& step) {
    std::atomic<bool> died{false};
    GatewayOptions options = Patient();
    options.dies_after = [&](std::string_view now) { return now == step && !died.exchange(true); };
    const auto gateway = Start(options);
    const Coming never = Begin(*gateway, Order());
    ASSERT_TRUE(Eventually([&] { return died && gateway->Counts().in_hand == 0; }));
  }

  // As a worker does it: the record says so, and the message is gone.
  void FinishJob() {
    const auto head = DecodeHead(MessageAt(1));
    ASSERT_TRUE(nats::EnsureBucket(jetstream_, kRecordBucket, {}));
    const JobRecord record{.id = head->id, .state = JobState::kDone, .sequence = 1};
    ASSERT_TRUE(
        jetstream_.PublishAck(RecordSubject(key_, record.id), nats::WriteJobRecord(record)));
    Remove(1);
  }

  std::uint64_t EverStored() {
    const auto state = jetstream_.StreamInfo("LK_studio_media_short");
    return state ? state->last_sequence : 0;
  }
};

TEST_P(KeyCrashTest, IsOneJobAllTheSame) {
  const std::string step = GetParam().step;
  DieAfter(step);
  const bool stored = step == "published" || step == "completed";
  ASSERT_EQ(Stored(), stored ? 1 : 0);
  if (GetParam().meanwhile == Meanwhile::kWindowOverAndJobDone) FinishJob();
  if (GetParam().meanwhile == Meanwhile::kJobDoneAndServerKilled) {
    FinishJob();
    const NextConnect connect(*connection_);
    server_.Kill();
    ASSERT_TRUE(server_.Start());
    ASSERT_TRUE(connect.Wait());
  } else if (GetParam().meanwhile != Meanwhile::kNothing) {
    std::this_thread::sleep_for(milliseconds(2500));  // Longer than that window.
  }
  const auto gateway = Start();
  const auto first = SubmitPatiently(*gateway, Order());
  ASSERT_TRUE(first) << first.error().detail;
  EXPECT_EQ(first->sequence, 1U);
  EXPECT_EQ(first->known, step != "admitted");
  const auto second = SubmitAndWait(*gateway, Order());
  ASSERT_TRUE(second) << second.error().detail;
  EXPECT_EQ(second->id, first->id);
  EXPECT_EQ(EverStored(), 1U);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, KeyCrashTest,
    testing::Values(
        Crash{"BeforeTheKey", "admitted", Meanwhile::kNothing},
        Crash{"BeforeThePublish", "created", Meanwhile::kNothing},
        Crash{"BeforeThePublishLongAgo", "created", Meanwhile::kWindowOver},
        Crash{"AfterThePublish", "published", Meanwhile::kNothing},
        Crash{"AfterThePublishLongAgo", "published", Meanwhile::kWindowOver},
        Crash{"AfterThePublishAndTheJobIsDone", "published", Meanwhile::kWindowOverAndJobDone},
        // Bug, found by the chaos of the gateway: a server that was killed remembers no message id
        // of a job that is done, also within the window.
        Crash{"AfterThePublishAndTheServerForgot", "published", Meanwhile::kJobDoneAndServerKilled},
        Crash{"BeforeTheAnswer", "completed", Meanwhile::kNothing},
        Crash{"BeforeTheAnswerAndTheJobIsDone", "completed", Meanwhile::kWindowOverAndJobDone}),
    [](const auto& test) { return std::string(test.param.name); });

TEST_F(KeyCrashTest, TheJobIsFoundAmongManyOthers) {
  DieAfter("published");
  const auto gateway = Start();
  std::vector<Coming> coming;
  for (int n = 0; n < 1500; ++n) coming.push_back(Begin(*gateway, {}));
  for (Coming& one : coming) ASSERT_TRUE(Wait(std::move(one)));
  std::this_thread::sleep_for(milliseconds(2500));
  const auto found = SubmitPatiently(*gateway, Order());
  ASSERT_TRUE(found) << found.error().detail;
  EXPECT_EQ(found->sequence, 1U);
  EXPECT_EQ(gateway->Counts().keys_completed, 1);
  EXPECT_EQ(Stored(), 1501);
}

// A stream of the user's own need not answer direct gets.
TEST_F(KeyCrashTest, TheJobIsFoundInAStreamWithoutDirectGets) {
  auto config = jetstream_.StreamInfo("LK_studio_media_short")->config_json;
  const std::string direct = "\"allow_direct\":true";
  config.replace(config.find(direct), direct.size(), "\"allow_direct\":false");
  ASSERT_TRUE(jetstream_.UpdateStream("LK_studio_media_short", config));
  DieAfter("published");
  std::this_thread::sleep_for(milliseconds(2500));
  const auto gateway = Start();
  ASSERT_TRUE(SubmitAndWait(*gateway, {}));
  const auto found = SubmitPatiently(*gateway, Order());
  ASSERT_TRUE(found) << found.error().detail;
  EXPECT_EQ(found->sequence, 1U);
  EXPECT_EQ(Stored(), 2);
}

TEST(KeyEntryTest, IsReadAsItWasWritten) {
  const KeyEntry begun{.message_id = "k3x9qa2bxx", .fingerprint = "f", .lane = "short"};
  EXPECT_EQ(*ReadKeyEntry(WriteKeyEntry(begun)), begun);
  KeyEntry whole = begun;
  whole.stream = "LK_studio_media_short";
  whole.sequence = 17;
  EXPECT_EQ(*ReadKeyEntry(WriteKeyEntry(whole)), whole);
  for (const char* bad :
       {"", "[]", "{}", R"({"message":"short","fingerprint":"f","lane":"a"})",
        R"({"message":"k3x9qa2bxx","fingerprint":"","lane":"a"})",
        R"({"message":"k3x9qa2bxx","fingerprint":"f","lane":"*"})",
        R"({"message":"k3x9qa2bxx","fingerprint":"f","lane":"a","sequence":1})",
        R"({"message":"k3x9qa2bxx","fingerprint":"f","lane":"a","stream":"S","sequence":-1})"}) {
    EXPECT_FALSE(ReadKeyEntry(bad)) << bad;
  }
}

TEST(KeySubjectTest, NoTwoCallersMeet) {
  EXPECT_NE(KeySubject("n", "p", "a", "bc"), KeySubject("n", "p", "ab", "c"));
  EXPECT_NE(KeySubject("n", "p", "1", "1:x"), KeySubject("n", "p", "11:", "x"));
  EXPECT_THAT(KeySubject("n", "p", "a b\n", "* >"),
              testing::MatchesRegex("\\$KV\\.LK_keys\\.n\\.p\\.[0-9a-f]+"));
}

TEST(KeysInAClusterTest, AreAsSafeAsWhatTheOperatorTellsOf) {
  auto cluster = nats::NatsCluster::Run();
  ASSERT_TRUE(cluster.has_value()) << cluster.error().message;
  const auto connection = Connect(cluster->url());
  const nats::JetStream jetstream(*connection, nats::kAnswerDeadline);
  // A cluster leaves a question unanswered now and then, of which somebody else is to ask again.
  ASSERT_TRUE(Eventually(
      [&] { return nats::EnsureBucket(jetstream, kPoolBucket, {.replicas = 3}).has_value(); }));
  const auto keys =
      std::make_shared<KeyStore>(*connection, std::chrono::hours(1),
                                 std::make_shared<CallQueue>(/*threads=*/1, /*calls_max=*/8));
  ASSERT_TRUE(Eventually([&] {
    std::promise<bool> prepared;
    keys->Prepare(
        [&prepared](const Result<void>& ready) { prepared.set_value(ready.has_value()); });
    return prepared.get_future().get();
  }));
  Result<int> replicas;
  ASSERT_TRUE(Eventually([&] {
    replicas = nats::ReplicasOf(jetstream, kKeyStream);
    return replicas.has_value();
  }));
  EXPECT_EQ(*replicas, 3);
}

}  // namespace
}  // namespace lanekeeper::gateway
