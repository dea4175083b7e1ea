#include "worker-runtime/base/alarms.h"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <vector>

namespace lanekeeper {
namespace {

using std::chrono::milliseconds;

TEST(AlarmsTest, WhatIsDueFirstRingsFirst) {
  Alarms alarms;
  std::promise<void> done;
  std::vector<int> order;
  alarms.In(milliseconds(60), [&] {
    order.push_back(3);
    done.set_value();
  });
  alarms.In(milliseconds(30), [&] { order.push_back(2); });
  alarms.Soon([&] { order.push_back(1); });
  done.get_future().wait();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST(AlarmsTest, ACancelledOneDoesNotRing) {
  Alarms alarms;
  std::promise<void> done;
  bool rung = false;
  const Alarms::Id id = alarms.In(milliseconds(20), [&] { rung = true; });
  alarms.In(milliseconds(40), [&] { done.set_value(); });
  alarms.Cancel(id);
  alarms.Cancel(id);
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
