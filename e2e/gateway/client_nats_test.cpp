// Both clients against what they are made for: real gateways, a nats-server and a worker.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <thread>

#include "e2e/chaos/gateway_stage.h"
#include "worker-runtime/client/client.h"

namespace lanekeeper::e2e {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const PoolName kPool{"chaos", "pool"};
constexpr seconds kDeadline{60};

class GatewayClientTest : public testing::Test {
 protected:
  GatewayClientTest() {
    std::signal(SIGPIPE, SIG_IGN);
    folder_ = (std::filesystem::temp_directory_path() / "lanekeeper-client-XXXXXX").string();
    if (mkdtemp(folder_.data()) == nullptr) throw std::runtime_error("making " + folder_);
    stage_.emplace("client", folder_, /*drained=*/false);
    // Only the deadline ends it: a gateway under a sanitizer takes long to start.
    auto client = Client::Create({.url = stage_->url(0), .timeout = kDeadline, .retries = 1000});
    if (!client) throw std::runtime_error(client.error().message);
    client_ = *std::move(client);
  }
  ~GatewayClientTest() override {
    stage_.reset();
    std::error_code ignored;
    if (!HasFailure()) std::filesystem::remove_all(folder_, ignored);
  }

  std::string Submit(const std::string& type, const std::string& payload) {
    const auto job = client_->Submit(kPool, {.type = type, .payload = payload});
    EXPECT_TRUE(job) << job.error().message << "; logs: " << folder_;
    return job ? job->id : "";
  }
  // Jobs in the lane.
  std::int64_t Left() {
    std::int64_t left = -1;
    stage_->lane().Await("the lane is counted",
                         [&] { return (left = stage_->lane().Left()) >= 0; });
    return left;
  }
  // Jobs that ran to their end. A run whose confirmation was lost is written down twice.
  std::set<std::string> Ran() {
    std::int64_t runs = -1;
    stage_->lane().Await("the runs are counted",
                         [&] { return (runs = stage_->lane().Results()) >= 0; });
    std::set<std::string> ids;
    for (std::int64_t n = 1; n <= runs; ++n) {
      ids.insert(stage_->lane().Result(static_cast<std::uint64_t>(n)).value("id", ""));
    }
    return ids;
  }

  std::string folder_;
  std::optional<GatewayStage> stage_;
  std::unique_ptr<Client> client_;
};

TEST_F(GatewayClientTest, AJobIsSubmittedWatchedAndDone) {
  const std::string gate = folder_ + "/gate";
  const std::string id = Submit("hold", gate);
  ASSERT_NE(id, "");
  EXPECT_EQ(client_->Get(id)->state, "waiting");
  stage_->lane().StartWorker();
  std::set<std::string> states;
  std::uint64_t revision = 0;
  const auto ended = client_->Watch(id, kDeadline, [&](const JobStatus& job) {
    states.insert(job.state);
    EXPECT_GE(job.revision, revision);
    revision = job.revision;
    if (job.state == "running") std::ofstream(gate) << "open\n";
    return true;
  });
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(ended->state, "done");
  EXPECT_NE(ended->result.find("\"run\":1"), std::string::npos) << ended->json;
  EXPECT_TRUE(states.contains("running") && states.contains("done"));
  EXPECT_EQ(client_->Wait(id, kDeadline)->result, ended->result);

  const std::string steps = Submit("steps", "8");
  revision = 0;
  const auto done = client_->Watch(steps, kDeadline, [&](const JobStatus& job) {
    EXPECT_GE(job.revision, revision);
    revision = job.revision;
    return true;
  });
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->state, "done");
}

TEST_F(GatewayClientTest, TheSameKeyIsTheSameJobAndAnotherBodyIsRefused) {
  const NewJob job{.type = "sleep", .payload = "1", .idempotency_key = "order 7731"};
  const auto first = client_->Submit(kPool, job);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(client_->Submit(kPool, job)->id, first->id);
  NewJob other = job;
  other.payload = "2";
  EXPECT_EQ(client_->Submit(kPool, other).error().problem, "key-reused");
  EXPECT_EQ(Left(), 1);
}

