// Worker processes on a real lane: what becomes of jobs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <map>
#include <set>
#include <string>

#include "worker-runtime/job/job.h"
#include "worker-runtime/job/settlement.h"
#include "worker-runtime/nats/worker_report_json.h"
#include "worker-runtime/runner/testing/lane_fixture.h"

namespace lanekeeper::runner {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

class WorkerNatsTest : public LaneFixture {
 protected:
  // The one dead letter there will be.
  nats::StoredMessage WaitDeadLetter() {
    EXPECT_TRUE(Eventually([this] { return !DeadLetters().empty() && JobsLeft() == 0; }));
    const auto letters = DeadLetters();
    EXPECT_EQ(letters.size(), 1U);
    return letters.empty() ? nats::StoredMessage{} : letters.front();
  }
};

std::string HeaderOf(const nats::StoredMessage& message, std::string_view name) {
  return std::string(FindHeader(message.headers, name).value_or("(absent)"));
}

TEST_F(WorkerNatsTest, FiveHundredJobsRunOnceEach) {
  MakeLane();
  for (int n = 0; n < 500; ++n) Publish("job-" + std::to_string(n), "sleep", "0");
  const auto worker = StartExampleWorker("w-1", {{kEnvSlots, "8"}});
  ASSERT_TRUE(Eventually([this] { return JobsLeft() == 0; }));
  std::set<std::string> ids;
  for (const Run& run : Runs()) {
    EXPECT_EQ(run.delivery, 1) << run.id;
    EXPECT_TRUE(ids.insert(run.id).second) << run.id << " ran twice";
  }
  EXPECT_EQ(ids.size(), 500U);
  EXPECT_TRUE(DeadLetters().empty());
}

TEST_F(WorkerNatsTest, APlainMessageIsAJob) {
  MakeLane();
  Publish("5");
  const auto worker = StartExampleWorker("w-1");
  ASSERT_TRUE(Eventually([this] { return JobsLeft() == 0; }));
  ASSERT_EQ(Runs().size(), 1U);
  EXPECT_EQ(Runs()[0].id, "LK_studio_media_short.1");
}

TEST_F(WorkerNatsTest, AFailedJobIsTriedAgainUntilItSucceeds) {
  MakeLane();
  Publish("flaky-1", "flaky", "3");
  const auto worker = StartExampleWorker("w-1");
  ASSERT_TRUE(Eventually([this] { return JobsLeft() == 0; }));
  ASSERT_EQ(Runs().size(), 1U);
  EXPECT_EQ(Runs()[0].delivery, 3);
  EXPECT_TRUE(DeadLetters().empty());
}

TEST_F(WorkerNatsTest, AJobThatUsedUpItsAttemptsIsADeadLetterWithAllItHad) {
  MakeLane();
  Publish("the payload", {{"Nats-Msg-Id", "order-1"}, {"Lk-Type", "fail"}, {"X-Tenant", "acme"}});
  const auto worker = StartExampleWorker("w-1", {{kEnvAttempts, "3"}});
  const nats::StoredMessage letter = WaitDeadLetter();
  EXPECT_EQ(letter.subject, "lk.dead.studio.media.short");
  EXPECT_EQ(letter.payload, "the payload");
  EXPECT_EQ(HeaderOf(letter, "X-Tenant"), "acme");
  EXPECT_EQ(HeaderOf(letter, "Lk-Type"), "fail");
  EXPECT_EQ(HeaderOf(letter, "Lk-Dead-Reason"), "attempts-used-up");
  EXPECT_EQ(HeaderOf(letter, "Lk-Dead-Message"), "this job always fails");
  EXPECT_EQ(HeaderOf(letter, "Lk-Dead-Attempts"), "3");
  EXPECT_EQ(HeaderOf(letter, "Lk-Dead-Worker"), "w-1");
  EXPECT_EQ(HeaderOf(letter, "Lk-Dead-Stream"), "LK_studio_media_short");
  EXPECT_EQ(HeaderOf(letter, "Lk-Dead-Sequence"), "1");
  EXPECT_EQ(HeaderOf(letter, "Lk-Dead-Job-Id"), "order-1");
  EXPECT_THAT(HeaderOf(letter, "Nats-Msg-Id"),
              testing::MatchesRegex("LK_studio_media_short\\.1\\.[0-9]+\\.dead"));
}

TEST_F(WorkerNatsTest, PoisonAndBrokenJobsDoNotDisturbTheOthers) {
  MakeLane();
  for (int n = 0; n < 40; ++n) {
    Publish("good-" + std::to_string(n), "sleep", "1");
    if (n % 10 == 0) Publish("poison-" + std::to_string(n), "poison", "");
    if (n % 10 == 5) Publish("5", {{"Lk-Deadline", "soon"}});
    if (n % 10 == 9) Publish("x", {{"Lk-Type", "nobody-knows"}});
  }
  const auto worker = StartExampleWorker("w-1");
  ASSERT_TRUE(Eventually([this] { return JobsLeft() == 0; }));
  EXPECT_EQ(Runs().size(), 40U);
  std::map<std::string, int> reasons;
  for (const auto& letter : DeadLetters()) ++reasons[HeaderOf(letter, "Lk-Dead-Reason")];
  EXPECT_EQ(reasons,
            (std::map<std::string, int>{{"rejected", 4}, {"undecodable", 4}, {"unknown-type", 4}}));
}

TEST_F(WorkerNatsTest, ALongJobOutlivesAckWaitOnItsFirstDelivery) {
  MakeLane(seconds(3));
  Publish("long", "sleep", "8000");
  const auto worker = StartExampleWorker("w-1");
  ASSERT_TRUE(Eventually([this] { return JobsLeft() == 0; }));
  ASSERT_EQ(Runs().size(), 1U);
  EXPECT_EQ(Runs()[0].delivery, 1);
}

TEST_F(WorkerNatsTest, TheJobOfAKilledWorkerRunsAgainElsewhere) {
  MakeLane(seconds(3));
  const File go;
  Publish("long", "hold", go.name());
  const auto first = StartExampleWorker("w-1");
  ASSERT_TRUE(WaitRunning("long"));
  first->Signal(SIGKILL);
  EXPECT_EQ(first->Wait(), 128 + SIGKILL);
  go.Make();
  const auto second = StartExampleWorker("w-2");
  ASSERT_TRUE(Eventually([this] { return JobsLeft() == 0; }));
  ASSERT_EQ(Runs().size(), 1U);
  EXPECT_EQ(Runs()[0].worker, "w-2");
  EXPECT_EQ(Runs()[0].delivery, 2);
}

TEST_F(WorkerNatsTest, WithoutRecordsAJobThatKillsItsWorkersIsADeadLetterAfterEnoughDeaths) {
  // Nothing comes back because a slow worker did not renew its lease: each delivery is a death.
  MakeLane(seconds(20));
  Publish("crash-1", "crash", "");
  int deaths = 0;
  // Until it has left the lane: a worker that ends between the two steps leaves the second undone.
  while (JobsLeft() != 0 && deaths < 20) {
    const auto worker = StartExampleWorker("w-1", {{kEnvAttempts, "1"}, {kEnvTracking, "None"}});
    ASSERT_TRUE(Eventually([&] { return worker->Ended() || JobsLeft() == 0; }));
    if (worker->Ended() && worker->Wait() == 128 + SIGABRT) ++deaths;
  }
  EXPECT_EQ(deaths, 1 + kDeliveryHeadroom);
  EXPECT_EQ(HeaderOf(WaitDeadLetter(), "Lk-Dead-Reason"), "crashes-used-up");
}

TEST_F(WorkerNatsTest, NothingIsLostWhenNatsRestarts) {
  MakeLane(seconds(2));
  for (int n = 0; n < 200; ++n) Publish("job-" + std::to_string(n), "sleep", "20");
  Publish("across", "sleep", "1500");
  const auto worker = StartExampleWorker("w-1");
  ASSERT_TRUE(Eventually([this] { return Runs().size() >= 20; }));
  server_->Kill();
  ASSERT_TRUE(server_->Start());
  ASSERT_TRUE(connection_->WaitConnected(seconds(60)));
  ASSERT_TRUE(Eventually([this] { return JobsLeft() == 0; }));
  std::set<std::string> ids;
  for (const Run& run : Runs()) ids.insert(run.id);
  EXPECT_EQ(ids.size(), 201U);
  EXPECT_TRUE(DeadLetters().empty());
}

TEST_F(WorkerNatsTest, AWorkerStartedBeforeNatsAndItsLaneJustWaits) {
  server_->Stop();
  const auto worker = StartExampleWorker("w-1");
  ASSERT_TRUE(server_->Start());
  ASSERT_TRUE(connection_->WaitConnected(seconds(60)));
  // It is there, and there is no lane yet.
  const auto reports = connection_->Subscribe(WorkerReportSubject(key_, "w-1"));
  ASSERT_TRUE(reports);
  ASSERT_TRUE((*reports)->Next(seconds(60)));
  MakeLane();
  Publish("late", "sleep", "0");
  EXPECT_TRUE(Eventually([this] { return JobsLeft() == 0; }));
}

TEST_F(WorkerNatsTest, ReportsWhatItDoes) {
  MakeLane();
  const auto reports = connection_->Subscribe(WorkerReportSubject(key_, "w-1"));
  ASSERT_TRUE(reports);
  const auto wait_report = [&](const std::function<bool(const WorkerReport&)>& wanted) {
    return Eventually([&] {
      const auto message = (*reports)->Next(seconds(1));
      if (!message) return false;
      const auto report = nats::ReadWorkerReport(message->payload);
      EXPECT_TRUE(report) << message->payload;
      return report && report->worker == "w-1" && report->slots == 4 && wanted(*report);
    });
  };
  const auto worker = StartExampleWorker("w-1");
  EXPECT_TRUE(wait_report([](const auto& report) {
    return report.state == WorkerState::kRunning && report.running == 0;
  }));
  const File go;
  Publish("one", "hold", go.name());
  EXPECT_TRUE(wait_report([](const auto& report) { return report.running == 1; }));
  go.Make();
  EXPECT_TRUE(
      wait_report([](const auto& report) { return report.running == 0 && report.done == 1; }));
  worker->Signal(SIGTERM);
  EXPECT_TRUE(wait_report([](const auto& report) {
    return report.state == WorkerState::kStopped && report.running == 0;
  }));
  EXPECT_EQ(worker->Wait(), 0);
}

TEST_F(WorkerNatsTest, AProgramIsAHandlerToo) {
  MakeLane();
  Publish("some words here", {{"Nats-Msg-Id", "text-1"}});
  Publish("some words", {{"Nats-Msg-Id", "flaky"}, {"X-Fail-Until", "2"}});
  Publish("\xff\xfe", {{"Nats-Msg-Id", "bytes"}});
  const Process worker(
      {"lanekeeper-worker", "--slots", "2", "--exec", "./worker-runtime/examples/word_count.py"},
      WorkerEnvironment("w-1"));
  const nats::StoredMessage letter = WaitDeadLetter();
  EXPECT_EQ(HeaderOf(letter, "Lk-Dead-Job-Id"), "bytes");
  EXPECT_EQ(HeaderOf(letter, "Lk-Dead-Reason"), "rejected");
  EXPECT_THAT(HeaderOf(letter, "Lk-Dead-Message"), HasSubstr("exit code 65: not UTF-8"));
  EXPECT_EQ(letter.payload, "\xff\xfe");
}

TEST_F(WorkerNatsTest, AProgramThatTakesTooLongIsEndedWithAllItStarted) {
  MakeLane();
  Publish("", {{"Nats-Msg-Id", "slow"}});
  const Process worker({"lanekeeper-worker", "--timeout", "200ms", "--attempts", "1", "--exec",
                        "sh", "-c", "sleep 1000 | sleep 1000"},
                       WorkerEnvironment("w-1"));
  const nats::StoredMessage letter = WaitDeadLetter();
  EXPECT_EQ(HeaderOf(letter, "Lk-Dead-Reason"), "attempts-used-up");
  EXPECT_EQ(HeaderOf(letter, "Lk-Dead-Message"), "timed out after 200ms");
}

}  // namespace
}  // namespace lanekeeper::runner
