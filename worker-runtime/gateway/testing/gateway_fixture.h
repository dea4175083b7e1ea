// A pool "studio/media" with one lane on a real nats-server, for tests of the gateway.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "worker-runtime/gateway/gateway.h"
#include "worker-runtime/gateway/testing/fake_pools.h"
#include "worker-runtime/gateway/testing/submissions.h"
#include "worker-runtime/job/codec.h"
#include "worker-runtime/nats/jetstream.h"
#include "worker-runtime/nats/queue_setup.h"
#include "worker-runtime/nats/testing/nats_test.h"

namespace lanekeeper::gateway {

class GatewayFixture : public testing::Test {
 protected:
  static PoolBrief Media(LaneBrief lane) {
    return {.pool_namespace = "studio", .pool = "media", .lanes = {std::move(lane)}};
  }
  static LaneBrief Short() {
    return {.name = "short", .stream = "LK_studio_media_short", .consumer = "workers"};
  }

  void SetUp() override { pools_.Put(Media(Short())); }

  // The lane's stream and consumer, and a pool that has it.
  void MakeLane(LaneBrief brief = Short()) {
    const auto made = nats::EnsureJobQueue(jetstream_, key_, {.depth_max = brief.depth_max});
    ASSERT_TRUE(made) << made.error().message;
    pools_.Put(Media(std::move(brief)));
  }

  std::unique_ptr<Gateway> Start(GatewayOptions options = Patient()) {
    return Gateway::Start(*connection_, pools_, nullptr, std::move(options));
  }
  // So that a slow machine is not taken for a broken one.
  static GatewayOptions Patient() {
    GatewayOptions options;
    options.publish_timeout = nats::kTestDeadline;
    return options;
  }

  // Again while its lane or its key cannot be read, as the answer says: nothing was stored then, or
  // the key makes it one job.
  static Answer<Accepted> SubmitPatiently(Gateway& gateway, const Submission& submission,
                                          const Caller& caller = "web") {
    Answer<Accepted> answer;
    EXPECT_TRUE(nats::Eventually([&] {
      answer = SubmitAndWait(gateway, submission, caller);
      return answer || answer.error().type != ProblemType::kQueueUnavailable;
    }));
    return answer;
  }

  std::int64_t Stored() { return MessagesIn("LK_studio_media_short"); }
  std::int64_t Keys() { return MessagesIn(kKeyStream); }
  // 0 when there is no such stream.
  std::int64_t MessagesIn(std::string_view stream) {
    std::int64_t messages = -1;
    EXPECT_TRUE(nats::Eventually([&] {
      const auto state = jetstream_.StreamInfo(stream);
      if (state) messages = state->messages;
      const bool missing = !state && state.error().cause == nats::ApiCause::kStreamMissing;
      if (missing) messages = 0;
      return state || missing;
    }));
    return messages;
  }
  JobMessage MessageAt(std::uint64_t sequence) {
    nats::ApiResult<nats::StoredMessage> stored;
    EXPECT_TRUE(nats::Eventually([&] {
      stored = jetstream_.GetMessage("LK_studio_media_short", sequence);
      return stored || stored.error().cause == nats::ApiCause::kMessageMissing;
    }));
    EXPECT_TRUE(stored) << stored.error().error.message;
    if (!stored) return {};
    return {.stream = "LK_studio_media_short",
            .sequence = stored->sequence,
            .stored_at = stored->stored_at,
            .payload = stored->payload,
            .headers = stored->headers};
  }
  void Remove(std::uint64_t sequence) {
    const auto removed = jetstream_.DeleteMessage("LK_studio_media_short", sequence);
    ASSERT_TRUE(removed) << removed.error().error.message;
  }

  const LaneKey key_{"studio", "media", "short"};
  nats::NatsServer server_ = nats::RunServer();
  std::unique_ptr<nats::Connection> connection_ = nats::Connect(server_.url());
  nats::JetStream jetstream_{*connection_, nats::kAnswerDeadline};
  FakePools pools_;
};

}  // namespace lanekeeper::gateway
