#include "operator/jetstream/jetstream_queues.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "worker-runtime/nats/testing/nats_cluster.h"
#include "worker-runtime/nats/testing/nats_test.h"

namespace lanekeeper {
namespace {

using nats::Connect;
using nats::Eventually;
using nats::kAnswerDeadline;
using nats::kTestDeadline;

WorkerPool Pool() {
  WorkerPool pool{.key = {"studio", "media"}};
  Lane lane{.name = "short"};
  lane.queue.stream = JobStreamName(pool.KeyOf(lane));
  lane.queue.consumer = kConsumerName;
  lane.queue.depth_max = 12;
  pool.lanes.push_back(std::move(lane));
  return pool;
}

class QueuesTest : public testing::Test {
 protected:
  nats::NatsServer server_ = nats::RunServer();
  std::unique_ptr<nats::Connection> connection_ = Connect(server_.url());
  nats::JetStream jetstream_{*connection_, kAnswerDeadline};
  JetStreamQueues queues_{*connection_};
};

TEST_F(QueuesTest, MakesTheLanesQueueAndTheDeadLetters) {
  const WorkerPool pool = Pool();
  ASSERT_TRUE(queues_.Ensure(pool, pool.lanes[0]).has_value());
  EXPECT_TRUE(jetstream_.ConsumerInfo("LK_studio_media_short", "workers").has_value());
  const auto stream = jetstream_.StreamInfo("LK_studio_media_short");
  ASSERT_TRUE(stream.has_value());
  EXPECT_NE(stream->config_json.find("\"max_msgs\":12"), std::string::npos);
  EXPECT_TRUE(jetstream_.StreamInfo("LK_studio_media_DEAD").has_value());
  EXPECT_TRUE(queues_.Ensure(pool, pool.lanes[0]).has_value());
}

TEST_F(QueuesTest, MakesTheRecordsUnlessALaneKeepsNone) {
  WorkerPool pool = Pool();
  pool.lanes[0].jobs.tracking = Tracking::kNone;
  ASSERT_TRUE(queues_.Ensure(pool, pool.lanes[0]).has_value());
  EXPECT_FALSE(jetstream_.StreamInfo(kRecordStream).has_value());
  for (const Tracking tracking : {Tracking::kFailures, Tracking::kFull}) {
    pool.lanes[0].jobs.tracking = tracking;
    ASSERT_TRUE(queues_.Ensure(pool, pool.lanes[0]).has_value());
    EXPECT_TRUE(jetstream_.StreamInfo(kRecordStream).has_value());
    ASSERT_TRUE(jetstream_.DeleteStream(kRecordStream).has_value());
  }
}

TEST_F(QueuesTest, RecordsAreMadeForALaterLaneWhenTheFirstKeepsNone) {
  WorkerPool pool = Pool();
  pool.lanes.push_back(pool.lanes[0]);
  pool.lanes[0].jobs.tracking = Tracking::kNone;
  pool.lanes[1].name = "long";
  pool.lanes[1].queue.stream = JobStreamName(pool.KeyOf(pool.lanes[1]));
  ASSERT_TRUE(queues_.Ensure(pool, pool.lanes[0]).has_value());
  EXPECT_FALSE(jetstream_.StreamInfo(kRecordStream).has_value());
  ASSERT_TRUE(queues_.Ensure(pool, pool.lanes[1]).has_value());
  EXPECT_TRUE(jetstream_.StreamInfo(kRecordStream).has_value());
}

TEST_F(QueuesTest, WhatLanesHaveInCommonIsMadeAnewWithALaneThatComesAgain) {
  WorkerPool pool = Pool();
  pool.lanes.push_back(pool.lanes[0]);
  pool.lanes[1].name = "long";
  pool.lanes[1].queue.stream = JobStreamName(pool.KeyOf(pool.lanes[1]));
  for (const Lane& lane : pool.lanes) ASSERT_TRUE(queues_.Ensure(pool, lane).has_value());
  for (const char* stream : {"LK_studio_media_DEAD", "KV_LK_jobs"}) {
    ASSERT_TRUE(jetstream_.DeleteStream(stream).has_value());
  }
  ASSERT_TRUE(queues_.Ensure(pool, pool.lanes[1]).has_value());
  EXPECT_TRUE(jetstream_.StreamInfo("LK_studio_media_DEAD").has_value());
  EXPECT_TRUE(jetstream_.StreamInfo(kRecordStream).has_value());
}

TEST_F(QueuesTest, AnotherPoolHasDeadLettersOfItsOwn) {
  WorkerPool one = Pool();
  WorkerPool two = Pool();
  two.key.name = "print";
  two.lanes[0].queue.stream = JobStreamName(two.KeyOf(two.lanes[0]));
  ASSERT_TRUE(queues_.Ensure(one, one.lanes[0]).has_value());
  ASSERT_TRUE(queues_.Ensure(two, two.lanes[0]).has_value());
  EXPECT_TRUE(jetstream_.StreamInfo("LK_studio_print_DEAD").has_value());
}

TEST_F(QueuesTest, JobsOfAnExternalQueueHaveRecordsToo) {
  WorkerPool pool = Pool();
  pool.lanes[0].queue = {.external = true, .stream = "THEIRS", .consumer = "theirs"};
  ASSERT_TRUE(queues_.Ensure(pool, pool.lanes[0]).has_value());
  EXPECT_TRUE(jetstream_.StreamInfo(kRecordStream).has_value());
}

TEST_F(QueuesTest, LeavesAnExternalQueueAlone) {
  WorkerPool pool = Pool();
  pool.lanes[0].queue = {.external = true, .stream = "THEIRS", .consumer = "theirs"};
  ASSERT_TRUE(queues_.Ensure(pool, pool.lanes[0]).has_value());
  EXPECT_FALSE(jetstream_.StreamInfo("THEIRS").has_value());
  EXPECT_TRUE(jetstream_.StreamInfo("LK_studio_media_DEAD").has_value());
}

TEST_F(QueuesTest, RemovingIsIdempotent) {
  const WorkerPool pool = Pool();
  ASSERT_TRUE(queues_.Ensure(pool, pool.lanes[0]).has_value());
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(queues_.RemoveLane(pool.KeyOf(pool.lanes[0])).has_value());
    EXPECT_TRUE(queues_.RemoveDeadLetters(pool.key).has_value());
  }
  // The records belong to all pools.
  EXPECT_THAT(*jetstream_.StreamNames(), testing::ElementsAre(kRecordStream));
}

TEST_F(QueuesTest, FailsAtOnceWithoutAConnection) {
  // With a timeout of a day, waiting would show.
  JetStreamQueues queues(*connection_, std::chrono::hours(24));
  server_.Stop();
  ASSERT_TRUE(Eventually([&] { return !connection_->Connected(); }));
  const WorkerPool pool = Pool();
  EXPECT_EQ(queues.Ensure(pool, pool.lanes[0]).error().kind, ErrorKind::kRetryable);
  EXPECT_EQ(queues.RemoveLane(pool.KeyOf(pool.lanes[0])).error().kind, ErrorKind::kRetryable);
  EXPECT_EQ(queues.RemoveDeadLetters(pool.key).error().kind, ErrorKind::kRetryable);
}

TEST(QueuesInAClusterTest, DeadLettersAndRecordsAreAsSafeAsTheSafestLane) {
  auto cluster = nats::NatsCluster::Run();
  ASSERT_TRUE(cluster.has_value()) << cluster.error().message;
  auto connection = Connect(cluster->url());
  const nats::JetStream jetstream(*connection, kAnswerDeadline);
  JetStreamQueues queues(*connection, kAnswerDeadline);
  const auto copies_are = [&jetstream](const char* stream, const char* copies) {
    return Eventually([&] {
      const auto state = jetstream.StreamInfo(stream);
      return state.has_value() && state->config_json.find(copies) != std::string::npos;
    });
  };
  WorkerPool pool = Pool();
  // As the operator does when a pass fails.
  const auto ensured = [&] {
    return Eventually([&] { return queues.Ensure(pool, pool.lanes[0]).has_value(); });
  };
  ASSERT_TRUE(ensured());
  EXPECT_TRUE(copies_are("KV_LK_jobs", "\"num_replicas\":1"));

  pool.lanes.push_back(pool.lanes[0]);
  pool.lanes[1].name = "long";
  pool.lanes[1].queue.replicas = 3;
  ASSERT_TRUE(ensured());
  EXPECT_TRUE(copies_are("KV_LK_jobs", "\"num_replicas\":3"));
  EXPECT_TRUE(copies_are("LK_studio_media_DEAD", "\"num_replicas\":3"));
  EXPECT_TRUE(copies_are("LK_studio_media_short", "\"num_replicas\":1"));

  pool.lanes.pop_back();
  ASSERT_TRUE(ensured());
  EXPECT_TRUE(copies_are("KV_LK_jobs", "\"num_replicas\":3")) << "other pools may need them";
}

}  // namespace
}  // namespace lanekeeper
