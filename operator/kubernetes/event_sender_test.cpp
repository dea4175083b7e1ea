#include "operator/kubernetes/event_sender.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "operator/kubernetes/scripted_api.h"

namespace lanekeeper::kubernetes {
namespace {

using testing::ElementsAre;
using testing::SizeIs;
using testing::StartsWith;

const EventSubject kMediaPool{{"studio", "media"}, "p-1"};
const PoolEvent kScaledUp{.reason = "ScaledUp", .message = "Scaled from 0 to 3."};

class EventSenderTest : public testing::Test {
 protected:
  ScriptedApi api_;
  FakeClock clock_;
  EventSender sender_{api_, clock_};
};

TEST_F(EventSenderTest, SendsAndCounts) {
  api_.respond = [](const Request&) { return Answer{201, "{}"}; };
  sender_.Start();
  sender_.Post(kMediaPool, kScaledUp);
  sender_.Post(kMediaPool, kScaledUp);
  ASSERT_TRUE(api_.WaitForRequests(2));
  EXPECT_THAT(api_.writes(), ElementsAre(StartsWith("POST "), StartsWith("PATCH ")));
  sender_.Stop();
  EXPECT_EQ(sender_.dropped(), 0u);
}

TEST_F(EventSenderTest, EventWhoseObjectIsGoneIsCreatedAgain) {
  api_.respond = [](const Request& request) {
    return request.method == "PATCH" ? Answer{404, "{}"} : Answer{201, "{}"};
  };
  sender_.Start();
  sender_.Post(kMediaPool, kScaledUp);
  sender_.Post(kMediaPool, kScaledUp);
  ASSERT_TRUE(api_.WaitForRequests(3));
  EXPECT_THAT(api_.writes(),
              ElementsAre(StartsWith("POST "), StartsWith("PATCH "), StartsWith("POST ")));
}

TEST_F(EventSenderTest, TroubleIsTriedAgainAndRefusalIsNot) {
  std::atomic<int> calls{0};
  api_.respond = [&](const Request&) {
    return ++calls == 1 ? Answer{503, "{}"} : Answer{403, "{}"};
  };
  sender_.Start();
  sender_.Post(kMediaPool, kScaledUp);
  EXPECT_TRUE(Eventually([&] { return sender_.dropped() == 1; }));
  EXPECT_EQ(calls, 2);
}

TEST_F(EventSenderTest, FullQueueDropsAndNeverWaits) {
  for (std::size_t i = 0; i < EventSender::kQueueMax + 10; ++i) sender_.Post(kMediaPool, kScaledUp);
  EXPECT_EQ(sender_.dropped(), 10u);
}

TEST_F(EventSenderTest, StopDoesNotWaitForARetry) {
  api_.respond = [](const Request&) { return Answer{503, "{}"}; };
  EventSender sender(api_, clock_, {std::chrono::hours(1), std::chrono::hours(1)});
  sender.Start();
  sender.Post(kMediaPool, kScaledUp);
  ASSERT_TRUE(api_.WaitForRequests(1));
  sender.Stop();
  sender.Stop();
}

}  // namespace
}  // namespace lanekeeper::kubernetes
