#include "worker-runtime/nats/testing/nats_cluster.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

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
    // A request that finds no leader is never answered: short, and asked again.
    jetstream_.emplace(*connection_, std::chrono::seconds(2));
    // Both may be asked for again: they are the same then.
    ASSERT_TRUE(Eventually([this] {
      return jetstream_
          ->CreateStream(kStream, R"({"name":"ORDERS","subjects":["orders"],"num_replicas":3})")
          .has_value();
    }));
    ASSERT_TRUE(Eventually([this] {
      return jetstream_
          ->PutConsumer(kStream, kConsumer, R"({"durable_name":"workers","ack_policy":"explicit"})",
                        "")
          .has_value();
    }));
  }
  // Waits until there is one; empty: there is none.
  std::string Leader() {
    std::string leader;
    EXPECT_TRUE(Eventually([&] {
      leader = StreamLeader(*jetstream_, kStream).value_or("");
      return !leader.empty();
    }));
    return leader;
  }
  std::string LeaderOfConsumer() {
    std::string leader;
    EXPECT_TRUE(Eventually([&] {
      leader = ConsumerLeader(*jetstream_, kStream, kConsumer).value_or("");
      return !leader.empty();
    }));
    return leader;
  }
  // Asked again when nothing came of it: an answer may be lost, and the same be elected again.
  static bool Follows(const std::function<std::string()>& leader,
                      const std::function<Result<void>()>& step_down) {
    const std::string before = leader();
    return Eventually([&] {
      constexpr int kLooks = 20;
      static_cast<void>(step_down());
      for (int look = 0; look < kLooks; ++look) {
        if (leader() != before) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
      }
      return false;
    });
  }
  bool Stored(const std::string& payload) {
    return Eventually([&] { return jetstream_->PublishAck("orders", payload).has_value(); });
  }

  std::optional<NatsCluster> cluster_;
  std::unique_ptr<Connection> connection_;
  std::optional<JetStream> jetstream_;
};

TEST_F(NatsClusterTest, ALeaderThatStepsDownIsFollowedByAnother) {
  EXPECT_TRUE(Follows([this] { return Leader(); },
                      [this] { return StepDownStream(*jetstream_, kStream); }));
  EXPECT_TRUE(Follows([this] { return LeaderOfConsumer(); },
                      [this] { return StepDownConsumer(*jetstream_, kStream, kConsumer); }));
}

TEST_F(NatsClusterTest, OutlivesTheDeathOfALeaderAndTakesItBack) {
  ASSERT_TRUE(Stored("before"));
  const std::string leader = Leader();
  ASSERT_NE(cluster_->node(leader), nullptr);
  cluster_->node(leader)->Kill();
  EXPECT_TRUE(Stored("during"));
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
