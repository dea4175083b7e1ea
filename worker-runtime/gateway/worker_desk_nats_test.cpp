#include "worker-runtime/gateway/worker_desk.h"

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

class WorkerDeskTest : public testing::Test {
 protected:
  WorkerDeskTest()
      : server_(RunServer()),
        connection_(Connect(server_.url())),
        workers_(Connect(server_.url())) {}

  void SetUp() override {
    auto started = WorkerDesk::Start(*connection_, {.answer_timeout = milliseconds(300)});
    ASSERT_TRUE(started.has_value()) << started.error().message;
    desk_ = *std::move(started);
    auto patient = WorkerDesk::Start(*connection_, {.answer_timeout = nats::kTestDeadline});
    ASSERT_TRUE(patient.has_value()) << patient.error().message;
    patient_ = *std::move(patient);
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
    return Eventually([&] { return desk_->P95("studio", "media", type).has_value(); });
  }

  const LaneKey lane_{"studio", "media", "short"};
  NatsServer server_;
  std::unique_ptr<nats::Connection> connection_;
  std::unique_ptr<nats::Connection> workers_;
  std::unique_ptr<WorkerDesk> desk_;  // The two are the first to go.
  std::unique_ptr<WorkerDesk> patient_;
};

TEST_F(WorkerDeskTest, LearnsFromTheReportsOfWorkers) {
  SayJobs("film", 25);
  ASSERT_TRUE(Knows("film"));
  const milliseconds p95 = *desk_->P95("studio", "media", "film");
  EXPECT_GT(p95, milliseconds(1500));
  EXPECT_LT(p95, milliseconds(2500));
}

TEST_F(WorkerDeskTest, WhatIsNoReportIsPassedOver) {
  Say("{\"types\":");
  Say(R"({"types":[["film",[[1,100]]]]})");
  ASSERT_TRUE(workers_
                  ->Publish("lk.v1.worker.No.good.lane.w",
                            nats::WriteWorkerReport({.worker = "w", .types = {{"a", {{1, 50}}}}}))
                  .has_value());
  SayJobs("film", 25);
  EXPECT_TRUE(Knows("film"));
}

TEST_F(WorkerDeskTest, HearsWorkersAgainAfterNatsWasAway) {
  server_.Kill();
  ASSERT_TRUE(server_.Start().has_value());
  ASSERT_TRUE(workers_->WaitConnected(nats::kTestDeadline));
  // Subscribed again a moment after it is connected again: workers say it every few seconds.
  EXPECT_TRUE(Eventually([&] {
    SayJobs("film", 25);
    return desk_->P95("studio", "media", "film").has_value();
  }));
}

TEST_F(WorkerDeskTest, ShowsTheWorkersOfALaneAsTheyReportAndUntilTheyStop) {
  WorkerReport report{.worker = "w", .slots = 4, .running = 2, .done = 9, .failed = 2, .dead = 1};
  Say(nats::WriteWorkerReport(report));
  ASSERT_TRUE(Eventually([&] { return desk_->Workers(lane_).size() == 1; }));
  const ReportedWorker seen = desk_->Workers(lane_).at(0);
  EXPECT_EQ(seen.name, "w");
  EXPECT_EQ(seen.running, 2);
  EXPECT_EQ(seen.failed, 2);
  EXPECT_TRUE(desk_->Workers({"studio", "media", "long"}).empty());
  report.state = WorkerState::kStopped;
  Say(nats::WriteWorkerReport(report));
  EXPECT_TRUE(Eventually([&] { return desk_->Workers(lane_).empty(); }));
}

TEST_F(WorkerDeskTest, AWorkerIsToldToEndAndSaysSo) {
  std::string told;
  const auto control = workers_->SubscribeCallback(
      WorkerControlSubject(lane_, "w"), [&](const nats::Message& message) {
        told = message.payload;
        const WorkerReport report{.worker = "w", .state = WorkerState::kDraining, .ending = true};
        static_cast<void>(workers_->Publish(message.reply, nats::WriteWorkerReport(report)));
      });
  ASSERT_TRUE(control.has_value());
  ASSERT_TRUE(workers_->Flush(nats::kTestDeadline).has_value());
  const auto report = patient_->End(lane_, "w");
  ASSERT_TRUE(report.has_value()) << report.error().detail;
  EXPECT_EQ(told, kControlEnd);
  EXPECT_EQ(report->state, WorkerState::kDraining);
}

TEST_F(WorkerDeskTest, AWorkerThatIsNotThereIsNotFound) {
  EXPECT_EQ(patient_->End(lane_, "nobody").error().type, ProblemType::kWorkerNotFound);
}

TEST_F(WorkerDeskTest, AWorkerThatDoesNotAnswerOrDoesNotKnowTheRequestIsSilent) {
  const auto mute =
      workers_->SubscribeCallback(WorkerControlSubject(lane_, "mute"), [](const nats::Message&) {});
  const auto older = workers_->SubscribeCallback(
      WorkerControlSubject(lane_, "older"), [&](const nats::Message& message) {
        static_cast<void>(workers_->Publish(message.reply, R"({"error":"say drain or undrain"})"));
      });
  ASSERT_TRUE(mute.has_value() && older.has_value());
  ASSERT_TRUE(workers_->Flush(nats::kTestDeadline).has_value());
  EXPECT_EQ(desk_->End(lane_, "mute").error().type, ProblemType::kWorkerSilent);
  const auto answer = patient_->End(lane_, "older");
  EXPECT_EQ(answer.error().type, ProblemType::kWorkerSilent);
  EXPECT_NE(answer.error().detail.find("older"), std::string::npos);
}

TEST_F(WorkerDeskTest, WithoutNatsTheQueueIsUnavailable) {
  server_.Kill();
  ASSERT_TRUE(Eventually([&] { return !connection_->Connected(); }));
  EXPECT_EQ(desk_->End(lane_, "w").error().type, ProblemType::kQueueUnavailable);
}

}  // namespace
}  // namespace lanekeeper::gateway
