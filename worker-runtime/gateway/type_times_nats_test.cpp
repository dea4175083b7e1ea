#include "worker-runtime/gateway/type_times.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "worker-runtime/job/names.h"
#include "worker-runtime/nats/testing/nats_test.h"
#include "worker-runtime/nats/worker_report_json.h"

namespace lanekeeper::gateway {
namespace {

using nats::Connect;
using nats::Eventually;
using nats::NatsServer;
using nats::RunServer;
using std::chrono::milliseconds;
using std::chrono::seconds;

class TypeTimesTest : public testing::Test {
 protected:
  TypeTimesTest()
      : server_(RunServer()),
        connection_(Connect(server_.url())),
        workers_(Connect(server_.url())) {}

  void SetUp() override {
    auto started = TypeTimes::Start(*connection_);
    ASSERT_TRUE(started.has_value()) << started.error().message;
    times_ = *std::move(started);
    ASSERT_TRUE(connection_->Flush(nats::kTestDeadline).has_value());
  }
  void Say(const std::string& text) {
    ASSERT_TRUE(workers_->Publish(WorkerReportSubject(lane_, "w"), text).has_value());
  }
  void SayJobs(const std::string& type, std::uint64_t jobs) {
    const auto bucket = static_cast<std::uint8_t>(ServiceBucketOf(seconds(2)));
    Say(nats::WriteWorkerReport({.worker = "w", .types = {{type, {{bucket, jobs}}}}}));
  }
  bool Knows(const std::string& type) {
    return Eventually([&] { return times_->P95("studio", "media", type).has_value(); });
  }

  const LaneKey lane_{"studio", "media", "short"};
  NatsServer server_;
  std::unique_ptr<nats::Connection> connection_;
  std::unique_ptr<nats::Connection> workers_;
  std::unique_ptr<TypeTimes> times_;  // First to go.
};

TEST_F(TypeTimesTest, LearnsFromTheReportsOfWorkers) {
  SayJobs("film", 25);
  ASSERT_TRUE(Knows("film"));
  const milliseconds p95 = *times_->P95("studio", "media", "film");
  EXPECT_GT(p95, milliseconds(1500));
  EXPECT_LT(p95, milliseconds(2500));
}

TEST_F(TypeTimesTest, WhatIsNoReportIsPassedOver) {
  Say("{\"types\":");
  Say(R"({"types":[["film",[[1,100]]]]})");
  ASSERT_TRUE(workers_
                  ->Publish("lk.v1.worker.No.good.lane.w",
                            nats::WriteWorkerReport({.worker = "w", .types = {{"a", {{1, 50}}}}}))
                  .has_value());
  SayJobs("film", 25);
  EXPECT_TRUE(Knows("film"));
}

TEST_F(TypeTimesTest, HearsWorkersAgainAfterNatsWasAway) {
  server_.Kill();
  ASSERT_TRUE(server_.Start().has_value());
  ASSERT_TRUE(workers_->WaitConnected(nats::kTestDeadline));
  // Subscribed again a moment after it is connected again: workers say it every few seconds.
  EXPECT_TRUE(Eventually([&] {
    SayJobs("film", 25);
    return times_->P95("studio", "media", "film").has_value();
  }));
}

}  // namespace
}  // namespace lanekeeper::gateway
