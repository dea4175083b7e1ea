#include "cli/verify/evidence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <sstream>
#include <string>

#include "worker-runtime/job/settlement.h"
#include "worker-runtime/nats/job_record_json.h"
#include "worker-runtime/nats/queue_setup.h"
#include "worker-runtime/nats/testing/nats_test.h"

namespace lanekeeper::verify {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

class EvidenceTest : public testing::Test {
 protected:
  EvidenceTest() : server_(nats::RunServer()), connection_(nats::Connect(server_.url())) {}

  void MakeStream(const std::string& name, const std::string& subject) {
    ASSERT_TRUE(nats::Eventually([&] {
      return jetstream_
          .CreateStream(name, R"({"name":")" + name + R"(","subjects":[")" + subject + R"("]})")
          .has_value();
    })) << name;
  }
  void MakeQueue() {
    ASSERT_TRUE(
        nats::Eventually([&] { return nats::EnsureJobQueue(jetstream_, lane_, {}).has_value(); }));
  }
  void MakeLane() {
    MakeQueue();
    ASSERT_TRUE(nats::Eventually([&] {
      return nats::EnsureDeadLetters(jetstream_, lane_.pool_namespace, lane_.pool, {}) &&
             nats::EnsureBucket(jetstream_, kRecordBucket, {});
    }));
    MakeStream("RESULTS", "results");
    MakeStream("ACCEPTED", "accepted");
  }
  void Publish(const std::string& subject, const std::string& payload,
               const Headers& headers = {}) {
    // Not again: it would be stored twice.
    const auto stored = jetstream_.PublishAck(subject, payload, headers, nats::kTestDeadline);
    ASSERT_TRUE(stored) << stored.error().error.message;
  }
  void PublishLetter(const LaneKey& lane, const std::string& id, const std::string& part) {
    Publish(DeadSubject(lane), "",
            {{std::string(kHeaderDeadJobId), id},
             {std::string(kHeaderDeadReason), std::string(kDeadRejected)},
             {std::string(kHeaderDeadPart), part}});
  }

  const LaneKey lane_{"studio", "media", "short"};
  nats::NatsServer server_;
  std::unique_ptr<nats::Connection> connection_;
  nats::JetStream jetstream_{*connection_, nats::kAnswerDeadline};
};

TEST_F(EvidenceTest, EveryTraceOfTheLaneIsRead) {
  MakeLane();
  Publish(JobSubject(lane_), "", {{std::string(kHeaderMessageId), "queued"}});
  Publish(JobSubject(lane_), "");
  Publish("accepted", "a\n b \n");
  Publish("accepted", "c");
  Publish("results", R"({"id":"a","worker":"w-1","started":"now","run":2})");
  PublishLetter(lane_, "b", "1/2");
  PublishLetter(lane_, "b", "2/2");
  PublishLetter({"studio", "media", "long"}, "another-lane", "1/1");
  JobRecord record{.id = "a b", .state = JobState::kDone};
  record.runs = 2;
  record.result = R"({"worker":"w-1","run":2})";
  Publish(RecordSubject(lane_, record.id), nats::WriteJobRecord(record));

  const auto evidence = ReadEvidence(
      jetstream_, {.lane = lane_, .results_stream = "RESULTS", .accepted_stream = "ACCEPTED"},
      {"d"});
  ASSERT_TRUE(evidence) << evidence.error().message;
  EXPECT_THAT(evidence->accepted, UnorderedElementsAre("a", "b", "c", "d"));
  EXPECT_THAT(evidence->queued, UnorderedElementsAre("queued", JobStreamName(lane_) + ".2"));
  ASSERT_EQ(evidence->dead.size(), 1U);
  EXPECT_EQ(evidence->dead[0].id, "b");
  EXPECT_EQ(evidence->dead[0].reason, kDeadRejected);
  ASSERT_EQ(evidence->runs.size(), 1U);
  EXPECT_EQ(evidence->runs[0].worker, "w-1");
  EXPECT_EQ(evidence->runs[0].run, 2);
  ASSERT_TRUE(evidence->records.contains("a b"));
  EXPECT_EQ(evidence->records.at("a b").state, JobState::kDone);
  EXPECT_EQ(evidence->authors.at("a b").run, 2);
}

TEST_F(EvidenceTest, StreamsWithManyMessagesAndGapsAreReadWhole) {
  MakeLane();
  constexpr int kMessages = 100;
  for (int n = 1; n <= kMessages; ++n) Publish("accepted", std::to_string(n));
  for (std::uint64_t gone = 20; gone < 60; ++gone) {
    ASSERT_TRUE(jetstream_.DeleteMessage("ACCEPTED", gone));
  }
  const auto evidence =
      ReadEvidence(jetstream_, {.lane = lane_, .accepted_stream = "ACCEPTED"}, {});
  ASSERT_TRUE(evidence) << evidence.error().message;
  EXPECT_EQ(evidence->accepted.size(), 60U);
}

TEST_F(EvidenceTest, NoDeadLettersAndNoRecordsAreFineButALaneIsNeeded) {
  const auto missing = ReadEvidence(jetstream_, {.lane = lane_}, {"a"});
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message, HasSubstr(JobStreamName(lane_)));
  MakeQueue();
  const auto evidence = ReadEvidence(jetstream_, {.lane = lane_}, {"a"});
  ASSERT_TRUE(evidence) << evidence.error().message;
  EXPECT_THAT(evidence->accepted, ElementsAre("a"));
  EXPECT_FALSE(evidence->has_runs);
}

TEST_F(EvidenceTest, ARecordThatCannotBeReadIsNamed) {
  MakeLane();
  Publish(RecordSubject(lane_, "a"), "no record");
  const auto evidence = ReadEvidence(jetstream_, {.lane = lane_}, {"a"});
  ASSERT_FALSE(evidence);
  EXPECT_THAT(evidence.error().message, HasSubstr("reading stream KV_LK_jobs: message 1"));
}

TEST(ReadIdsTest, OneIdALine) {
  std::istringstream lines("a\n\n  b c \r\n");
  EXPECT_THAT(ReadIds(lines), ElementsAre("a", "b c"));
}

}  // namespace
}  // namespace lanekeeper::verify
