#include "operator/kubernetes/lease_elector.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>

#include "operator/kubernetes/lease_server.h"
#include "worker-runtime/base/testing/eventually.h"

namespace lanekeeper::kubernetes {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr LeaseTimes kTimes{milliseconds(1000), milliseconds(600), milliseconds(100)};
// However slow the machine, a lead does not run out.
constexpr LeaseTimes kLongTimes{seconds(600), seconds(500), milliseconds(100)};

class LeaseElectorTest : public testing::Test {
 protected:
  std::unique_ptr<LeaseElector> Make(const std::string& name, LeaseTimes times = kTimes) {
    return std::make_unique<LeaseElector>(
        server_, clock_,
        LeaseElector::Options{.lease = {"ns", "lease"}, .identity = name, .times = times});
  }
  LeaseServer server_;
  SystemClock clock_;
};

TEST_F(LeaseElectorTest, TellsOfTheLeadAndHandsItBack) {
  server_.Put("", 1, 0);
  std::atomic<int> changes{0};
  const auto elector = Make("a", kLongTimes);
  EXPECT_FALSE(elector->Current());
  elector->Start([&changes] { ++changes; });
  ASSERT_TRUE(Eventually([&] { return changes > 0 && elector->Current(); }));
  EXPECT_EQ(elector->Current()->leader, "a");
  EXPECT_EQ(elector->holder(), "a");
  elector->Stop();
  EXPECT_FALSE(elector->Current());
  EXPECT_EQ(server_.holder(), "");
  elector->Stop();
}

TEST_F(LeaseElectorTest, OneThatStandsByLeavesTheLeaseAsItIs) {
  server_.Put("other", 600, 3);
  const auto elector = Make("a");
  elector->Start(nullptr);
  ASSERT_TRUE(Eventually([&] { return elector->holder() == "other"; }));
  elector->Stop();
  EXPECT_EQ(server_.holder(), "other");
  EXPECT_EQ(server_.writes(), 0);
}

TEST_F(LeaseElectorTest, StandbyTakesOverFromOneThatIsCutOff) {
  server_.Put("", 1, 0);
  const auto a = Make("a");
  a->Start(nullptr);
  ASSERT_TRUE(Eventually([&] { return a->Current().has_value(); }));
  server_.Set(&LeaseServer::gone, true);
  ASSERT_TRUE(Eventually([&] { return !a->Current(); }));
  const auto b = Make("b", kLongTimes);
  a->Stop();  // It has nothing to hand back.
  server_.Set(&LeaseServer::gone, false);
  EXPECT_EQ(server_.holder(), "a");
  b->Start(nullptr);
  ASSERT_TRUE(Eventually([&] { return b->Current().has_value(); }));
  EXPECT_GE(b->Current()->epoch, 2);
}

TEST_F(LeaseElectorTest, RefusalSaysWhyUntilItIsOver) {
  server_.refuses = 403;
  const auto elector = Make("a");
  elector->Start(nullptr);
  ASSERT_TRUE(Eventually([&] { return elector->refused().has_value(); }));
  EXPECT_EQ(*elector->refused(), "403 refused");
  elector->Stop();
}

}  // namespace
}  // namespace lanekeeper::kubernetes
