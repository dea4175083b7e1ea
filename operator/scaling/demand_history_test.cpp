#include "operator/scaling/demand_history.h"

#include <gtest/gtest.h>

namespace lanekeeper::scaling {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

DemandHistory::Time At(int second) { return DemandHistory::Time(seconds(1000 + second)); }

TEST(DemandHistory, EmptyHasNoPeak) {
  EXPECT_EQ(DemandHistory().Peak(At(0), seconds(15)), 0);
  EXPECT_FALSE(DemandHistory().PeakEnds(At(0), seconds(15)).has_value());
}

TEST(DemandHistory, PeakIsTheHighestInsideTheWindow) {
  DemandHistory history;
  history.Add(At(0), 9);
  history.Add(At(5), 4);
  history.Add(At(9), 6);
  EXPECT_EQ(history.Peak(At(10), seconds(15)), 9);
  EXPECT_EQ(history.Peak(At(16), seconds(15)), 6);
  EXPECT_EQ(history.Peak(At(24), seconds(15)), 6);
  EXPECT_EQ(history.Peak(At(25), seconds(15)), 0);
}

TEST(DemandHistory, PeakEndsIsTheFirstMomentOfALowerPeak) {
  DemandHistory history;
  history.Add(At(0), 9);
  history.Add(At(5), 2);
  const auto ends = history.PeakEnds(At(6), seconds(15));
  ASSERT_TRUE(ends.has_value());
  EXPECT_EQ(history.Peak(*ends - milliseconds(1), seconds(15)), 9);
  EXPECT_EQ(history.Peak(*ends, seconds(15)), 2);
}

TEST(DemandHistory, DemandOfZeroNeverEnds) {
  DemandHistory history;
  history.Add(At(0), 0);
  EXPECT_FALSE(history.PeakEnds(At(1), seconds(15)).has_value());
}

TEST(DemandHistory, ForgetKeepsTheWindow) {
  DemandHistory history;
  history.Add(At(0), 9);
  history.Add(At(10), 3);
  history.Forget(At(20), seconds(15));
  EXPECT_EQ(history.Peak(At(20), seconds(60)), 3);
  history.Forget(At(60), seconds(15));
  EXPECT_TRUE(history.empty());
}

TEST(DemandHistory, MemoryIsBoundedAndNeverForgetsAPeakTooEarly) {
  DemandHistory history;
  for (int n = 0; n < 5000; ++n) history.Add(At(0) + milliseconds(n), 5000 - n);
  EXPECT_EQ(history.Peak(At(10), seconds(15)), 5000);
  // The merged points err on the side of a higher peak, never a lower one.
  EXPECT_GE(history.Peak(At(0) + milliseconds(4999) + seconds(15), seconds(15)), 1);
}

}  // namespace
}  // namespace lanekeeper::scaling
