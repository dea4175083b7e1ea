// Cancelling jobs that workers have, or are about to take: the gateway's desk against real workers.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "worker-runtime/gateway/testing/desk_fixture.h"
#include "worker-runtime/runner/testing/in_process_worker.h"
#include "worker-runtime/runner/testing/lane_fixture.h"

namespace lanekeeper {
namespace {

using gateway::DeskFixture;
using gateway::Problem;
using gateway::ProblemType;
using gateway::ViewState;
using nats::Eventually;
using std::chrono::microseconds;

class WorkerCancelTest : public DeskFixture {
 protected:
  WorkerCancelTest() { MakeLanes(); }

  std::unique_ptr<runner::Process> StartExampleWorker(const std::string& worker) {
    return std::make_unique<runner::Process>(std::vector<std::string>{"lanekeeper-example-worker"},
                                             runner::Environment{{kEnvNatsUrl, server_.url()},
                                                                 {kEnvNamespace, "studio"},
                                                                 {kEnvPool, "media"},
                                                                 {kEnvLane, "short"},
                                                                 {kEnvWorker, worker},
                                                                 {kEnvTimeout, "1h"},
                                                                 {kEnvHttpPort, "0"}});
  }
  bool WaitState(const std::string& id, JobState state) {
    return Eventually([&] {
      const auto record = Record("short", id);
      return record && record->state == state;
    });
  }
  std::string SubmitSleep(const std::string& milliseconds_text) {
    const std::uint64_t sequence =
        jetstream_.PublishAck(JobSubject(Lane("short")), milliseconds_text, {{"Lk-Type", "sleep"}})
            ->sequence;
    return JobStreamName(Lane("short")) + "." + std::to_string(sequence);
  }
};

// The lease is renewed, and the record looked at, only minutes later: the worker is told.
TEST_F(WorkerCancelTest, AHandlerIsToldThatItsJobIsCancelledAndItsSlotIsFreeForTheNext) {
  const auto worker = StartExampleWorker("w-1");
  const std::string id = SubmitSleep("3600000");
  ASSERT_TRUE(WaitState(id, JobState::kRunning));
  const auto cancelled = Cancel(*Find(id));
  ASSERT_TRUE(cancelled) << cancelled.error().detail;
  EXPECT_EQ(cancelled->state, ViewState::kCancelled);

  const std::string next = SubmitSleep("1");
  ASSERT_TRUE(WaitState(next, JobState::kDone));
  EXPECT_EQ(Record("short", id)->state, JobState::kCancelled);
  EXPECT_EQ(Record("short", id)->runs, 1);
  EXPECT_TRUE(Eventually([this] { return JobsIn("short") == 0; }));
  const auto consumer =
      jetstream_.ConsumerInfo(JobStreamName(Lane("short")), std::string(kConsumerName));
  ASSERT_TRUE(consumer);
  EXPECT_EQ(consumer->ack_pending, 0);
}

// Its message could not be removed: the record alone says that it is not to be run.
TEST_F(WorkerCancelTest, ACancelledJobThatIsStillInItsLaneIsNotRun) {
  const std::string id = SubmitSleep("1");
  JobRecord cancelled = RecordOf(id, JobState::kCancelled);
  cancelled.runs = 0;
  cancelled.stored_at = Find(id)->submitted_at;
  PutRecord("short", cancelled);
  const auto worker = StartExampleWorker("w-1");
  ASSERT_TRUE(WaitState(SubmitSleep("1"), JobState::kDone));
  EXPECT_TRUE(Eventually([this] { return JobsIn("short") == 0; }));
  EXPECT_EQ(Record("short", id)->state, JobState::kCancelled);
  EXPECT_EQ(Record("short", id)->runs, 0);
}

// Bursts of jobs, all cancelled at once while the worker takes, runs and ends them.
TEST_F(WorkerCancelTest, AgainstAWorkerThatClaimsAtTheSameMomentAJobIsDoneOrCancelled) {
  constexpr std::size_t kBursts = 10;
  constexpr std::size_t kJobs = 20;
  std::mutex mutex;
  std::map<std::string, int> ran;
  runner::InProcessWorker worker(server_.url(), Lane("short"), {.worker = "w-1", .slots = 4},
                                 [&](Job& job) -> Outcome {
                                   std::this_thread::sleep_for(microseconds(300));
                                   const std::lock_guard lock(mutex);
                                   ++ran[job.id()];
                                   return Done{"ran"};
                                 });
  std::map<std::string, std::optional<Problem>> answers;
  for (std::size_t burst = 0; burst < kBursts; ++burst) {
    std::vector<std::string> ids;
    for (std::size_t n = 0; n < kJobs; ++n) ids.push_back(Submit("short"));
    std::atomic<std::size_t> answered{0};
    for (const std::string& id : ids) {
      desk_->Cancel({.id = id, .lane = Lane("short")}, "ana", [&, id](const auto& view) {
        {
          const std::lock_guard lock(mutex);
          answers[id] = view ? std::nullopt : std::optional(view.error());
        }
        ++answered;
      });
    }
    ASSERT_TRUE(Eventually([&] { return answered == kJobs; }));
  }
  EXPECT_TRUE(Eventually([this] { return JobsIn("short") == 0; }));
  EXPECT_TRUE(Eventually([&] { return worker.runner().Report().running == 0; }));
  ASSERT_EQ(answers.size(), kBursts * kJobs);
  int cancelled = 0;
  for (const auto& [id, problem] : answers) {
    const auto record = Record("short", id);
    ASSERT_TRUE(record) << id;
    if (problem) {
      EXPECT_EQ(problem->type, ProblemType::kJobFinished) << problem->detail;
      EXPECT_EQ(record->state, JobState::kDone) << id;
      EXPECT_EQ(ran[id], 1) << id;
    } else {
      ++cancelled;
      EXPECT_EQ(record->state, JobState::kCancelled) << id;
      EXPECT_EQ(record->result, "") << id;
      EXPECT_LE(ran[id], record->runs) << id;  // Not claimed: never run.
    }
  }
  RecordProperty("cancelled", cancelled);
}

}  // namespace
}  // namespace lanekeeper
