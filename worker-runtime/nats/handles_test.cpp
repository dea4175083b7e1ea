#include "worker-runtime/nats/handles.h"

#include <gtest/gtest.h>

namespace lanekeeper::nats {
namespace {

Result<MessageHandle> MakeMessage() {
  return ToNatsMessage("jobs.short", "inbox.1", "payload", {{"Lk-Type", "report"}, {"A", "b"}});
}

// When this fails, a libnats without natsMsg_free has come: right, but slower by a thread's wake-up
// a message. Look for its way to free a message without the collector.
TEST(Handles, MessagesAreFreedWithoutTheCollectorsThread) { EXPECT_TRUE(FreesMessagesItself()); }

TEST(Handles, AMessageKeepsWhatItIsMadeOf) {
  const auto made = MakeMessage();
  ASSERT_TRUE(made) << made.error().message;
  const Message message = ToMessage(made->get());
  EXPECT_EQ(message.subject, "jobs.short");
  EXPECT_EQ(message.reply, "inbox.1");
  EXPECT_EQ(message.payload, "payload");
  EXPECT_EQ(message.Header("lk-type"), "report");
  EXPECT_EQ(message.Header("A"), "b");
}

// The address sanitizer sees a message that is not freed, or freed twice.
TEST(Handles, FreeingManyMessagesLeavesNothing) {
  for (int n = 0; n < 1000; ++n) {
    auto made = MakeMessage();
    ASSERT_TRUE(made) << made.error().message;
    static_cast<void>(ToMessage(made->get()));
  }
  FreeMessage(nullptr);
}

}  // namespace
}  // namespace lanekeeper::nats
