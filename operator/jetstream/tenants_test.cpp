#include "operator/jetstream/tenants.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <map>
#include <mutex>
#include <thread>

#include "operator/control/conditions.h"
#include "operator/control/fakes.h"
#include "operator/control/reconciler.h"
#include "worker-runtime/base/testing/eventually.h"

namespace lanekeeper {
namespace {

using scaling::Doubt;
using std::chrono::milliseconds;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

class KeptLedger final : public Ledger {
 public:
  void Record(const LedgerEntry& entry) override { entries.push_back(entry); }
  std::vector<LedgerEntry> entries;
};

// What a fake line leads to; outlives the line.
struct FarSide {
  TenantAddress address;
  FakeLaneProbe probe;
  FakeQueues queues;
  KeptLedger ledger;
  FakePoolBoard board;
  std::mutex mutex;
  std::vector<nats::Access> accesses;  // The first it was opened with.
  std::atomic<bool> connected{true};
  std::atomic<bool> all_told{true};
  std::atomic<bool> ended{false};
  std::string last_error;  // Set before connected is cleared.

  nats::Access access() {
    const std::lock_guard lock(mutex);
    return accesses.back();
  }
  std::size_t renewed() {
    const std::lock_guard lock(mutex);
    return accesses.size() - 1;
  }
};

class FakeLine final : public TenantLine {
 public:
  explicit FakeLine(std::shared_ptr<FarSide> far) : far_(std::move(far)) {}
  ~FakeLine() override { far_->ended = true; }
  LaneProbe& probe() override { return far_->probe; }
  Queues& queues() override { return far_->queues; }
  Ledger& ledger() override { return far_->ledger; }
  PoolBoard& board() override { return far_->board; }
  Result<void> Renew(nats::Access access) override {
    const std::lock_guard lock(far_->mutex);
    far_->accesses.push_back(std::move(access));
    return {};
  }
  bool Connected() const override { return far_->connected; }
  std::string LastError() const override { return far_->last_error; }
  bool AllTold() const override { return far_->all_told; }
  void Shut() override {}

 private:
  std::shared_ptr<FarSide> far_;
};

PoolNats NatsOf(const std::string& url, const std::string& secret = "") {
  PoolNats nats{.url = url};
  if (!secret.empty()) nats.credentials = {secret, "user.creds"};
  return nats;
}

WorkerPool Pool(const std::string& pool_namespace, const std::string& name,
                std::optional<PoolNats> nats = std::nullopt) {
  WorkerPool pool{.key = {pool_namespace, name}, .generation = 1, .has_finalizer = true};
  Lane lane{.name = "short"};
  lane.queue = {.stream = JobStreamName(pool.KeyOf(lane)), .consumer = std::string(kConsumerName)};
  lane.template_json = R"({"spec":{}})";
  lane.nats = nats;
  pool.lanes.push_back(lane);
  pool.nats = std::move(nats);
  return pool;
}

LaneKey LaneOf(const WorkerPool& pool) { return pool.KeyOf(pool.lanes.front()); }

LaneSample Sampled(std::int64_t waiting) {
  LaneSample sample;
  sample.doubt = Doubt::kNone;
  sample.waiting = waiting;
  return sample;
}

class Nobody final : public Leadership {
 public:
  std::optional<Lead> Current() const override { return std::nullopt; }
};

class TenantsTest : public testing::Test {
 protected:
  // Once a test, with what it wants to be different.
  Tenants& Make(const std::function<void(TenantsOptions&)>& change = [](TenantsOptions&) {}) {
    TenantsOptions options{
        .allowed = true, .secret_interval = milliseconds(20), .secret_retry_wait = milliseconds(5)};
    options.open_line = [this](const TenantAddress& address, nats::Access access,
                               const std::function<void(const LaneKey&)>& on_change)
        -> Result<std::unique_ptr<TenantLine>> {
      auto far = std::make_shared<FarSide>();
      far->address = address;
      far->accesses.push_back(std::move(access));
      far->probe.Start(on_change);
      const std::lock_guard lock(mutex_);
      fars_.push_back(far);
      return std::unique_ptr<TenantLine>(std::make_unique<FakeLine>(far));
    };
    change(options);
    tenants_ = std::make_unique<Tenants>(OwnPorts{source_, probe_, queues_, ledger_, board_},
                                         &secrets_, clock_, std::move(options));
    tenants_->source().Start(
        {.on_pool = [this](std::shared_ptr<const WorkerPool> pool) { pools_[pool->key] = *pool; },
         .on_gone = [this](const PoolKey& key) { pools_.erase(key); },
         .on_invalid = [this](const PoolKey& key, const Error& error) { invalid_[key] = error; },
         .on_synced = [] {}});
    tenants_->probe().Start([this](const LaneKey&) { ++changes_; });
    return *tenants_;
  }
  void TearDown() override {
    if (tenants_) tenants_->probe().Stop();
  }

