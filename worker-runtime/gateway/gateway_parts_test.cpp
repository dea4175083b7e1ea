// The parts of the gateway that need no server.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <vector>

#include "worker-runtime/gateway/gateway_threads.h"
#include "worker-runtime/gateway/gauges.h"

namespace lanekeeper::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

MonotonicTime At(int seconds_since) { return MonotonicTime(seconds(1000 + seconds_since)); }

TEST(DrainRateTest, IsWhatLeftPerSecond) {
  DrainRate rate;
  EXPECT_EQ(rate.PerSecond(), 0);
  rate.Add(At(0), 100, 50);
  EXPECT_EQ(rate.PerSecond(), 0);
  rate.Add(At(1), 120, 60);  // 10 have left, 20 have come.
  EXPECT_DOUBLE_EQ(rate.PerSecond(), 10);
  rate.Add(At(2), 120, 60);
  EXPECT_DOUBLE_EQ(rate.PerSecond(), 5);
}

TEST(DrainRateTest, ForgetsWhatIsLongAgo) {
  DrainRate rate;
  rate.Add(At(0), 1000, 1000);
  rate.Add(At(1), 1000, 0);
  for (int n = 2; n <= 10; ++n) rate.Add(At(n), 1000, 0);
  EXPECT_EQ(rate.PerSecond(), 0);
}

TEST(DrainRateTest, AStreamMadeAnewBeginsAnew) {
  DrainRate rate;
  rate.Add(At(0), 1000, 0);
  rate.Add(At(1), 5, 5);
  EXPECT_EQ(rate.PerSecond(), 0);
  rate.Add(At(2), 8, 5);
  EXPECT_DOUBLE_EQ(rate.PerSecond(), 3);
}

TEST(DelayedCallsTest, RunsWhatIsDueFirstFirst) {
  DelayedCalls calls;
  std::promise<void> done;
  std::vector<int> order;
  calls.Add(milliseconds(60), [&] {
    order.push_back(3);
    done.set_value();
  });
  calls.Add(milliseconds(30), [&] { order.push_back(2); });
  calls.Add(milliseconds(0), [&] { order.push_back(1); });
  done.get_future().wait();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST(DelayedCallsTest, OnceStoppedItFreesWhatItHolds) {
  DelayedCalls calls;
  const auto held = std::make_shared<int>(0);
  calls.Add(std::chrono::hours(1), [held] {});
  EXPECT_EQ(held.use_count(), 2);
  calls.Stop();
  EXPECT_EQ(held.use_count(), 1);
  calls.Add(milliseconds(0), [held] { FAIL(); });
  EXPECT_EQ(held.use_count(), 1);
}

TEST(WaitingCallsTest, HoldsOnlySoMany) {
  WaitingCalls calls(2);
  std::promise<void> begun;
  std::promise<void> go_on;
  std::atomic<int> ran{0};
  ASSERT_TRUE(calls.Add([&] {
    begun.set_value();
    go_on.get_future().wait();
    ++ran;
  }));
  begun.get_future().wait();
  std::promise<void> last;
  EXPECT_TRUE(calls.Add([&] { ++ran; }));
  EXPECT_TRUE(calls.Add([&] {
    ++ran;
    last.set_value();
  }));
  EXPECT_FALSE(calls.Add([] {}));
  go_on.set_value();
  last.get_future().wait();
  EXPECT_EQ(ran, 3);
  calls.Stop();
  EXPECT_FALSE(calls.Add([] {}));
}

}  // namespace
}  // namespace lanekeeper::gateway
