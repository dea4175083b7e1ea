// The election on a real API server: what it answers to conflicts, to leases that are gone, and to
// roles that are too small. The clock is the test's, so that nothing hangs on the machine's speed.
#include <gtest/gtest.h>

#include <optional>

#include "operator/kubernetes/apiserver_fixture.h"
#include "operator/kubernetes/kubernetes_platform.h"
#include "operator/kubernetes/lease_candidate.h"
#include "operator/kubernetes/lease_elector.h"

namespace lanekeeper::kubernetes {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class LeaseApiServerTest : public ApiServerTest {
 protected:
  Candidate Make(const std::string& name) { return {*client_, clock_, name, {}, Name()}; }
  ObjectName Name() const { return {namespace_, "lanekeeper-operator"}; }
  nlohmann::json Lease() { return Do(GetRequest(kLeases, Name())); }
  void Create(const std::string& spec) {
    Do(CreateRequest(kLeases, namespace_,
                     R"({"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":)"
                     R"({"name":"lanekeeper-operator","labels":{"by":"chart"}},"spec":)" +
                         spec + "}"));
  }
  FakeClock clock_;
};

TEST_F(LeaseApiServerTest, MissingLeaseIsMadeAndRenewedAndHandedBack) {
  Candidate a = Make("a");
  a.Run(milliseconds(6200));
  ASSERT_TRUE(a.leads());
  EXPECT_EQ(a.epoch(), 1);
  const nlohmann::json made = Lease();
  EXPECT_EQ(made["spec"]["holderIdentity"], "a");
  EXPECT_EQ(made["spec"]["leaseDurationSeconds"], 6);
  a.Run(seconds(10));
  EXPECT_TRUE(a.leads());
  const nlohmann::json renewed = Lease();
  EXPECT_NE(renewed["spec"]["renewTime"], made["spec"]["renewTime"]);
  EXPECT_EQ(renewed["spec"]["acquireTime"], made["spec"]["acquireTime"]);
  const auto release = a.election().Release(clock_.WallNow());
  ASSERT_TRUE(release);
  Do(*release);
  EXPECT_EQ(Lease()["spec"]["holderIdentity"], "");
  Candidate b = Make("b");
  b.Step();
  EXPECT_TRUE(b.leads());
  EXPECT_EQ(b.epoch(), 2);
}

TEST_F(LeaseApiServerTest, LeaseOfAChartIsTakenAtOnceAndKeepsItsLabels) {
  Create("{}");
  Candidate a = Make("a");
  a.Step();
  EXPECT_TRUE(a.leads());
  EXPECT_EQ(Lease()["metadata"]["labels"]["by"], "chart");
}

TEST_F(LeaseApiServerTest, DeadLeadersLeaseIsTakenByOne) {
  Create("{}");
  Candidate a = Make("a");
  a.Run(seconds(2));
  ASSERT_TRUE(a.leads());
  Candidate b = Make("b");
  Candidate c = Make("c");
  for (int n = 0; n < 200; ++n) {  // Ten seconds, without a.
    b.Step();
    c.Step();
    ASSERT_FALSE(b.leads() && (c.leads() || a.leads()));
    ASSERT_FALSE(c.leads() && a.leads());
    clock_.Advance(milliseconds(50));
  }
  EXPECT_TRUE(b.leads() || c.leads());
  EXPECT_EQ(b.epoch() + c.epoch(), 2);
  a.Step();  // It comes back: a renewal of before does not go through.
  EXPECT_FALSE(a.leads());
}

TEST_F(LeaseApiServerTest, RenewalOfALeaderThatWasOvertakenIsAConflict) {
  Create("{}");
  Candidate a = Make("a");
  a.Step();
  ASSERT_TRUE(a.leads());
  nlohmann::json stolen = Lease();
  stolen["spec"]["holderIdentity"] = "thief";
  Do(UpdateRequest(kLeases, Name(), stolen.dump()));
  a.Run(milliseconds(1200));
  EXPECT_FALSE(a.leads());
  EXPECT_EQ(Lease()["spec"]["holderIdentity"], "thief");
}

TEST_F(LeaseApiServerTest, DeletedLeaseIsMadeAgainByItsHolder) {
  Create(R"({"leaseTransitions":4})");
  Candidate a = Make("a");
  a.Step();
  ASSERT_EQ(a.epoch(), 5);
  Do(DeleteRequest(kLeases, Name(), ""));
  a.Run(milliseconds(1500));
  EXPECT_TRUE(a.leads());
  EXPECT_EQ(a.epoch(), 5);
  EXPECT_EQ(Lease()["spec"]["holderIdentity"], "a");
  EXPECT_EQ(Lease()["spec"]["leaseTransitions"], 5);
}

TEST_F(LeaseApiServerTest, TwoElectorsHandTheLeaseOver) {
  Create("{}");
  SystemClock clock;
  const auto options = [this](const std::string& name) {
    return LeaseElector::Options{.lease = Name(), .identity = name, .times = {}};
  };
  LeaseElector a(*client_, clock, options("a"));
  LeaseElector b(*client_, clock, options("b"));
  a.Start(nullptr);
  ASSERT_TRUE(Within(seconds(60), [&] { return a.Current().has_value(); }));
  b.Start(nullptr);
  ASSERT_TRUE(Within(seconds(60), [&] { return !b.holder().empty(); }));
  a.Stop();
  std::optional<Lead> lead;
  ASSERT_TRUE(Within(seconds(60), [&] { return (lead = b.Current()).has_value(); }));
  EXPECT_GE(lead->epoch, 2);
}

TEST_F(LeaseApiServerTest, WatchesAreListedAnewWhenALeadBegins) {
  KubernetesPlatform platform(*client_, clock_, {.only_namespace = namespace_, .nats_url = ""});
  platform.Start([](const PoolKey&) {});
  ASSERT_TRUE(Within(seconds(60), [&] { return platform.synced(); }));
  for (int n = 0; n < 5; ++n) {
    const std::uint64_t before = client_->requests();
    platform.Refresh();
    ASSERT_TRUE(Within(seconds(60), [&] { return platform.synced(); }));
    EXPECT_GE(client_->requests() - before, 2U);
  }
}

}  // namespace
}  // namespace lanekeeper::kubernetes
