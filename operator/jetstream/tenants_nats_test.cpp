// Tenants on real servers: what accounts keep apart, and whose trouble is whose.
#include <dirent.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <cctype>
#include <fstream>
#include <map>

#include "operator/control/conditions.h"
#include "operator/control/fakes.h"
#include "operator/control/reconciler.h"
#include "operator/jetstream/jetstream_lane_probe.h"
#include "operator/jetstream/jetstream_ledger.h"
#include "operator/jetstream/jetstream_pool_board.h"
#include "operator/jetstream/jetstream_queues.h"
#include "operator/jetstream/tenants.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/nats/jetstream.h"
#include "worker-runtime/nats/testing/nats_identities.h"
#include "worker-runtime/nats/testing/nats_test.h"
#include "worker-runtime/nats/testing/tls_identities.h"
#include "worker-runtime/nats/worker_report_json.h"

namespace lanekeeper {
namespace {

using nats::Connect;
using nats::Eventually;
using nats::JwtOperator;
using nats::kAnswerDeadline;
using scaling::Doubt;
using std::chrono::milliseconds;
using testing::HasSubstr;

WorkerPool Pool(const std::string& pool_namespace, std::optional<PoolNats> nats) {
  WorkerPool pool{.key = {pool_namespace, "media"}, .generation = 1, .has_finalizer = true};
  Lane lane{.name = "short"};
  lane.queue = {.stream = JobStreamName(pool.KeyOf(lane)), .consumer = std::string(kConsumerName)};
  lane.scaling.jobs_per_worker = 1;
  lane.template_json = R"({"spec":{}})";
  lane.nats = nats;
  pool.lanes.push_back(lane);
  pool.nats = std::move(nats);
  return pool;
}

LaneKey LaneOf(const WorkerPool& pool) { return pool.KeyOf(pool.lanes.front()); }

int Threads() {
  int count = 0;
  DIR* tasks = opendir("/proc/self/task");
  while (readdir(tasks) != nullptr) ++count;
  closedir(tasks);
  return count;
}

// An operator without a cluster, whose own account is OWN. Passes are made by the test's thread.
class TenantsNatsTest : public testing::Test {
 protected:
  TenantsNatsTest() {
    tenants_.source().Start(
        {.on_pool = [this](std::shared_ptr<const WorkerPool> pool) { pools_[pool->key] = *pool; },
         .on_gone = [this](const PoolKey& key) { pools_.erase(key); },
         .on_invalid = [](const PoolKey&, const Error&) {},
         .on_synced = [] {}});
    tenants_.probe().Start([](const LaneKey&) {});
    own_ledger_.Start();
    own_board_.Start();
  }
  ~TenantsNatsTest() override {
    tenants_.probe().Stop();
    own_ledger_.Stop();
    own_board_.Stop();
  }

  PoolNats NatsOf(const nats::NatsServer& server) const {
    return {.url = server.url(), .credentials = {"creds", "user.creds"}};
  }
  WorkerPool Add(const std::string& pool_namespace, std::optional<PoolNats> nats) {
    WorkerPool pool = Pool(pool_namespace, std::move(nats));
    source_.callbacks.on_pool(std::make_shared<const WorkerPool>(pool));
    return pool;
  }
  WorkerPool AddTenant(const std::string& account) {
    const std::string pool_namespace = "team-" + account;
    secrets_.Set(pool_namespace + "/creds", {{"user.creds", jwt_.NewUser(Upper(account))}});
    return Add(pool_namespace, NatsOf(server_));
  }
  static std::string Upper(std::string text) {
    for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return text;
  }
  std::unique_ptr<nats::Connection> Enter(const std::string& account) {
    return Connect(server_.url(), {.access = {.credentials = jwt_.NewUser(account)}});
  }
  // True once a pass over each of the pools there are has led to it.
  bool Passes(const std::function<bool()>& holds) {
    return Eventually([&] {
      for (const auto& [key, pool] : pools_) static_cast<void>(reconciler_.Reconcile(pool));
      return holds();
    });
  }
  bool Works(const WorkerPool& pool) {
    return tenants_.probe().Latest(LaneOf(pool)).doubt == Doubt::kNone;
  }
  Condition ConditionOf(const WorkerPool& pool, const char* type) {
    const Condition* found = FindCondition(platform_.statuses[pool.key].conditions, type);
    return found == nullptr ? Condition{} : *found;
  }
  int Replicas(const WorkerPool& pool) {
    const auto found = platform_.workloads.find(LaneOf(pool));
    return found == platform_.workloads.end() ? 0 : found->second.state.replicas;
  }
  static bool AddJob(nats::Connection& connection, const WorkerPool& pool) {
    return nats::JetStream(connection, kAnswerDeadline)
        .PublishAck(JobSubject(LaneOf(pool)), "{}")
        .has_value();
  }

