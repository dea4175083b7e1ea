#include "worker-runtime/nats/testing/nats_cluster.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "worker-runtime/nats/testing/nats_test.h"

namespace lanekeeper::nats {
namespace {

constexpr const char* kStream = "ORDERS";
constexpr const char* kConsumer = "workers";

class NatsClusterTest : public testing::Test {
 protected:
  void SetUp() override {
    auto cluster = NatsCluster::Run();
    ASSERT_TRUE(cluster) << cluster.error().message;
    cluster_.emplace(*std::move(cluster));
    connection_ = Connect(cluster_->url());
    jetstream_.emplace(*connection_);
    const auto stream = jetstream_->CreateStream(
        kStream, R"({"name":"ORDERS","subjects":["orders"],"num_replicas":3})");
    ASSERT_TRUE(stream) << stream.error().error.message;
    const auto consumer = jetstream_->PutConsumer(
        kStream, kConsumer, R"({"durable_name":"workers","ack_policy":"explicit"})", "create");
    ASSERT_TRUE(consumer) << consumer.error().error.message;
  }
  bool HasLeaders() {
    return Eventually([this] {
      return StreamLeader(*jetstream_, kStream) && ConsumerLeader(*jetstream_, kStream, kConsumer);
    });
  }

  std::optional<NatsCluster> cluster_;
  std::unique_ptr<Connection> connection_;
  std::optional<JetStream> jetstream_;
};

TEST_F(NatsClusterTest, ALeaderThatStepsDownIsFollowedByAnother) {
  ASSERT_TRUE(HasLeaders());
  const std::string stream = *StreamLeader(*jetstream_, kStream);
  ASSERT_TRUE(StepDownStream(*jetstream_, kStream));
  EXPECT_TRUE(Eventually([&] {
    const auto leader = StreamLeader(*jetstream_, kStream);
    return leader && *leader != stream;
  }));
  const std::string consumer = *ConsumerLeader(*jetstream_, kStream, kConsumer);
  ASSERT_TRUE(StepDownConsumer(*jetstream_, kStream, kConsumer));
  EXPECT_TRUE(Eventually([&] {
    const auto leader = ConsumerLeader(*jetstream_, kStream, kConsumer);
    return leader && *leader != consumer;
  }));
}

TEST_F(NatsClusterTest, OutlivesTheDeathOfALeaderAndTakesItBack) {
  ASSERT_TRUE(HasLeaders());
  ASSERT_TRUE(jetstream_->PublishAck("orders", "before"));
  const std::string leader = *StreamLeader(*jetstream_, kStream);
  cluster_->node(leader)->Kill();
  EXPECT_TRUE(Eventually([&] { return jetstream_->PublishAck("orders", "during").has_value(); }));
  ASSERT_TRUE(cluster_->node(leader)->Start());
  const auto ready = cluster_->WaitReady();
  EXPECT_TRUE(ready) << ready.error().message;
  EXPECT_TRUE(Eventually([&] {
    const auto state = jetstream_->StreamInfo(kStream);
    return state && state->messages >= 2;
  }));
}

}  // namespace
}  // namespace lanekeeper::nats
