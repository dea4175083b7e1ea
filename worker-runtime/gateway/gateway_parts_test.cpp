// The parts of the gateway that need no server.
#include <gtest/gtest.h>

#include <chrono>

#include "worker-runtime/gateway/gauges.h"

namespace lanekeeper::gateway {
namespace {

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

}  // namespace
}  // namespace lanekeeper::gateway