TEST_F(GatewayClientTest, ManyJobsAreSubmittedInFewRequests) {
  std::vector<NewJob> jobs(1200, NewJob{.type = "sleep", .payload = "0"});
  jobs[7].lane = "no-such-lane";
  const auto results = client_->SubmitMany(kPool, jobs);
  ASSERT_EQ(results.size(), jobs.size());
  std::set<std::string> ids;
  for (std::size_t n = 0; n < results.size(); ++n) {
    if (n == 7) continue;
    ASSERT_TRUE(results[n]) << results[n].error().message;
    ids.insert(results[n]->id);
  }
  EXPECT_EQ(ids.size(), 1199U);
  EXPECT_EQ(results[7].error().problem, "lane-not-found");
  EXPECT_EQ(Left(), 1199);
}

TEST_F(GatewayClientTest, ACancelledJobNeverRuns) {
  const std::string id = Submit("sleep", "0");
  const auto cancelled = client_->Cancel(id);
  ASSERT_TRUE(cancelled) << cancelled.error().message;
  EXPECT_EQ(cancelled->state, "cancelled");
  const std::string other = Submit("sleep", "0");
  stage_->lane().StartWorker();
  ASSERT_EQ(client_->Wait(other, kDeadline)->state, "done");
  EXPECT_EQ(client_->Wait(id, kDeadline)->state, "cancelled");
  EXPECT_EQ(Ran(), std::set<std::string>{other});
  EXPECT_EQ(client_->Cancel(other).error().problem, "job-finished");
}

TEST_F(GatewayClientTest, ARunningJobIsToldToStop) {
  stage_->lane().StartWorker();
  const std::string id = Submit("sleep", "3600000");
  const auto stopped =
      client_->Watch(id, kDeadline, [](const JobStatus& job) { return job.state != "running"; });
  ASSERT_EQ(stopped.error().problem, kNotEnded) << stopped.error().message;
  ASSERT_TRUE(client_->Cancel(id));
  stage_->lane().Await("the handler has stopped", [&] { return stage_->lane().Running() == 0; });
  EXPECT_EQ(client_->Get(id)->state, "cancelled");
  EXPECT_EQ(Ran(), std::set<std::string>{});
}

TEST_F(GatewayClientTest, AWatchOutlivesItsGateway) {
  stage_->lane().StartWorker();
  const std::string gate = folder_ + "/gate";
  const std::string id = Submit("hold", gate);
  bool killed = false;
  const auto ended = client_->Watch(id, kDeadline, [&](const JobStatus& job) {
    if (job.state == "running" && !std::exchange(killed, true)) {
      stage_->RestartGateway(0);
      std::ofstream(gate) << "open\n";  // Nobody but the next gateway says that it is done.
    }
    return true;
  });
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_TRUE(killed);
  EXPECT_EQ(ended->state, "done");
}

TEST_F(GatewayClientTest, ASubmitWaitsForAGatewayThatIsAway) {
  stage_->KillGateway(0);
  std::string id;
  std::jthread submitter([&] { id = Submit("sleep", "0"); });
  std::this_thread::sleep_for(milliseconds(500));
  // On this thread: a child dies with the one that started it.
  stage_->StartGateway(0);
  submitter.join();
  EXPECT_NE(id, "");
  EXPECT_EQ(Left(), 1);
}

TEST_F(GatewayClientTest, WhatDoesNotExistSaysSo) {
  EXPECT_EQ(client_->Submit({"chaos", "none"}, {}).error().problem, "pool-not-found");
  EXPECT_EQ(client_->Get("LK_chaos_pool_lane.9999.abcdefgh").error().problem, "job-not-found");
  EXPECT_EQ(client_->Submit(kPool, {.type = "not a type"}).error().problem, "invalid-request");
}

TEST_F(GatewayClientTest, ThePythonClientDoesTheSame) {
  stage_->lane().StartWorker();
  const std::string log = folder_ + "/python.log";
  Child python({"python3", "worker-runtime/client/python/lanekeeper_test.py", "GatewayTest"},
               {{"LANEKEEPER_TEST_GATEWAY", stage_->url(1)}}, log);
  const int status = python.Wait(seconds(240));
  std::ifstream file(log);
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_EQ(status, 0) << text.str();
}

}  // namespace
}  // namespace lanekeeper::e2e
