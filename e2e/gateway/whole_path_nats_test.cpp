// From the HTTP request to the handler and back, with every part as it runs in production but the
// operator, whose part (LK_pools, queues) the test plays.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "e2e/bench/child.h"
#include "worker-runtime/client/client.h"
#include "worker-runtime/client/http_call.h"
#include "worker-runtime/job/pool_brief.h"
#include "worker-runtime/nats/pool_brief_json.h"
#include "worker-runtime/nats/queue_setup.h"
#include "worker-runtime/nats/testing/nats_server.h"
#include "worker-runtime/nats/testing/nats_test.h"

namespace lanekeeper::e2e {
namespace {

using nats::Eventually;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kDeadline{60};

LaneBrief Lane(const LaneKey& key, milliseconds timeout) {
  return {.name = key.lane,
          .stream = JobStreamName(key),
          .consumer = std::string(kConsumerName),
          .depth_max = 1000,
          .timeout = timeout};
}

class WholePathTest : public testing::Test {
 protected:
  WholePathTest() {
    std::signal(SIGPIPE, SIG_IGN);
    folder_ = (std::filesystem::temp_directory_path() / "lanekeeper-path-XXXXXX").string();
    if (mkdtemp(folder_.data()) == nullptr) throw std::runtime_error("making " + folder_);
    auto server = nats::NatsServer::Run();
    if (!server) throw std::runtime_error(server.error().message);
    server_.emplace(*std::move(server));
    connection_ = nats::Connect(server_->url());
    jetstream_.emplace(*connection_, nats::kAnswerDeadline);
    address_ = "127.0.0.1:" + std::to_string(FreePort());
  }
  ~WholePathTest() override {
    workers_.clear();
    gateway_.reset();
    std::error_code ignored;
    if (!HasFailure()) std::filesystem::remove_all(folder_, ignored);
  }

  // What the operator does for a pool.
  void MakePool(const std::string& pool_namespace, const std::string& pool,
                const std::vector<std::pair<std::string, milliseconds>>& lanes, Routing routing) {
    PoolBrief brief{.pool_namespace = pool_namespace,
                    .pool = pool,
                    .lanes = {},
                    .routes = {},
                    .routing = routing};
    ASSERT_TRUE(Eventually([&] {
      return nats::EnsureDeadLetters(*jetstream_, pool_namespace, pool, {}) &&
             nats::EnsureBucket(*jetstream_, kRecordBucket, {}) &&
             nats::EnsureBucket(*jetstream_, kPoolBucket, {});
    }));
    for (const auto& [lane, timeout] : lanes) {
      const LaneKey key{pool_namespace, pool, lane};
      ASSERT_TRUE(Eventually(
          [&] { return nats::EnsureJobQueue(*jetstream_, key, {.depth_max = 1000}).has_value(); }));
      brief.lanes.push_back(Lane(key, timeout));
    }
    ASSERT_TRUE(Eventually([&] {
      return jetstream_
          ->PublishAck(PoolSpecSubject(pool_namespace, pool), nats::WritePoolBrief(brief))
          .has_value();
    }));
  }

  void StartGateway(const Environment& changes = {}) {
    Environment environment{{kEnvNatsUrl, server_->url()},
                            {"LANEKEEPER_GATEWAY_ADDRESS", address_},
                            {kEnvHttpPort, "0"},
                            {kEnvLogLevel, "info"}};
    for (const auto& [name, value] : changes) environment[name] = value;
    gateway_.emplace(std::vector<std::string>{ProgramBesideThis("lanekeeper-gateway")}, environment,
                     folder_ + "/gateway.log");
  }

  void StartWorker(const LaneKey& key, int slots, const std::string& script) {
    workers_.emplace_back(std::vector<std::string>{ProgramBesideThis("lanekeeper-worker"), "--exec",
                                                   "sh", "-c", script},
                          Environment{{kEnvNatsUrl, server_->url()},
                                      {kEnvNamespace, key.pool_namespace},
                                      {kEnvPool, key.pool},
                                      {kEnvLane, key.lane},
                                      {kEnvWorker, "w" + std::to_string(workers_.size())},
                                      {kEnvSlots, std::to_string(slots)},
                                      {kEnvHttpPort, "0"}},
                          folder_ + "/worker" + std::to_string(workers_.size()) + ".log");
  }

  // Until the deadline: a gateway under a sanitizer takes long to start.
  std::unique_ptr<Client> ClientWith(const std::string& token) const {
    auto client = Client::Create(
        {.url = "http://" + address_, .token = token, .timeout = kDeadline, .retries = 1000});
    if (!client) throw std::runtime_error(client.error().message);
    return *std::move(client);
  }
  // The status of one request, which a client would try again.
  int StatusOf(const std::string& method, const std::string& path, const std::string& token) const {
    auto caller = client::MakeHttpCaller({.url = "http://" + address_, .token = token});
    if (!caller) throw std::runtime_error(caller.error().message);
    const auto reply = (*caller)->Call({.method = method, .path = path},
                                       std::chrono::steady_clock::now() + kDeadline);
    return reply ? reply->status : 0;
  }

  // -1: no answer.
  std::int64_t JobsIn(const LaneKey& key) const {
    const auto state = jetstream_->StreamInfo(JobStreamName(key));
    return state ? state->messages : -1;
  }

