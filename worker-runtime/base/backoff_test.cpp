#include "worker-runtime/base/backoff.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace lanekeeper {
namespace {

using std::chrono::milliseconds;

TEST(BackoffTest, DoublesUpToItsMaximum) {
  const Backoff backoff{.initial = milliseconds(100), .max = milliseconds(700)};
  EXPECT_EQ(backoff.After(1), milliseconds(100));
  EXPECT_EQ(backoff.After(2), milliseconds(200));
  EXPECT_EQ(backoff.After(3), milliseconds(400));
  EXPECT_EQ(backoff.After(4), milliseconds(700));
  EXPECT_EQ(backoff.After(1'000'000'000), milliseconds(700));
}

TEST(BackoffTest, MayBeConstant) {
  const Backoff constant{.initial = milliseconds(50), .max = milliseconds(50)};
  EXPECT_EQ(constant.After(1), milliseconds(50));
  EXPECT_EQ(constant.After(7), milliseconds(50));
}

// Doubling stops before the largest value that the type can hold is passed.
TEST(BackoffTest, AHugeMaximumDoesNotOverflow) {
  const Backoff backoff{.initial = milliseconds(1), .max = milliseconds::max()};
  EXPECT_GT(backoff.After(1000), milliseconds(0));
}

TEST(JitteredTest, TakesOffUpToAQuarterAndAddsNothing) {
  EXPECT_EQ(Jittered(milliseconds(1000), 0), milliseconds(1000));
  EXPECT_EQ(Jittered(milliseconds(1000), 250), milliseconds(750));
  EXPECT_EQ(Jittered(milliseconds(1000), 251), milliseconds(1000));
  for (const std::uint64_t random : {std::uint64_t{1}, std::uint64_t{12345}, UINT64_MAX}) {
    EXPECT_LE(Jittered(milliseconds(1000), random), milliseconds(1000));
    EXPECT_GE(Jittered(milliseconds(1000), random), milliseconds(750));
  }
}

TEST(JitteredTest, LeavesTinyDelaysAlone) {
  EXPECT_EQ(Jittered(milliseconds(0), 7), milliseconds(0));
  EXPECT_EQ(Jittered(milliseconds(3), 7), milliseconds(3));
}

}  // namespace
}  // namespace lanekeeper
