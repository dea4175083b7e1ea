// `lanekeeper up` over HTTP: its gateway, where it is found, and what becomes of jobs handed in
// there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/up/testing/up_test.h"
#include "operator/local/local_port.h"
#include "operator/local/state_folder.h"
#include "worker-runtime/client/client.h"
#include "worker-runtime/client/http_call.h"

namespace lanekeeper::up {
namespace {

using nlohmann::json;
using testing::HasSubstr;

const PoolName kPool{"studio", "media"};

class UpGatewayTest : public UpTest {
 protected:
  std::string GatewayFile() const { return folder_ + "/state/gateway"; }
  void StartWithGateway() {
    LaunchWithGateway();
    Join();
  }
  // Returns as soon as the gateway can be found, with a client of it.
  void LaunchWithGateway() {
    Launch();
    ASSERT_TRUE(Await([&] { return ReadWholeFile(GatewayFile()).has_value(); }));
    url_ = *ReadWholeFile(GatewayFile());
    ASSERT_TRUE(url_.starts_with("http://127.0.0.1:") && url_.ends_with("\n")) << url_;
    url_.pop_back();
    // Only the deadline ends it: a worker may take long to start, and a full lane to get emptier.
    auto client = Client::Create({.url = url_, .timeout = kUpDeadline, .retries = 1000});
    ASSERT_TRUE(client) << client.error().message;
    client_ = *std::move(client);
  }
  std::string Submit(const std::string& type, const std::string& payload) {
    const auto job = client_->Submit(kPool, {.type = type, .payload = payload, .lane = "short"});
    EXPECT_TRUE(job) << job.error().message;
    return job ? job->id : "";
  }
  std::string SubmitHeld(const std::string& gate) { return Submit("hold", GatePath(gate)); }
  JobStatus WaitFor(const std::string& id) {
    const auto job = client_->Wait(id, kUpDeadline);
    EXPECT_TRUE(job) << job.error().message;
    return job.value_or(JobStatus{});
  }
  // Hands in a job without trying again, but for a server that stands still.
  ClientResult<SubmittedJob> SubmitOnce(const PoolName& pool, const NewJob& job) {
    const auto once = Client::Create({.url = url_, .timeout = kUpDeadline, .retries = 0});
    ClientResult<SubmittedJob> submitted;
    static_cast<void>(Await([&] {
      submitted = (*once)->Submit(pool, job);
      return submitted || submitted.error().problem != "queue-unavailable";
    }));
    return submitted;
  }
  json Get(const std::string& path) {
    const auto caller = client::MakeHttpCaller({.url = url_});
    const auto reply = (*caller)->Call({.method = "GET", .path = path},
                                       std::chrono::steady_clock::now() + kUpDeadline);
    EXPECT_TRUE(reply) << reply.error().message;
    return reply ? json::parse(reply->body, nullptr, false) : json();
  }