  std::string folder_;
  std::string address_;
  std::optional<nats::NatsServer> server_;
  std::unique_ptr<nats::Connection> connection_;
  std::optional<nats::JetStream> jetstream_;
  std::optional<Child> gateway_;
  std::list<Child> workers_;
};

TEST_F(WholePathTest, TheTraceOfTheRequestReachesTheProgramThatRunsTheJob) {
  const std::string trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const LaneKey key{"studio", "media", "short"};
  MakePool("studio", "media", {{"short", seconds(30)}}, Routing::kRoutes);
  StartGateway();
  StartWorker(key, 1, "echo \"{\\\"result\\\":\\\"$TRACEPARENT\\\"}\" >&3");
  const auto client = ClientWith("");
  const auto job = client->Submit({"studio", "media"}, {.type = "traced", .traceparent = trace});
  ASSERT_TRUE(job) << job.error().message << "; logs: " << folder_;
  const auto ended = client->Wait(job->id, kDeadline);
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(ended->state, "done");
  EXPECT_NE(ended->result.find(trace), std::string::npos) << ended->json;
}

TEST_F(WholePathTest, TypesThatTakeLongGoToTheLaneThatLetsThemWhereThePoolLearns) {
  // On no machine does what takes no time take nearly as long as this.
  MakePool("studio", "media", {{"quick", seconds(8)}, {"slow", seconds(3600)}}, Routing::kLearned);
  StartGateway();
  StartWorker({"studio", "media", "slow"}, 25, "sleep \"$(cat)\"");
  const auto client = ClientWith("");
  const PoolName pool{"studio", "media"};
  // Nothing is known of it: the first lane.
  const auto unknown = client->Submit(pool, {.type = "nap", .payload = "1"});
  ASSERT_TRUE(unknown) << unknown.error().message << "; logs: " << folder_;
  EXPECT_EQ(unknown->lane, "quick");
  std::vector<NewJob> jobs(25, NewJob{.type = "nap", .payload = "8", .lane = "slow"});
  jobs.resize(50, NewJob{.type = "blink", .payload = "0", .lane = "slow"});
  for (const auto& job : client->SubmitMany(pool, jobs)) ASSERT_TRUE(job) << job.error().message;
  // The worker says how long they took with one of its next reports.
  ASSERT_TRUE(Eventually([&] { return JobsIn({"studio", "media", "slow"}) == 0; }));
  EXPECT_TRUE(Eventually([&] {
    std::this_thread::sleep_for(milliseconds(50));  // The quick lane does not get full.
    const auto job = client->Submit(pool, {.type = "nap", .payload = "0"});
    return job && job->lane == "slow";
  }));
  const auto quick = client->Submit(pool, {.type = "blink", .payload = "0"});
  ASSERT_TRUE(quick) << quick.error().message;
  EXPECT_EQ(quick->lane, "quick");
}

TEST_F(WholePathTest, ATenantSeesAndChangesNothingOfAnother) {
  MakePool("studio", "media", {{"short", seconds(30)}}, Routing::kRoutes);
  MakePool("bank", "reports", {{"short", seconds(30)}}, Routing::kRoutes);
  const std::string tokens = folder_ + "/tokens";
  std::ofstream(tokens) << "studio-token studio-app studio\nbank-token bank-app bank\n"
                        << "looker-token auditor studio ro\n";
  std::filesystem::permissions(tokens, std::filesystem::perms::owner_read);
  StartGateway({{"LANEKEEPER_GATEWAY_AUTH", "tokens"}, {"LANEKEEPER_GATEWAY_TOKENS", tokens}});
  const auto studio = ClientWith("studio-token");
  const auto job = studio->Submit({"studio", "media"}, {.type = "secret", .payload = "x"});
  ASSERT_TRUE(job) << job.error().message << "; logs: " << folder_;
  const std::string pool = "/v1/pools/studio/media";
  const std::string by_id = "/v1/jobs/" + job->id;
  struct Row {
    const char* method;
    std::string path;
  };
  const Row rows[] = {
      {"GET", by_id},
      {"DELETE", by_id},
      {"GET", by_id + "/events"},
      {"GET", pool},
      {"GET", pool + "/jobs"},
      {"GET", pool + "/jobs/" + job->id},
      {"GET", pool + "/dead"},
      {"POST", pool + "/dead/discard"},
      {"POST", pool + "/lanes/short/pause"},
      {"GET", "/v1/pools/bank/reports/jobs/" + job->id},  // Asked for through a pool of one's own.
  };
  for (const auto& [method, path] : rows) {
    const int status = StatusOf(method, path, "bank-token");
    EXPECT_TRUE(status == 403 || status == 404) << method << ' ' << path << ": " << status;
    EXPECT_EQ(StatusOf(method, path, ""), 401) << method << ' ' << path;
  }
  const auto refused = ClientWith("bank-token")->Submit({"studio", "media"}, {.type = "t"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kForbidden);
  // Whoever may only look, looks.
  EXPECT_TRUE(Eventually([&] { return StatusOf("GET", by_id, "looker-token") == 200; }));
  EXPECT_EQ(StatusOf("DELETE", by_id, "looker-token"), 403);
  EXPECT_EQ(studio->Get(job->id)->state, "waiting");
  EXPECT_TRUE(Eventually([&] { return JobsIn({"studio", "media", "short"}) == 1; }));
  EXPECT_TRUE(Eventually([&] { return JobsIn({"bank", "reports", "short"}) == 0; }));
}

}  // namespace
}  // namespace lanekeeper::e2e
