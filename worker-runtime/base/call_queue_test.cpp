#include "worker-runtime/base/call_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

namespace lanekeeper {
namespace {

TEST(CallQueueTest, HoldsOnlySoMany) {
  CallQueue calls(1, 2);
  std::promise<void> begun;
  std::promise<void> go_on;
  std::atomic<int> ran{0};
  ASSERT_TRUE(calls.Add([&](const std::stop_token&) {
    begun.set_value();
    go_on.get_future().wait();
    ++ran;
  }));
  begun.get_future().wait();
  std::promise<void> last;
  EXPECT_TRUE(calls.Add([&](const std::stop_token&) { ++ran; }));
  EXPECT_TRUE(calls.Add([&](const std::stop_token&) {
    ++ran;
    last.set_value();
  }));
  EXPECT_FALSE(calls.Add([](const std::stop_token&) {}));
  go_on.set_value();
  last.get_future().wait();
  EXPECT_EQ(ran, 3);
  calls.Stop();
  EXPECT_FALSE(calls.Add([](const std::stop_token&) {}));
}

TEST(CallQueueTest, StopHurriesTheOneThatRunsAndDropsTheOthers) {
  CallQueue calls(1, 8);
  std::promise<void> begun;
  bool hurried = false;
  ASSERT_TRUE(calls.Add([&](const std::stop_token& stop) {
    begun.set_value();
    while (!stop.stop_requested()) std::this_thread::yield();
    hurried = true;
  }));
  begun.get_future().wait();
  ASSERT_TRUE(calls.Add([](const std::stop_token&) { FAIL(); }));
  calls.Stop();
  EXPECT_TRUE(hurried);
}

TEST(CallQueueTest, SeveralThreadsRunAtOnce) {
  CallQueue calls(2, 8);
  std::promise<void> first;
  std::promise<void> second;
  std::promise<void> met;
  ASSERT_TRUE(calls.Add([&](const std::stop_token&) {
    first.set_value();
    second.get_future().wait();
    met.set_value();
  }));
  ASSERT_TRUE(calls.Add([&](const std::stop_token&) {
    first.get_future().wait();
    second.set_value();
  }));
  // Not stopped before: what has not begun would be dropped, and the other one wait for it.
  met.get_future().wait();
}

}  // namespace
}  // namespace lanekeeper
