// Worker processes that die, and their supervisors. ack_wait is ten minutes here: only who tells
// the server gives a job back before the test gives up.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <string>

#include "worker-runtime/job/job.h"
#include "worker-runtime/job/worker_report.h"
#include "worker-runtime/nats/testing/nats_test.h"
#include "worker-runtime/nats/worker_report_json.h"
#include "worker-runtime/runner/crash_board.h"
#include "worker-runtime/runner/testing/lane_fixture.h"

namespace lanekeeper::runner {
namespace {

using testing::HasSubstr;

class WorkerCrashNatsTest : public LaneFixture {
 protected:
  bool WaitFor(const std::string& id, const std::function<bool(const JobRecord&)>& holds) {
    return Eventually([&] {
      const auto record = Record(id);
      return record && holds(*record);
    });
  }
};

TEST_F(WorkerCrashNatsTest, AQuarantineNamesTheSignal) {
  MakeLane();
  Publish("bad", "crash", "");
  for (int n = 1; n <= 2; ++n) {
    const auto worker = StartExampleWorker("w-" + std::to_string(n));
    EXPECT_EQ(worker->Wait(), 128 + SIGABRT);
  }
  ASSERT_TRUE(Eventually([this] { return DeadLetters().size() == 1; }));
  const auto letter = DeadLetters()[0];
  EXPECT_EQ(lanekeeper::FindHeader(letter.headers, "Lk-Dead-Reason"), "crashes-used-up");
  EXPECT_EQ(lanekeeper::FindHeader(letter.headers, "Lk-Dead-Error-Class"), "signal 6");
  EXPECT_EQ(lanekeeper::FindHeader(letter.headers, "Lk-Dead-Crashes"), "2");
  EXPECT_THAT(std::string(*lanekeeper::FindHeader(letter.headers, "Lk-Dead-Message")),
              HasSubstr("w-2 was killed by signal 6 (Aborted)"));
  EXPECT_TRUE(Eventually([this] { return JobsLeft() == 0; }));
}

TEST_F(WorkerCrashNatsTest, OnlyTheJobAtFaultPaysForTheCrash) {
  MakeLane();
  Publish("innocent", "sleep", "600000");
  {
    // The guilty one shall not come back and kill the next worker too.
    const auto worker =
        StartExampleWorker("w-1", {{kEnvBackoffInitial, "10m"}, {kEnvBackoffMax, "10m"}});
    // Its handler has begun, not only its claim.
    ASSERT_TRUE(Eventually([this] {
      const auto answer = connection_->Request(WorkerControlSubject(key_, "w-1"), kControlUndrain,
                                               {}, nats::kAnswerDeadline);
      if (!answer || answer->NoResponders()) return false;
      const auto report = nats::ReadWorkerReport(answer->payload);
      return report && report->oldest_running >= std::chrono::seconds(1);
    }));
    Publish("guilty", "crash", "");
    EXPECT_EQ(worker->Wait(), 128 + SIGABRT);
  }
  EXPECT_EQ(Record("innocent")->state, JobState::kWaiting);
  EXPECT_EQ(Record("innocent")->interruptions, 1);
  EXPECT_EQ(Record("innocent")->crashes, 0);
  EXPECT_EQ(Record("guilty")->crashes, 1);
  EXPECT_EQ(Record("guilty")->error_class, "signal 6");
  // Given back at once: the next worker has it long before ack_wait.
  const auto next = StartExampleWorker("w-2");
  EXPECT_TRUE(WaitFor("innocent", [](const auto& record) {
    return record.runs == 2 && record.state == JobState::kRunning;
  }));
}

TEST_F(WorkerCrashNatsTest, WithoutRecordsItsJobsAreGivenBackAtOnceToo) {
  MakeLane();
  Publish("bad", "crash", "");
  for (int n = 1; n <= 2; ++n) {
    const auto worker = StartExampleWorker("w-" + std::to_string(n), {{kEnvTracking, "None"}});
    EXPECT_EQ(worker->Wait(), 128 + SIGABRT);
  }
}

TEST_F(WorkerCrashNatsTest, WithFailuresOnlyAFirstCrashIsRecorded) {
  MakeLane();
  Publish("bad", "crash", "");
  const auto worker = StartExampleWorker("w-1", {{kEnvTracking, "Failures"}});
  EXPECT_EQ(worker->Wait(), 128 + SIGABRT);
  ASSERT_TRUE(Record("bad"));
  EXPECT_EQ(Record("bad")->crashes, 1);
  EXPECT_EQ(Record("bad")->state, JobState::kWaiting);
}

TEST(CrashBoardTest, ShowsWhatRunsAndNothingElse) {
  const auto board = CrashBoard::Make(2);
  ASSERT_TRUE(board);
  (*board)->SitDown();
  EXPECT_TRUE((*board)->Read().empty());
  CrashBoard::Note("$JS.ACK.S.workers.1.7.7.1.0");
  ASSERT_EQ((*board)->Read().size(), 1U);
  EXPECT_EQ((*board)->Read()[0].lease, "$JS.ACK.S.workers.1.7.7.1.0");
  EXPECT_FALSE((*board)->Read()[0].at_fault);
  CrashBoard::Clear();
  EXPECT_TRUE((*board)->Read().empty());
  CrashBoard::Note(std::string(5000, 'x'));  // Fits nowhere, and is no harm.
  EXPECT_TRUE((*board)->Read().empty());
}

}  // namespace
}  // namespace lanekeeper::runner
