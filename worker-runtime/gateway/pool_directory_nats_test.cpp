#include "worker-runtime/gateway/pool_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "worker-runtime/base/clock.h"
#include "worker-runtime/nats/jetstream.h"
#include "worker-runtime/nats/pool_brief_json.h"
#include "worker-runtime/nats/queue_setup.h"
#include "worker-runtime/nats/testing/nats_test.h"

namespace lanekeeper::gateway {
namespace {

using nats::Connect;
using nats::Eventually;
using nats::kAnswerDeadline;
using nats::RunServer;

PoolBrief Brief(const std::string& pool_namespace, const std::string& pool) {
  return {.pool_namespace = pool_namespace,
          .pool = pool,
          .lanes = {{.name = "short", .stream = "LK_x", .consumer = "workers"}}};
}

class PoolDirectoryTest : public testing::Test {
 protected:
  void MakeBucket() {
    ASSERT_TRUE(nats::EnsureBucket(jetstream_, kPoolBucket, {.age_max = std::chrono::hours(0)}));
  }
  void Put(const std::string& subject, const std::string& value,
           const nats::Headers& headers = {}) {
    const auto stored = jetstream_.PublishAck(subject, value, headers);
    ASSERT_TRUE(stored) << stored.error().error.message;
  }
  void PutSpec(const PoolBrief& brief) {
    Put(PoolSpecSubject(brief.pool_namespace, brief.pool), nats::WritePoolBrief(brief));
  }

  nats::NatsServer server_ = RunServer();
  std::unique_ptr<nats::Connection> connection_ = Connect(server_.url());
  nats::JetStream jetstream_{*connection_, kAnswerDeadline};
};

TEST_F(PoolDirectoryTest, KnowsThePoolsThereAre) {
  MakeBucket();
  PutSpec(Brief("studio", "media"));
  PutSpec(Brief("studio", "audio"));
  PutSpec(Brief("lab", "media"));
  const auto pools = StartPoolDirectory(*connection_);
  ASSERT_TRUE(Eventually([&] { return pools->Ready(); }));
  ASSERT_NE(pools->Find("studio", "media"), nullptr);
  EXPECT_EQ(*pools->Find("studio", "media"), Brief("studio", "media"));
  EXPECT_EQ(pools->Find("studio", "none"), nullptr);
  EXPECT_EQ(pools->Find("other", "media"), nullptr);
  const auto all = pools->List();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0]->pool_namespace, "lab");
  EXPECT_EQ(all[1]->pool, "audio");
  EXPECT_EQ(pools->List("studio").size(), 2U);
  EXPECT_TRUE(pools->List("none").empty());

  PoolBrief paused = Brief("studio", "media");
  paused.paused = true;
  PutSpec(paused);
  EXPECT_TRUE(Eventually([&] { return pools->Find("studio", "media")->paused; }));
  Put(PoolSpecSubject("studio", "media"), "", {{"KV-Operation", "DEL"}});
  EXPECT_TRUE(Eventually([&] { return pools->Find("studio", "media") == nullptr; }));
}

TEST_F(PoolDirectoryTest, IsNotReadyBeforeThereIsABucket) {
  const auto pools = StartPoolDirectory(*connection_);
  EXPECT_FALSE(pools->Ready());
  EXPECT_TRUE(pools->List().empty());
  MakeBucket();
  EXPECT_TRUE(Eventually([&] { return pools->Ready(); }));
}

TEST_F(PoolDirectoryTest, WhatItKnewStaysKnownWhileNatsIsAway) {
  MakeBucket();
  PutSpec(Brief("studio", "media"));
  const auto pools = StartPoolDirectory(*connection_);
  ASSERT_TRUE(Eventually([&] { return pools->Find("studio", "media") != nullptr; }));
  server_.Stop();
  ASSERT_TRUE(Eventually([&] { return !connection_->Connected(); }));
  EXPECT_NE(pools->Find("studio", "media"), nullptr);
  EXPECT_TRUE(pools->Ready());
}

TEST_F(PoolDirectoryTest, ASpecThatCannotBeReadLeavesTheOneBefore) {
  MakeBucket();
  PutSpec(Brief("studio", "media"));
  const auto pools = StartPoolDirectory(*connection_);
  ASSERT_TRUE(Eventually([&] { return pools->Find("studio", "media") != nullptr; }));
  Put(PoolSpecSubject("studio", "media"), "broken");
  Put(PoolSpecSubject("studio", "media"), nats::WritePoolBrief(Brief("studio", "other")));
  Put("$KV.LK_pools.what.is.this.key", "?");
  Put("$KV.LK_pools.Upper.case.spec", nats::WritePoolBrief(Brief("studio", "other")));
  PutSpec(Brief("studio", "last"));
  ASSERT_TRUE(Eventually([&] { return pools->Find("studio", "last") != nullptr; }));
  EXPECT_EQ(*pools->Find("studio", "media"), Brief("studio", "media"));
  EXPECT_EQ(pools->List().size(), 2U);
}

TEST_F(PoolDirectoryTest, TellsStatusAndPredictionWhileTheyAreFresh) {
  MakeBucket();
  PutSpec(Brief("studio", "media"));
  const std::string status =
      R"({"lanes":[{"name":"short","predictedWaitSeconds":2.5},{"name":"a"},7,
          {"name":"odd","predictedWaitSeconds":"soon"},{"name":"b","predictedWaitSeconds":-1}]})";
  Put(PoolStatusSubject("studio", "media"), status);
  const auto pools = StartPoolDirectory(*connection_);
  ASSERT_TRUE(Eventually([&] { return pools->Ready(); }));
  EXPECT_EQ(pools->Status("studio", "media").json, status);
  EXPECT_GT(pools->Status("studio", "media").written_at, WallTime{});
  EXPECT_EQ(pools->PredictedWait({"studio", "media", "short"}), std::chrono::milliseconds(2500));
  for (const char* lane : {"a", "odd", "b", "none"}) {
    EXPECT_EQ(pools->PredictedWait({"studio", "media", lane}), std::nullopt) << lane;
  }
  EXPECT_EQ(pools->Status("studio", "none").json, "");
}

TEST_F(PoolDirectoryTest, TellsWhyALaneIsPaused) {
  MakeBucket();
  PutSpec(Brief("studio", "media"));
  const LanePause pause{.until = WallTime(std::chrono::seconds(4'000'000'000)),
                        .reason = "renderer upgrade",
                        .by = "ana"};
  const LaneKey lane{"studio", "media", "short"};
  const auto pools = StartPoolDirectory(*connection_);
  ASSERT_TRUE(Eventually([&] { return pools->Ready(); }));
  EXPECT_EQ(pools->PauseOf(lane), std::nullopt);
  Put(LanePauseSubject(lane), nats::WriteLanePause(pause));
  EXPECT_TRUE(Eventually([&] { return pools->PauseOf(lane) == pause; }));
  Put(LanePauseSubject(lane), "", {{"KV-Operation", "DEL"}});
  EXPECT_TRUE(Eventually([&] { return pools->PauseOf(lane) == std::nullopt; }));
}

}  // namespace
}  // namespace lanekeeper::gateway