  void Play(const WorkerPool& pool) {
    source_.callbacks.on_pool(std::make_shared<const WorkerPool>(pool));
  }
  // As the reconciler's first pass does, as far as it is asked here.
  void Add(const WorkerPool& pool) {
    Play(pool);
    const Lane& lane = pool.lanes.front();
    tenants_->probe().Probe({pool.KeyOf(lane), lane.queue.stream, lane.queue.consumer});
    tenants_->board().Tell(pool);
  }
  std::shared_ptr<FarSide> WaitForLine(std::size_t number = 0) {
    EXPECT_TRUE(Eventually([&] { return lines() > number; }));
    const std::lock_guard lock(mutex_);
    return fars_.at(number);
  }
  std::size_t lines() {
    const std::lock_guard lock(mutex_);
    return fars_.size();
  }
  bool Time(milliseconds step, const std::function<bool()>& holds) {
    return Eventually([&] {
      clock_.Advance(step);
      return holds();
    });
  }

  FakePoolSource source_;
  FakeLaneProbe probe_;
  FakeQueues queues_;
  KeptLedger ledger_;
  FakePoolBoard board_;
  FakeSecrets secrets_;
  FakeClock clock_;
  std::map<PoolKey, WorkerPool> pools_;
  std::map<PoolKey, Error> invalid_;
  std::atomic<int> changes_{0};
  std::mutex mutex_;
  std::vector<std::shared_ptr<FarSide>> fars_;
  std::unique_ptr<Tenants> tenants_;
};

TEST_F(TenantsTest, PoolsWithoutOneGoOverTheOperatorsOwnConnection) {
  Tenants& tenants = Make();
  const WorkerPool pool = Pool("studio", "media");
  Add(pool);
  EXPECT_TRUE(tenants.queues().Ensure(pool, pool.lanes[0]));
  tenants.ledger().Record({.key = LaneOf(pool)});
  probe_.Set(LaneOf(pool), Sampled(3));
  EXPECT_EQ(tenants.probe().Latest(LaneOf(pool)).waiting, 3);
  EXPECT_THAT(probe_.probed(), ElementsAre(LaneOf(pool)));
  EXPECT_EQ(queues_.ensured["short"], 1);
  EXPECT_EQ(ledger_.entries.size(), 1U);
  EXPECT_EQ(board_.briefs.size(), 1U);
  EXPECT_EQ(tenants.counts().tenants, 0U);
  EXPECT_EQ(secrets_.reads(), 0);
}

TEST_F(TenantsTest, NothingOfATenantsPoolGoesOverTheOperatorsOwn) {
  Tenants& tenants = Make();
  secrets_.Set("team-a/creds", {{"user.creds", "of team-a"}});
  const WorkerPool pool = Pool("team-a", "media", NatsOf("nats://a", "creds"));
  Add(pool);
  const auto far = WaitForLine();
  EXPECT_EQ(far->address.url, "nats://a");
  EXPECT_EQ(far->access().credentials, "of team-a");
  ASSERT_TRUE(Eventually([&] { return far->probe.probed().size() == 1; }));

  EXPECT_TRUE(Eventually([&] { return tenants.queues().Ensure(pool, pool.lanes[0]).has_value(); }));
  tenants.ledger().Record({.key = LaneOf(pool)});
  tenants.board().TellStatus(pool.key, {});
  far->probe.Set(LaneOf(pool), Sampled(7));
  EXPECT_EQ(tenants.probe().Latest(LaneOf(pool)).waiting, 7);
  tenants.probe().Tell(LaneOf(pool), "w-1", kControlDrain);
  EXPECT_TRUE(Eventually([&] {
    const auto told = far->probe.TakeTold();
    return std::ranges::count(told, std::string(kControlDrain) + " w-1") == 1;
  }));
  EXPECT_TRUE(Eventually([&] { return tenants.queues().RemoveLane(LaneOf(pool)).has_value(); }));
  EXPECT_TRUE(Eventually([&] { return tenants.queues().RemoveDeadLetters(pool.key).has_value(); }));

  EXPECT_EQ(far->ledger.entries.size(), 1U);
  EXPECT_EQ(far->board.briefs.size(), 1U);
  EXPECT_EQ(far->board.statuses.size(), 1U);
  EXPECT_THAT(far->queues.removed, UnorderedElementsAre("short", "dead letters of media"));
  EXPECT_TRUE(probe_.probed().empty());
  EXPECT_TRUE(probe_.TakeTold().empty());
  EXPECT_TRUE(queues_.ensured.empty());
  EXPECT_TRUE(queues_.removed.empty());
  EXPECT_TRUE(ledger_.entries.empty());
  EXPECT_TRUE(board_.briefs.empty());
}

TEST_F(TenantsTest, EqualPoolsOfANamespaceShareALineAndOtherNamespacesDoNot) {
  Make();
  secrets_.Set("team-a/creds", {{"user.creds", "a"}});
  secrets_.Set("team-b/creds", {{"user.creds", "b"}});
  const PoolNats nats = NatsOf("nats://shared", "creds");
  Add(Pool("team-a", "one", nats));
  Add(Pool("team-a", "two", nats));
  Add(Pool("team-b", "one", nats));
  ASSERT_TRUE(Eventually([&] { return lines() == 2; }));
  EXPECT_EQ(tenants_->counts().tenants, 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    const auto far = WaitForLine(i);
    const bool a = far->address.pool_namespace == "team-a";
    EXPECT_EQ(far->access().credentials, a ? "a" : "b");
    EXPECT_TRUE(Eventually([&] { return far->probe.probed().size() == (a ? 2U : 1U); }));
  }
}

TEST_F(TenantsTest, AMissingSecretIsADoubtOfItsPoolUntilItIsThere) {
  Tenants& tenants = Make();
  const WorkerPool pool = Pool("team-a", "media", NatsOf("nats://a", "creds"));
  const WorkerPool other = Pool("team-a", "own");
  Add(pool);
  Add(other);
  probe_.Set(LaneOf(other), Sampled(1));
  ASSERT_TRUE(Eventually(
      [&] { return tenants.probe().Latest(LaneOf(pool)).doubt == Doubt::kDisconnected; }));
  EXPECT_THAT(tenants.probe().Latest(LaneOf(pool)).doubt_detail,
              HasSubstr("reading Secret team-a/creds: secret not found"));
  EXPECT_EQ(tenants.probe().Latest(LaneOf(other)).doubt, Doubt::kNone);
  const auto ensured = tenants.queues().Ensure(pool, pool.lanes[0]);
  ASSERT_FALSE(ensured);
  EXPECT_EQ(ensured.error().kind, ErrorKind::kRetryable);
  EXPECT_GE(changes_, 1);

  secrets_.Set("team-a/creds", {{"other", "x"}});
  ASSERT_TRUE(Time(milliseconds(50), [&] {
    return tenants.probe().Latest(LaneOf(pool)).doubt_detail.find("key user.creds") !=
           std::string::npos;
  }));
  secrets_.Set("team-a/creds", {{"user.creds", "x"}});
  ASSERT_TRUE(Time(milliseconds(50), [&] { return lines() == 1; }));
  const auto far = WaitForLine();
  // What was told while there was no line.
  EXPECT_TRUE(Eventually([&] { return far->probe.probed().size() == 1; }));
  EXPECT_EQ(far->board.briefs.size(), 1U);
  EXPECT_TRUE(Eventually(
      [&] { return tenants.probe().Latest(LaneOf(pool)).doubt == Doubt::kNoSampleYet; }));
}

TEST_F(TenantsTest, AChangedSecretIsTakenUpAndAnUnchangedOneIsNot) {
  Make();
  secrets_.Set("team-a/creds", {{"user.creds", "first"}});
  Add(Pool("team-a", "media", NatsOf("nats://a", "creds")));
  const auto far = WaitForLine();
  const int reads = secrets_.reads();
  ASSERT_TRUE(Time(milliseconds(50), [&] { return secrets_.reads() >= reads + 3; }));
  EXPECT_EQ(far->renewed(), 0U);
  secrets_.Set("team-a/creds", {{"user.creds", "second"}});
  ASSERT_TRUE(Time(milliseconds(50), [&] { return far->renewed() == 1; }));
  EXPECT_EQ(far->access().credentials, "second");
  EXPECT_EQ(lines(), 1U);
}

TEST_F(TenantsTest, SecretsAreNotReadBeforeTheirTime) {
  Make([](TenantsOptions& options) { options.secret_interval = std::chrono::hours(1); });
  secrets_.Set("team-a/creds", {{"user.creds", "x"}});
  Add(Pool("team-a", "media", NatsOf("nats://a", "creds")));
  const auto far = WaitForLine();
  ASSERT_TRUE(Eventually([&] { return tenants_->counts().connected == 1; }));
  ASSERT_TRUE(Time(milliseconds(50), [&] { return secrets_.reads() >= 2; }));
  const int reads = secrets_.reads();
  Add(Pool("team-a", "another", NatsOf("nats://a", "creds")));
  ASSERT_TRUE(Eventually([&] { return far->probe.probed().size() == 2; }));
  EXPECT_EQ(secrets_.reads(), reads);
}

TEST_F(TenantsTest, CertificatesAreReadFromTheirSecrets) {
  Make();
  PoolNats nats = NatsOf("tls://a");
  nats.tls_ca = {"ca", "root.pem"};
  nats.tls_certificate_of = "client";
  secrets_.Set("team-a/ca", {{"root.pem", "CA"}});
  secrets_.Set("team-a/client", {{"tls.crt", "CRT"}, {"tls.key", "KEY"}});
  Add(Pool("team-a", "media", nats));
  EXPECT_EQ(WaitForLine()->access(),
            (nats::Access{.tls_ca = "CA", .tls_certificate = "CRT", .tls_key = "KEY"}));
}

TEST_F(TenantsTest, WhereTheyAreNotAllowedAPoolIsInvalidAndNothingIsRead) {
  Make([](TenantsOptions& options) { options.allowed = false; });
  const WorkerPool pool = Pool("team-a", "media", NatsOf("nats://a", "creds"));
  Play(pool);
  Play(Pool("team-a", "own"));
  ASSERT_TRUE(invalid_.contains(pool.key));
  EXPECT_THAT(invalid_[pool.key].message, HasSubstr("spec.nats"));
  EXPECT_THAT(invalid_[pool.key].message, HasSubstr("tenants.enabled"));
  EXPECT_EQ(pools_.size(), 1U);
  EXPECT_EQ(lines(), 0U);
  EXPECT_EQ(secrets_.reads(), 0);
}

TEST_F(TenantsTest, WhereTheyAreNotAllowedAPoolCanStillBeDeleted) {
  Make([](TenantsOptions& options) { options.allowed = false; });
  WorkerPool pool = Pool("team-a", "media", NatsOf("nats://a"));
  pool.deleting = pool.delete_queues = true;
  Play(pool);
  ASSERT_TRUE(pools_.contains(pool.key));
  // Those of the same name in the operator's own account are not this pool's.
  EXPECT_FALSE(pools_[pool.key].delete_queues);
  EXPECT_TRUE(queues_.removed.empty());
}

TEST_F(TenantsTest, BeyondTheLimitAPoolWaitsUntilAnotherTenantHasEnded) {
  Tenants& tenants = Make([](TenantsOptions& options) { options.lines_max = 1; });
  const WorkerPool first = Pool("team-a", "first", NatsOf("nats://a"));
  const WorkerPool second = Pool("team-b", "second", NatsOf("nats://b"));
  Add(first);
  const auto far = WaitForLine();
  Add(second);
  ASSERT_TRUE(Eventually(
      [&] { return tenants.probe().Latest(LaneOf(second)).doubt == Doubt::kDisconnected; }));
  EXPECT_THAT(tenants.probe().Latest(LaneOf(second)).doubt_detail, HasSubstr("1 NATS connections"));
  EXPECT_EQ(lines(), 1U);

  source_.callbacks.on_gone(first.key);
  tenants.board().Forget(first.key);
  tenants.probe().Forget(LaneOf(first));
  EXPECT_TRUE(Time(milliseconds(50), [&] { return lines() == 2; }));
  EXPECT_TRUE(Eventually([&] { return far->ended.load(); }));
}

TEST_F(TenantsTest, ALineEndsWhenNoPoolUsesItAndAllIsTold) {
  Tenants& tenants = Make();
  const WorkerPool pool = Pool("team-a", "media", NatsOf("nats://a"));
  Add(pool);
  const auto far = WaitForLine();
  ASSERT_TRUE(Eventually([&] { return far->probe.probed().size() == 1; }));
  far->all_told = false;
  // As the reconciler does it: first it is let go, then it is gone.
  tenants.board().Forget(pool.key);
  source_.callbacks.on_gone(pool.key);
  tenants.board().Forget(pool.key);
  tenants.probe().Forget(LaneOf(pool));
  EXPECT_TRUE(far->board.forgotten.contains(pool.key));
  EXPECT_TRUE(far->probe.probed().empty());
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_FALSE(far->ended);
  far->all_told = true;
  EXPECT_TRUE(Eventually([&] { return far->ended.load(); }));
  EXPECT_EQ(tenants.counts().tenants, 0U);
}

TEST_F(TenantsTest, APoolThatMovesLeavesNothingBehindButItsQueue) {
  Tenants& tenants = Make();
  WorkerPool pool = Pool("team-a", "media");
  Add(pool);
  pool.nats = NatsOf("nats://a");
  pool.generation = 2;
  Add(pool);
  const auto far = WaitForLine();
  EXPECT_TRUE(Eventually([&] { return far->probe.probed().size() == 1; }));
  EXPECT_TRUE(probe_.probed().empty());
  EXPECT_TRUE(board_.forgotten.contains(pool.key));
  EXPECT_TRUE(board_.briefs.empty());
  EXPECT_TRUE(Eventually([&] { return !far->board.briefs.empty(); }));

  pool.nats.reset();
  pool.generation = 3;
  Add(pool);
  EXPECT_THAT(probe_.probed(), ElementsAre(LaneOf(pool)));
  EXPECT_EQ(board_.briefs.size(), 1U);
  EXPECT_TRUE(Eventually([&] { return far->ended.load(); }));
  EXPECT_TRUE(far->queues.removed.empty());
  EXPECT_EQ(tenants.counts().tenants, 0U);
}

TEST_F(TenantsTest, OthersAreToldThatAPoolIsToldOfElsewhere) {
  Tenants& tenants = Make();
  Add(Pool("team-a", "one", NatsOf("nats://a")));
  const auto far = WaitForLine();
  ASSERT_TRUE(Eventually([&] { return far->probe.probed().size() == 1; }));  // In use by now.
  tenants.board().KeepOnly({{"team-a", "one"}});
  Add(Pool("team-a", "own"));
  Add(Pool("team-b", "theirs"));
  EXPECT_TRUE(far->board.spared.contains({"team-a", "own"}));
  EXPECT_FALSE(far->board.spared.contains({"team-b", "theirs"}));
  EXPECT_TRUE(board_.spared.contains({"team-a", "one"}));
  // One that opens later knows all of them at once.
  Add(Pool("team-a", "two", NatsOf("nats://b")));
  const auto later = WaitForLine(1);
  EXPECT_TRUE(Eventually([&] { return later->probe.probed().size() == 1; }));
  EXPECT_THAT(later->board.kept.value_or(std::vector<PoolKey>{}),
              Contains(PoolKey{"team-a", "one"}));
  EXPECT_THAT(later->board.kept.value_or(std::vector<PoolKey>{}),
              Contains(PoolKey{"team-a", "own"}));
}

TEST_F(TenantsTest, WhoDoesNotLeadTouchesNoTenant) {
  const Nobody nobody;
  Tenants& tenants = Make([&](TenantsOptions& options) { options.leadership = &nobody; });
  const WorkerPool pool = Pool("team-a", "media", NatsOf("nats://a"));
  Add(pool);
  const auto far = WaitForLine();
  ASSERT_TRUE(Eventually([&] { return far->probe.probed().size() == 1; }));
  tenants.probe().Tell(LaneOf(pool), "w-1", kControlDrain);
  ASSERT_TRUE(Eventually([&] {
    const auto ensured = tenants.queues().Ensure(pool, pool.lanes[0]);
    return !ensured && ensured.error().message.find("lead") != std::string::npos;
  }));
  EXPECT_TRUE(far->probe.TakeTold().empty());
  EXPECT_TRUE(far->queues.ensured.empty());
  tenants.probe().Stop();
  tenants_.reset();
}

TEST_F(TenantsTest, WhatTheServerSaidIsInTheDoubt) {
  Tenants& tenants = Make();
  const WorkerPool pool = Pool("team-a", "media", NatsOf("nats://a"));
  Add(pool);
  const auto far = WaitForLine();
  ASSERT_TRUE(Eventually([&] { return far->probe.probed().size() == 1; }));
  LaneSample away;
  away.doubt = Doubt::kDisconnected;
  far->probe.Set(LaneOf(pool), away);
  far->last_error = "Authorization Violation";
  far->connected = false;
  EXPECT_TRUE(Eventually([&] {
    return tenants.probe().Latest(LaneOf(pool)).doubt_detail == "Authorization Violation";
  }));
}

// A pool whose Secret is missing, beside one that works, as people see it.
TEST_F(TenantsTest, OnePoolsTroubleIsInItsOwnConditions) {
  Tenants& tenants = Make();
  FakePlatform platform;
  Reconciler reconciler(platform, tenants.queues(), tenants.probe(), clock_, nullptr,
                        &tenants.ledger(), &tenants.board());
  const WorkerPool bad = Pool("team-a", "bad", NatsOf("nats://a", "missing"));
  const WorkerPool good = Pool("team-b", "good", NatsOf("nats://b"));
  Play(bad);
  Play(good);
  reconciler.Reconcile(bad);
  reconciler.Reconcile(good);
  const auto far = WaitForLine();
  far->probe.Set(LaneOf(good), Sampled(0));
  const auto condition = [&](const WorkerPool& pool, const char* type) {
    clock_.Advance(std::chrono::seconds(3));
    static_cast<void>(reconciler.Reconcile(pool));
    const Condition* found = FindCondition(platform.statuses[pool.key].conditions, type);
    return found == nullptr ? Condition{} : *found;
  };
  EXPECT_TRUE(Eventually([&] { return condition(good, "Ready").status; }));
  EXPECT_TRUE(Eventually([&] {
    return condition(bad, "QueueReachable").reason == "NatsDisconnected";
  })) << condition(bad, "QueueReachable").reason;
  EXPECT_THAT(condition(bad, "QueueReachable").message, HasSubstr("Secret team-a/missing"));
  EXPECT_TRUE(condition(good, "QueueReachable").status);
}

}  // namespace
}  // namespace lanekeeper
