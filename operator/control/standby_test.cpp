// Operators that stand by for one another: who does not lead hears everything and does nothing.
#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "operator/control/control_loop.h"
#include "operator/control/fake_leadership.h"
#include "operator/control/reconciler_fixture.h"
#include "worker-runtime/base/testing/eventually.h"

namespace lanekeeper {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

const LaneKey kShort{"studio", "media", "short"};
const LaneKey kExtra{"studio", "media", "extra"};

class SeenByAll final : public ReconcileObserver {
 public:
  void OnScaled(const LaneKey&, int, const scaling::ScalingDecision& decision) override {
    workers = decision.workers;
  }
  void OnForget(const LaneKey&) override { ++forgotten; }
  std::atomic<int> workers{-1};
  std::atomic<int> forgotten{0};
};

class StandbyTest : public testing::Test {
 protected:
  ~StandbyTest() override { loop_.Stop(); }

  void Start() {
    loop_.Start();
    source_.callbacks.on_pool(Pool(1, {"short"}));
    source_.callbacks.on_synced();
  }
  void Offer(std::optional<Lead> lead) {
    leadership_.Set(std::move(lead));
    loop_.OnLeadChange();
  }
  void SetJobs(std::int64_t waiting) { probe_.Set(kShort, Jobs(waiting)); }
  // A change that even a standby takes in, so that what came before it has been taken in, too.
  bool TakesInEverythingSoFar() {
    source_.callbacks.on_pool(Pool(++generation_, {"short", "extra"}));
    if (!Eventually([&] { return probe_.probed().contains(kExtra); })) return false;
    source_.callbacks.on_pool(Pool(++generation_, {"short"}));
    return Eventually([&] { return !probe_.probed().contains(kExtra); });
  }
  static std::shared_ptr<const WorkerPool> Pool(std::int64_t generation,
                                                const std::vector<std::string>& lanes) {
    auto pool = std::make_shared<WorkerPool>();
    pool->key = {"studio", "media"};
    pool->generation = generation;
    for (const std::string& name : lanes) pool->lanes.emplace_back().name = name;
    return pool;
  }

