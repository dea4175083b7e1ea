#include "worker-runtime/base/clock.h"

#include <gtest/gtest.h>

namespace lanekeeper {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;

TEST(FormatRfc3339Test, WritesUtc) {
  const WallTime time{seconds(1795559320)};
  EXPECT_EQ(FormatRfc3339(time), "2026-11-24T22:28:40Z");
  EXPECT_EQ(FormatRfc3339Micros(time), "2026-11-24T22:28:40.000000Z");
  EXPECT_EQ(FormatRfc3339Micros(time + microseconds(1234)), "2026-11-24T22:28:40.001234Z");
}

TEST(FormatRfc3339Test, RoundsDownAlsoBefore1970) {
  EXPECT_EQ(FormatRfc3339(WallTime(microseconds(-1))), "1969-12-31T23:59:59Z");
  EXPECT_EQ(FormatRfc3339Micros(WallTime(microseconds(-1))), "1969-12-31T23:59:59.999999Z");
}

TEST(FakeClockTest, StandsStillUntilToldToMove) {
  FakeClock clock;
  const MonotonicTime before = clock.Now();
  EXPECT_EQ(clock.Now(), before);
  EXPECT_EQ(FormatRfc3339(clock.WallNow()), "2026-01-01T00:00:01Z");
  clock.Advance(seconds(90));
  EXPECT_EQ(clock.Now() - before, seconds(90));
  EXPECT_EQ(FormatRfc3339(clock.WallNow()), "2026-01-01T00:01:31Z");
}

TEST(SystemClockTest, NeverGoesBack) {
  const SystemClock clock;
  const MonotonicTime first = clock.Now();
  EXPECT_GE(clock.Now(), first);
}

}  // namespace
}  // namespace lanekeeper
