#include "worker-runtime/base/alarms.h"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <vector>

namespace lanekeeper {
namespace {

using std::chrono::milliseconds;

// Keeps the thread of `alarms` until Release, so that a test may be as slow as it likes.
class Hold {
 public:
  explicit Hold(Alarms& alarms) {
    alarms.Soon([released = release_.get_future().share()] { released.wait(); });
  }
  void Release() { release_.set_value(); }

 private:
  std::promise<void> release_;
};

TEST(AlarmsTest, WhatIsDueFirstRingsFirst) {
  std::promise<void> done;
  std::vector<int> order;
  Alarms alarms;
  Hold hold(alarms);
  const MonotonicTime now = std::chrono::steady_clock::now();
  alarms.At(now + milliseconds(60), [&] {
    order.push_back(3);
    done.set_value();
  });
  alarms.At(now + milliseconds(30), [&] { order.push_back(2); });
  alarms.Soon([&] { order.push_back(1); });
  hold.Release();
  done.get_future().wait();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST(AlarmsTest, OneThatIsDueEarlierThanTheOneThatIsWaitedForRingsInTime) {
  std::promise<void> done;
  Alarms alarms;
  alarms.In(std::chrono::hours(1), [] {});
  alarms.In(milliseconds(20), [&] { done.set_value(); });
  EXPECT_EQ(done.get_future().wait_for(std::chrono::seconds(60)), std::future_status::ready);
}

TEST(AlarmsTest, ACancelledOneDoesNotRing) {
  std::promise<void> done;
  bool rung = false;
  Alarms alarms;
  Hold hold(alarms);
  const MonotonicTime now = std::chrono::steady_clock::now();
  const Alarms::Id id = alarms.At(now + milliseconds(20), [&] { rung = true; });
  alarms.At(now + milliseconds(40), [&] { done.set_value(); });
  alarms.Cancel(id);
  alarms.Cancel(id);
  hold.Release();
  done.get_future().wait();
  EXPECT_FALSE(rung);
}

TEST(AlarmsTest, OnceStoppedItFreesWhatItHolds) {
  Alarms alarms;
  const auto held = std::make_shared<int>(0);
  const Alarms::Id id = alarms.In(std::chrono::hours(1), [held] {});
  EXPECT_EQ(held.use_count(), 2);
  alarms.Stop();
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_EQ(alarms.Soon([held] { FAIL(); }), 0U);
  EXPECT_EQ(held.use_count(), 1);
  alarms.Cancel(id);
}

}  // namespace
}  // namespace lanekeeper