  FakePoolSource source_;
  FakeLaneProbe probe_;
  FakeQueues queues_;
  FakePlatform platform_;
  SystemClock clock_;
  SeenByAll seen_;
  KeptLedger ledger_;
  FakePoolBoard board_;
  FakeLeadership leadership_;
  TakenLead taken_{leadership_};
  std::atomic<int> refreshed_{0};
  std::atomic<bool> fresh_{true};
  std::int64_t generation_ = 1;
  ControlLoop loop_{source_,
                    probe_,
                    queues_,
                    platform_,
                    clock_,
                    &seen_,
                    &ledger_,
                    &board_,
                    Standby{.lead = &taken_,
                            .refresh = [this] { ++refreshed_; },
                            .fresh = [this] { return fresh_.load(); }}};
};

TEST_F(StandbyTest, ListensAndDoesNothing) {
  Start();
  SetJobs(40);
  ASSERT_TRUE(TakesInEverythingSoFar());
  source_.callbacks.on_gone({"studio", "media"});
  ASSERT_TRUE(Eventually([&] { return !probe_.probed().contains(kShort); }));
  loop_.Stop();
  EXPECT_THAT(platform_.writes, IsEmpty());
  EXPECT_EQ(platform_.status_writes, 0);
  EXPECT_THAT(platform_.events, IsEmpty());
  EXPECT_THAT(queues_.ensured, IsEmpty());
  EXPECT_THAT(probe_.TakeTold(), IsEmpty());
  EXPECT_THAT(ledger_.entries, IsEmpty());
  EXPECT_EQ(board_.tells + board_.status_tells, 0);
  EXPECT_FALSE(board_.kept);
}

TEST_F(StandbyTest, LeaderActsOnceItsCachesAreFresh) {
  fresh_ = false;
  Start();
  SetJobs(40);
  Offer(LeadOf(7));
  ASSERT_TRUE(Eventually([&] { return refreshed_ == 1; }));
  ASSERT_TRUE(TakesInEverythingSoFar());
  EXPECT_EQ(seen_.workers, -1);
  EXPECT_FALSE(taken_.Current());
  fresh_ = true;
  ASSERT_TRUE(Eventually([&] { return seen_.workers == 5; }));
  loop_.Stop();
  EXPECT_EQ(refreshed_, 1);
  EXPECT_EQ(board_.started_over, 1);
  EXPECT_EQ(board_.kept, (std::vector<PoolKey>{{"studio", "media"}}));
  ASSERT_FALSE(ledger_.entries.empty());
  EXPECT_EQ(ledger_.entries.back().leader, "me");
  EXPECT_EQ(ledger_.entries.back().epoch, 7);
}

TEST_F(StandbyTest, WhoLeadsNoMoreStandsByUntilTheNextLead) {
  Start();
  SetJobs(40);
  Offer(LeadOf(1));
  ASSERT_TRUE(Eventually([&] { return seen_.workers == 5; }));
  const int forgotten = seen_.forgotten;
  Offer(std::nullopt);
  ASSERT_TRUE(Eventually([&] { return seen_.forgotten > forgotten; }));
  SetJobs(80);
  ASSERT_TRUE(TakesInEverythingSoFar());
  EXPECT_EQ(seen_.workers, 5);
  EXPECT_TRUE(probe_.probed().contains(kShort));
  Offer(LeadOf(3));
  ASSERT_TRUE(Eventually([&] { return seen_.workers == 10; }));
  loop_.Stop();
  EXPECT_EQ(ledger_.entries.back().epoch, 3);
  EXPECT_EQ(board_.started_over, 2);
}

TEST_F(StandbyTest, LeadThatFollowsOnAnotherAtOnceIsBegunAnew) {
  Start();
  Offer(LeadOf(1));
  ASSERT_TRUE(Eventually([&] { return taken_.Current().has_value(); }));
  Offer(LeadOf(2));
  ASSERT_TRUE(Eventually([&] { return taken_.Current() && taken_.Current()->epoch == 2; }));
  loop_.Stop();
  EXPECT_EQ(refreshed_, 2);
}

TEST(TakenLead, PassOfAnEarlierLeadCannotActInALaterOne) {
  FakeLeadership leadership;
  TakenLead taken(leadership);
  leadership.Set(LeadOf(1));
  EXPECT_FALSE(taken.Current()) << "nobody has taken it up yet";
  taken.TakeUp(1);
  EXPECT_TRUE(taken.Current());
  leadership.Set(std::nullopt);
  EXPECT_FALSE(taken.Current());
  leadership.Set(LeadOf(2));
  EXPECT_FALSE(taken.Current());
  taken.LayDown();
  EXPECT_FALSE(taken.Current());
  taken.TakeUp(2);
  EXPECT_TRUE(taken.Current());
}

class LeaderPortsTest : public testing::Test {
 protected:
  FakeLeadership leadership_;
  FakeLaneProbe real_probe_;
  FakeQueues real_queues_;
  KeptLedger real_ledger_;
  LeaderProbe probe_{real_probe_, &leadership_};
  LeaderQueues queues_{real_queues_, &leadership_};
  LeaderLedger ledger_{&real_ledger_, &leadership_};
};

TEST_F(LeaderPortsTest, AreShutForWhoDoesNotLead) {
  probe_.Probe({kShort, "s", "c"});
  EXPECT_TRUE(real_probe_.probed().contains(kShort));
  probe_.Tell(kShort, "w1", kControlDrain);
  EXPECT_THAT(real_probe_.TakeTold(), IsEmpty());
  Lane lane;
  const Result<void> ensured = queues_.Ensure({}, lane);
  ASSERT_FALSE(ensured);
  EXPECT_EQ(ensured.error().kind, ErrorKind::kRetryable);
  EXPECT_FALSE(queues_.RemoveLane(kShort));
  EXPECT_FALSE(queues_.RemoveDeadLetters({"studio", "media"}));
  EXPECT_THAT(real_queues_.ensured, IsEmpty());
  EXPECT_THAT(real_queues_.removed, IsEmpty());
  ledger_.Record({});
  EXPECT_THAT(real_ledger_.entries, IsEmpty());
}

TEST_F(LeaderPortsTest, AreOpenForTheLeader) {
  leadership_.Set(LeadOf(4));
  probe_.Tell(kShort, "w1", kControlDrain);
  EXPECT_THAT(real_probe_.TakeTold(), ElementsAre("drain w1"));
  Lane lane;
  EXPECT_TRUE(queues_.Ensure({}, lane));
  EXPECT_TRUE(queues_.RemoveLane(kShort));
  ledger_.Record({.key = kShort});
  ASSERT_EQ(real_ledger_.entries.size(), 1U);
  EXPECT_EQ(real_ledger_.entries[0].epoch, 4);
}

TEST(LeaderPorts, OneOperatorSignsNothing) {
  KeptLedger real_ledger;
  LeaderLedger ledger(&real_ledger, nullptr);
  ledger.Record({.key = kShort});
  ASSERT_EQ(real_ledger.entries.size(), 1U);
  EXPECT_EQ(real_ledger.entries[0].leader, "");
}

// The demand of the time before is not known to the next leader: what runs stands in for it, for a
// whole window from its first pass on. The one before could not have held longer.
TEST_F(ReconcilerTest, NextLeadHoldsForAWholeWindow) {
  Pass();
  probe.Set(Key("short"), Jobs(160));
  Pass();
  ASSERT_EQ(Replicas("short"), 10);
  probe.Set(Key("short"), Jobs(0));
  Wait(seconds(14));  // One second more, and this one would let go.
  Pass();
  reconciler.StandDown();
  Wait(seconds(6));
  for (int n = 0; n < 56; ++n) {
    Pass();
    ASSERT_EQ(Replicas("short"), 10) << n;
    Wait(milliseconds(250));
  }
  Wait(seconds(2));
  Passes();
  EXPECT_EQ(Replicas("short"), 0);
}

TEST_F(ReconcilerTest, NextLeadWritesNothingThatIsRight) {
  Passes();
  probe.Set(Key("short"), Jobs(160));
  Passes();
  reconciler.StandDown();
  platform.writes.clear();
  const int status_writes = platform.status_writes;
  Passes();
  EXPECT_THAT(platform.writes, IsEmpty());
  EXPECT_EQ(platform.status_writes, status_writes);
}

}  // namespace
}  // namespace lanekeeper