  const JwtOperator jwt_{{"OWN", "A", "B", "C"}};
  nats::NatsServer server_ = nats::RunServer({.config = jwt_.Config()});
  std::unique_ptr<nats::Connection> own_ = Connect(
      server_.url(), {.access = {.credentials = jwt_.NewUser("OWN")}, .shared_delivery = true});
  SystemClock clock_;
  FakePoolSource source_;
  FakeSecrets secrets_;
  FakePlatform platform_;
  static std::string StatusText(const PoolStatus& status) {
    return R"({"observedGeneration":)" + std::to_string(status.observed_generation) + "}";
  }
  JetStreamLaneProbe own_probe_{*own_, clock_, {.sample_interval = milliseconds(50)}};
  JetStreamQueues own_queues_{*own_};
  JetStreamLedger own_ledger_{*own_};
  JetStreamPoolBoard own_board_{*own_,
                                {.status_json = StatusText, .recheck_interval = milliseconds(50)}};
  Tenants tenants_{{source_, own_probe_, own_queues_, own_ledger_, own_board_},
                   &secrets_,
                   clock_,
                   {.allowed = true,
                    .secret_interval = milliseconds(200),
                    .secret_retry_wait = milliseconds(50),
                    .open_line = [this](const TenantAddress& address, nats::Access access,
                                        std::function<void(const LaneKey&)> on_change) {
                      return OpenJetStreamLine(
                          address, std::move(access), clock_,
                          {.sample_interval = milliseconds(50), .status_json = StatusText},
                          std::move(on_change));
                    }}};
  Reconciler reconciler_{platform_, tenants_.queues(),  tenants_.probe(), clock_,
                         nullptr,   &tenants_.ledger(), &tenants_.board()};
  std::map<PoolKey, WorkerPool> pools_;
};

TEST_F(TenantsNatsTest, OneTenantDoesNotSeeTheOthersLanes) {
  const WorkerPool a = AddTenant("a");
  const WorkerPool b = AddTenant("b");
  const WorkerPool own = Add("studio", std::nullopt);
  ASSERT_TRUE(Passes([&] { return Works(a) && Works(b) && Works(own); }));
  const auto in_a = Enter("A");
  const auto in_b = Enter("B");
  const nats::JetStream streams_of_a(*in_a, kAnswerDeadline);
  const nats::JetStream streams_of_b(*in_b, kAnswerDeadline);
  const nats::JetStream streams_of_own(*own_, kAnswerDeadline);

  EXPECT_TRUE(streams_of_a.StreamInfo(a.lanes[0].queue.stream));
  EXPECT_FALSE(streams_of_a.StreamInfo(b.lanes[0].queue.stream));
  EXPECT_FALSE(streams_of_b.StreamInfo(a.lanes[0].queue.stream));
  EXPECT_FALSE(streams_of_own.StreamInfo(a.lanes[0].queue.stream));
  EXPECT_TRUE(streams_of_own.StreamInfo(own.lanes[0].queue.stream));

  // A job of A is A's alone, and B cannot put one into its lane.
  ASSERT_TRUE(AddJob(*in_a, a));
  EXPECT_FALSE(nats::JetStream(*in_b, milliseconds(500)).PublishAck(JobSubject(LaneOf(a)), "{}"));
  ASSERT_TRUE(Passes([&] { return Replicas(a) == 1; }));
  EXPECT_EQ(tenants_.probe().Latest(LaneOf(a)).waiting, 1);

  // Nor can B speak for a worker of A.
  const std::string report =
      nats::WriteWorkerReport({.worker = "w-1", .state = WorkerState::kRunning, .slots = 1});
  ASSERT_TRUE(in_b->Publish(WorkerReportSubject(LaneOf(a), "w-1"), report));
  ASSERT_TRUE(in_b->Publish(WorkerReportSubject(LaneOf(b), "w-1"), report));
  ASSERT_TRUE(Eventually([&] { return tenants_.probe().Workers(LaneOf(b)).size() == 1; }));
  EXPECT_TRUE(tenants_.probe().Workers(LaneOf(a)).empty());

  // What gateways are told, and what was decided, is in the account of the pool.
  ASSERT_TRUE(Passes([&] {
    const auto told = streams_of_a.StreamInfo(kPoolStream, "$KV.LK_pools.>");
    return told && told->subjects.size() == 2;
  }));
  ASSERT_TRUE(Passes([&] {
    const auto told = streams_of_b.StreamInfo(kPoolStream, "$KV.LK_pools.team-b.>");
    return told && told->subjects.size() == 2;
  }));
  const auto told_b = streams_of_b.StreamInfo(kPoolStream, "$KV.LK_pools.team-a.>");
  ASSERT_TRUE(told_b);
  EXPECT_TRUE(told_b->subjects.empty());
  ASSERT_TRUE(Eventually([&] {
    const auto page = ReadLedger(streams_of_a, LaneOf(a), 10);
    return page && !page->entries.empty();
  }));
  const auto page = ReadLedger(streams_of_own, LaneOf(a), 10);
  EXPECT_TRUE(!page || page->entries.empty());
}

TEST_F(TenantsNatsTest, NkeyUsersOfOneServerAreTenantsToo) {
  const nats::Nkey a = nats::MakeNkey('U');
  const nats::Nkey b = nats::MakeNkey('U');
  const nats::NatsServer server = nats::RunServer(
      {.config = nats::AccountsConfig({{"A", {a.public_half}}, {"B", {b.public_half}}})});
  secrets_.Set("team-a/creds", {{"user.creds", a.seed}});
  secrets_.Set("team-b/creds", {{"user.creds", b.seed}});
  const WorkerPool of_a = Add("team-a", NatsOf(server));
  const WorkerPool of_b = Add("team-b", NatsOf(server));
  ASSERT_TRUE(Passes([&] { return Works(of_a) && Works(of_b); }));
  const auto in_a = Connect(server.url(), {.access = {.credentials = a.seed}});
  const nats::JetStream streams(*in_a, kAnswerDeadline);
  EXPECT_TRUE(streams.StreamInfo(of_a.lanes[0].queue.stream));
  EXPECT_FALSE(streams.StreamInfo(of_b.lanes[0].queue.stream));
}

TEST_F(TenantsNatsTest, RefusedCredentialsAreAConditionOfThatPoolUntilTheSecretIsRight) {
  const JwtOperator stranger({"A"});
  secrets_.Set("team-x/creds", {{"user.creds", stranger.NewUser("A")}});
  const WorkerPool bad = Add("team-x", NatsOf(server_));
  const WorkerPool good = AddTenant("b");
  ASSERT_TRUE(Passes([&] {
    return ConditionOf(good, "Ready").status &&
           ConditionOf(bad, "QueueReachable").reason == "NatsDisconnected" &&
           ConditionOf(bad, "QueueReachable").message.find("uthorization") != std::string::npos;
  })) << ConditionOf(bad, "QueueReachable").message
      << ConditionOf(good, "Ready").message;
  EXPECT_FALSE(ConditionOf(bad, "Ready").status);

  secrets_.Set("team-x/creds", {{"user.creds", jwt_.NewUser("A")}});
  EXPECT_TRUE(Passes([&] { return ConditionOf(bad, "Ready").status; }))
      << ConditionOf(bad, "Ready").message;
}

TEST_F(TenantsNatsTest, ChangedSecretIsTakenUpWithoutARestart) {
  const WorkerPool pool = AddTenant("a");
  ASSERT_TRUE(Passes([&] { return Works(pool); }));
  // Another user of another account: where it is used can be seen.
  secrets_.Set("team-a/creds", {{"user.creds", jwt_.NewUser("C")}});
  const auto in_c = Enter("C");
  const nats::JetStream streams(*in_c, kAnswerDeadline);
  EXPECT_TRUE(Passes(
      [&] { return streams.StreamInfo(pool.lanes[0].queue.stream).has_value() && Works(pool); }));
}

TEST_F(TenantsNatsTest, ATenantsCertificateIsShownToItsServer) {
  const nats::TlsAuthority authority;
  const nats::TlsIdentity of_server = authority.Sign("server", "DNS:localhost");
  const nats::TlsIdentity client = authority.Sign("team-a");
  const std::string folder = testing::TempDir() + "tenant-tls-" + std::to_string(getpid());
  const auto write = [&](const char* name, const std::string& text) {
    const std::string file = folder + name;
    std::ofstream(file) << text;
    return "\"" + file + "\"";
  };
  const nats::NatsServer server = nats::RunServer(
      {.config = "tls: {verify: true, cert_file: " + write(".crt", of_server.certificate) +
                 ", key_file: " + write(".key", of_server.key) +
                 ", ca_file: " + write(".ca", authority.certificate()) + "}"});
  secrets_.Set("team-a/ca", {{"ca.crt", authority.certificate()}});
  secrets_.Set("team-a/client", {{"tls.crt", client.certificate}, {"tls.key", client.key}});
  const WorkerPool pool =
      Add("team-a", PoolNats{.url = "tls://localhost:" + std::to_string(server.port()),
                             .tls_ca = {"ca", "ca.crt"},
                             .tls_certificate_of = "client"});
  EXPECT_TRUE(Passes([&] { return Works(pool); }));
}

TEST_F(TenantsNatsTest, AServerThatIsSilentHoldsNobodyUp) {
  const JwtOperator jwt({"A"});
  nats::NatsServer theirs = nats::RunServer({.config = jwt.Config()});
  secrets_.Set("team-x/creds", {{"user.creds", jwt.NewUser("A")}});
  const WorkerPool silent = Add("team-x", NatsOf(theirs));
  const WorkerPool good = AddTenant("b");
  const auto reachable = [&](const WorkerPool& pool) {
    return ConditionOf(pool, "QueueReachable").status;
  };
  ASSERT_TRUE(Passes([&] { return reachable(silent) && reachable(good); }));
  theirs.Pause();
  const auto in_b = Enter("B");
  for (int jobs = 1; jobs <= 3; ++jobs) {
    ASSERT_TRUE(AddJob(*in_b, good));
    EXPECT_TRUE(Passes([&] { return Replicas(good) == jobs; }));
  }
  EXPECT_TRUE(Passes([&] { return !reachable(silent); }));
  EXPECT_TRUE(Passes([&] { return reachable(good); }));
  theirs.Resume();
  EXPECT_TRUE(Passes([&] { return reachable(silent); }));
}

TEST_F(TenantsNatsTest, AServerThatIsAwayCostsNoThreadsBeyondItsOwn) {
  const JwtOperator jwt({"A"});
  nats::NatsServer theirs = nats::RunServer({.config = jwt.Config()});
  secrets_.Set("team-x/creds", {{"user.creds", jwt.NewUser("A")}});
  const WorkerPool away = Add("team-x", NatsOf(theirs));
  ASSERT_TRUE(Passes([&] { return Works(away); }));
  theirs.Stop();
  ASSERT_TRUE(Passes([&] { return !Works(away); }));
  const int before = Threads();
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  Passes([&] { return std::chrono::steady_clock::now() > until; });
  EXPECT_TRUE(Passes([&] { return Threads() <= before + 2; })) << Threads() << " after " << before;
  ASSERT_TRUE(theirs.Start());
  EXPECT_TRUE(Passes([&] { return Works(away); }));
}

// Two tenants and the operator's own pools, all in one account: nobody takes the others' for left
// over. The rechecks of the boards are as frequent as can be.
TEST_F(TenantsNatsTest, PoolsOfOneAccountAreNotSweptByOneAnother) {
  secrets_.Set("team-a/creds", {{"user.creds", jwt_.NewUser("OWN")}});
  secrets_.Set("team-b/creds", {{"user.creds", jwt_.NewUser("OWN")}});
  const WorkerPool own = Add("studio", std::nullopt);
  tenants_.board().KeepOnly({own.key});
  const WorkerPool a = Add("team-a", NatsOf(server_));
  const WorkerPool b = Add("team-b", NatsOf(server_));
  const nats::JetStream streams(*own_, kAnswerDeadline);
  const auto told = [&] {
    const auto ask = [&] { return streams.StreamInfo(kPoolStream, "$KV.LK_pools.>"); };
    auto state = ask();
    static_cast<void>(Eventually([&] {
      if (state || state.error().cause != nats::ApiCause::kNoAnswer) return true;
      state = ask();
      return false;
    }));
    std::int64_t removed = 0;
    if (!state) return std::pair(std::size_t{0}, removed);
    for (const auto& [subject, count] : state->subjects) {
      const auto last = streams.LastMessage(kPoolStream, subject);
      if (last && last->payload.empty()) ++removed;
    }
    return std::pair(state->subjects.size(), removed);
  };
  ASSERT_TRUE(Passes([&] { return told() == std::pair(std::size_t{6}, std::int64_t{0}); }));
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(told(), std::pair(std::size_t{6}, std::int64_t{0}));
    std::this_thread::sleep_for(milliseconds(20));
  }
}

}  // namespace
}  // namespace lanekeeper