  std::string url_;
  std::unique_ptr<Client> client_;
};

TEST_F(UpGatewayTest, AJobHandedInAsSoonAsTheGatewayIsFoundRuns) {
  WriteManifest("workers: {max: 1}");
  StartWithGateway();
  const std::string id = Submit("sleep", "10");
  EXPECT_TRUE(AwaitSaid("Gateway     " + url_ + "\n"));
  const JobStatus job = WaitFor(id);
  EXPECT_EQ(job.state, "done");
  EXPECT_THAT(job.result, HasSubstr("media-short-"));
}

TEST_F(UpGatewayTest, EveryPoolOfTheManifestTakesJobsOnceItIsFound) {
  constexpr int kPools = 20;
  WriteManifest("workers: {max: 1}");
  std::ofstream manifest(folder_ + "/pool.yaml", std::ios::app);
  const auto name = [](int n) { return "pool-" + std::to_string(n); };
  for (int n = 0; n < kPools; ++n) {
    // Paused: a queue, and no worker.
    manifest << "---\nkind: WorkerPool\nmetadata: {name: " << name(n)
             << ", namespace: studio}\nspec:\n  paused: true\n"
                "  template: {spec: {containers: [{name: worker, image: w, command: ['true']}]}}\n"
                "  lanes: [{name: short}]\n";
  }
  manifest.close();
  LaunchWithGateway();
  for (int n = kPools - 1; n >= 0; --n) {
    const auto job = SubmitOnce({"studio", name(n)}, {.type = "x", .lane = "short"});
    EXPECT_TRUE(job) << job.error().message;
  }
}

TEST_F(UpGatewayTest, ItsAddressIsFoundOnlyWhileItServes) {
  WriteManifest("workers: {max: 1}");
  StartWithGateway();
  const std::string first = url_;
  // One that was killed leaves its address behind; the next one replaces it.
  up_->Signal(SIGKILL);
  ASSERT_TRUE(up_->Wait());
  EXPECT_EQ(ReadWholeFile(GatewayFile()), first + "\n");
  connection_.reset();
  up_ = std::make_unique<Lanekeeper>(Arguments());
  ASSERT_TRUE(AwaitSaid("Gateway     http://127.0.0.1:"));
  ASSERT_TRUE(AwaitSaid("Gateway     " + ReadWholeFile(GatewayFile()).value_or("?")));
  up_->Signal(SIGTERM);
  AwaitEnd();
  EXPECT_EQ(ReadWholeFile(GatewayFile()), std::nullopt);
}

TEST_F(UpGatewayTest, JobsHandedInAreThereAfterARestart) {
  WriteManifest("jobs: {timeout: 1h}, workers: {max: 1, slots: 1}");
  StartWithGateway();
  std::vector<std::string> ids{SubmitHeld("go")};
  for (int n = 0; n < 3; ++n) ids.push_back(Submit("sleep", "10"));
  ASSERT_TRUE(AwaitRunning(1));
  up_->Signal(SIGTERM);
  ASSERT_TRUE(AwaitSaid("Ctrl-C again"));
  Release("go");
  AwaitEnd();
  StartWithGateway();
  for (const std::string& id : ids) EXPECT_EQ(WaitFor(id).state, "done") << id;
  EXPECT_EQ(Results().size(), ids.size());
}

TEST_F(UpGatewayTest, WhileItDrainsJobsAreRefusedAndReadAndWatched) {
  WriteManifest("jobs: {timeout: 1h}, workers: {max: 1, slots: 1}");
  StartWithGateway();
  const std::string id = SubmitHeld("go");
  ASSERT_TRUE(AwaitRunning(1));
  up_->Signal(SIGTERM);
  ASSERT_TRUE(AwaitSaid("Ctrl-C again"));
  const auto caller = client::MakeHttpCaller({.url = url_});
  const auto refused = (*caller)->Call({.method = "POST",
                                        .path = "/v1/pools/studio/media/jobs",
                                        .content_type = "application/json",
                                        .body = R"({"type":"sleep","payload":"1"})"},
                                       std::chrono::steady_clock::now() + kUpDeadline);
  ASSERT_TRUE(refused) << refused.error().message;
  EXPECT_EQ(refused->status, 503);
  EXPECT_TRUE(refused->retry_after);
  EXPECT_THAT(refused->body, HasSubstr("this gateway drains and takes no more jobs"));
  EXPECT_TRUE(Await([&] { return Get("/v1/jobs/" + id)["state"] == "running"; }));
  std::string seen;
  static_cast<void>(client_->Watch(id, kUpDeadline, [&](const JobStatus& job) {
    seen = job.state;
    return false;
  }));
  EXPECT_EQ(seen, "running");
  EXPECT_EQ(ReadWholeFile(GatewayFile()), url_ + "\n") << "it is still found";
  Release("go");
  AwaitEnd();
  EXPECT_EQ(ReadWholeFile(GatewayFile()), std::nullopt);
}

TEST_F(UpGatewayTest, AFullLaneAnswersWhenToComeAgain) {
  WriteManifest("queue: {maxDepth: 2}, jobs: {timeout: 1h}, workers: {max: 1, slots: 1}");
  StartWithGateway();
  std::vector<std::string> ids{SubmitHeld("go"), SubmitHeld("go")};
  const auto refused = SubmitOnce(kPool, {.type = "sleep", .payload = "1", .lane = "short"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().status, 429) << refused.error().message;
  EXPECT_EQ(refused.error().problem, "lane-full");
  EXPECT_TRUE(refused.error().retry_after);
  Release("go");
  ids.push_back(Submit("sleep", "1"));  // Tries until there is room.
  for (const std::string& id : ids) EXPECT_EQ(WaitFor(id).state, "done") << id;
}

TEST_F(UpGatewayTest, APoisonJobIsADeadLetterThatCanBeRead) {
  WriteManifest("workers: {max: 1}");
  StartWithGateway();
  const std::string id = Submit("poison", "{\"page\":");
  const JobStatus job = WaitFor(id);
  EXPECT_EQ(job.state, "dead");
  EXPECT_EQ(job.dead_reason, "rejected");
  json letters;
  ASSERT_TRUE(Await([&] {
    letters = Get("/v1/pools/studio/media/dead");
    return letters.contains("dead_letters") && !letters["dead_letters"].empty();
  }));
  ASSERT_EQ(letters["dead_letters"].size(), 1u) << letters;
  EXPECT_EQ(letters["dead_letters"][0]["job_id"], id);
  EXPECT_EQ(letters["dead_letters"][0]["message"], "bad payload: this job is poison");
}

TEST_F(UpGatewayTest, ATakenPortIsRefusedByItsFlag) {
  WriteManifest("workers: {max: 1}");
  StartWithGateway();
  const std::string port = url_.substr(url_.rfind(':') + 1);
  Lanekeeper second(
      {"up", folder_ + "/pool.yaml", "--state", folder_ + "/other", "--gateway-port", port});
  const auto ended = second.Wait();
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->code, 1);
  EXPECT_THAT(second.said(), HasSubstr("--gateway-port: 127.0.0.1:" + port));
  EXPECT_EQ(ReadWholeFile(folder_ + "/other/gateway"), std::nullopt);
}

}  // namespace
}  // namespace lanekeeper::up
