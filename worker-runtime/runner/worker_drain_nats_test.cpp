// Worker processes on a real lane: how they end. ack_wait is ten minutes here: a job that a worker
// keeps to itself would not come back before the test gives up.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <set>
#include <string>
#include <thread>

#include "worker-runtime/job/worker_report.h"
#include "worker-runtime/runner/testing/lane_fixture.h"

namespace lanekeeper::runner {
namespace {

class WorkerDrainNatsTest : public LaneFixture {
 protected:
  std::string Ask(std::string_view request, const std::string& worker = "w-1") {
    const auto answer = connection_->Request(WorkerControlSubject(key_, worker), request, {},
                                             std::chrono::seconds(60));
    return answer ? answer->payload : "no answer: " + answer.error().message;
  }
  // Its handler has begun.
  bool HasCheckpoint(const std::string& id) {
    const auto record = Record(id);
    return record && !record->checkpoint.empty();
  }
};

TEST_F(WorkerDrainNatsTest, RunningJobsFinishAndTheRestGoesToTheNextWorkerAtOnce) {
  MakeLane();
  for (int n = 0; n < 3; ++n) Publish("running-" + std::to_string(n), "steps", "20");
  const auto first = StartExampleWorker("w-1", {{kEnvSlots, "3"}});
  for (int n = 0; n < 3; ++n) {
    ASSERT_TRUE(Eventually([&] { return HasCheckpoint("running-" + std::to_string(n)); }));
  }
  for (int n = 0; n < 5; ++n) Publish("waiting-" + std::to_string(n), "sleep", "0");
  first->Signal(SIGTERM);
  EXPECT_EQ(first->Wait(), 0);
  EXPECT_TRUE(Eventually([this] { return JobsLeft() == 5 && JobsRunning() == 0; }));
  EXPECT_EQ(Runs().size(), 3U);

  const auto second = StartExampleWorker("w-2");
  ASSERT_TRUE(Eventually([this] { return JobsLeft() == 0; }));
  std::set<std::string> ids;
  for (const Run& run : Runs()) {
    EXPECT_EQ(run.delivery, 1) << run.id;
    EXPECT_EQ(run.worker, run.id.rfind("running", 0) == 0 ? "w-1" : "w-2") << run.id;
    ids.insert(run.id);
  }
  EXPECT_EQ(ids.size(), 8U);
}

TEST_F(WorkerDrainNatsTest, UnderLoadNoJobIsLostOrRunTwice) {
  MakeLane();
  for (int n = 0; n < 600; ++n) Publish("job-" + std::to_string(n), "sleep", "5");
  // One after the other is told to go while the lane is full, and nobody is missed.
  for (int n = 1; n <= 4; ++n) {
    const auto worker = StartExampleWorker("w-" + std::to_string(n), {{kEnvSlots, "8"}});
    ASSERT_TRUE(Eventually([&] { return JobsLeft() <= 600 - 100 * n; }));
    worker->Signal(SIGTERM);
    EXPECT_EQ(worker->Wait(), 0);
  }
  const auto last = StartExampleWorker("w-5", {{kEnvSlots, "8"}});
  ASSERT_TRUE(Eventually([this] { return JobsLeft() == 0; }));
  std::set<std::string> ids;
  for (const Run& run : Runs()) EXPECT_TRUE(ids.insert(run.id).second) << run.id << " ran twice";
  EXPECT_EQ(ids.size(), 600U);
  EXPECT_TRUE(DeadLetters().empty());
}

TEST_F(WorkerDrainNatsTest, AnIdleWorkerEndsAtOnce) {
  MakeLane();
  const auto reports = connection_->Subscribe(WorkerReportSubject(key_, "w-1"));
  ASSERT_TRUE(reports);
  const auto worker = StartExampleWorker("w-1");
  ASSERT_TRUE((*reports)->Next(std::chrono::seconds(60)));
  worker->Signal(SIGTERM);
  EXPECT_EQ(worker->Wait(), 0);
  EXPECT_EQ(JobsRunning(), 0);
}

// Longer than its grace: that is for workers that have to be gone.
TEST_F(WorkerDrainNatsTest, ToldToEndAWorkerFinishesWhatItHasAndTakesNoMoreAndEndsWith0) {
  MakeLane();
  const File go;
  Publish("running", "hold", go.name());
  const auto worker = StartExampleWorker("w-1", {{kEnvGrace, "1s"}});
  ASSERT_TRUE(WaitRunning("running"));
  EXPECT_THAT(Ask(kControlEnd), testing::HasSubstr(R"("ending":true)"));
  // What still arrives on a pull that is being withdrawn is run.
  ASSERT_TRUE(Eventually([this] {
    const auto lane = jetstream_->ConsumerInfo(JobStreamName(key_), kConsumerName);
    return lane && lane->waiting_pulls == 0;
  }));
  Publish("waiting", "sleep", "0");
  EXPECT_THAT(Ask(kControlUndrain), testing::HasSubstr(R"("state":"draining")"))
      << "there is no way back";
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  EXPECT_FALSE(worker->Ended());
  go.Make();
  EXPECT_EQ(worker->Wait(), 0);
  ASSERT_EQ(Runs().size(), 1U);
  EXPECT_EQ(Runs()[0].id, "running");
  EXPECT_TRUE(Eventually([this] { return JobsLeft() == 1; }));

  const auto anew = StartExampleWorker("w-1");
  EXPECT_TRUE(Eventually([this] { return JobsLeft() == 0; })) << "its platform starts it again";
}

TEST_F(WorkerDrainNatsTest, ADrainedWorkerThatIsToldToEndEndsToo) {
  MakeLane();
  const auto worker = StartExampleWorker("w-1");
  ASSERT_TRUE(
      Eventually([this] { return Ask(kControlDrain).find(R"("drained")") != std::string::npos; }));
  EXPECT_THAT(Ask(kControlEnd), testing::HasSubstr(R"("ending":true)"));
  EXPECT_EQ(worker->Wait(), 0);
}

TEST_F(WorkerDrainNatsTest, AtTheEndOfTheGraceAJobStopsAndRunsElsewhere) {
  MakeLane();
  const File go;
  Publish("long", "hold", go.name());
  int runs = 0;
  int code = 1;
  // A busy machine may not have said what became of the job when a short grace is over: the worker
  // gives up then, which ends with 1.
  for (int grace = 2; code == 1 && grace <= 32; grace *= 2) {
    const auto first =
        StartExampleWorker("w-1", {{kEnvGrace, std::to_string(grace) + "s"}, {kEnvAttempts, "1"}});
    ASSERT_TRUE(WaitRunning("long", ++runs));
    first->Signal(SIGTERM);
    code = first->Wait();
  }
  EXPECT_EQ(code, 0);
  EXPECT_TRUE(Runs().empty());
  EXPECT_EQ(Record("long")->state, JobState::kWaiting);

  go.Make();
  const auto second = StartExampleWorker("w-2", {{kEnvAttempts, "1"}});
  ASSERT_TRUE(Eventually([this] { return JobsLeft() == 0; }));
  ASSERT_EQ(Runs().size(), 1U);
  EXPECT_EQ(Runs()[0].worker, "w-2");
  EXPECT_EQ(Runs()[0].delivery, runs + 1);
  EXPECT_TRUE(DeadLetters().empty());
}

TEST_F(WorkerDrainNatsTest, AProgramThatIgnoresSigtermIsKilledAndItsJobRunsElsewhere) {
  MakeLane();
  Publish("", {{"Nats-Msg-Id", "stubborn"}});
  Process first({"lanekeeper-worker", "--grace", "2s", "--exec", "sh", "-c",
                 "trap '' TERM; echo '{\"checkpoint\":\"x\"}' >&3; while :; do sleep 0.1; done"},
                WorkerEnvironment("w-1"));
  ASSERT_TRUE(Eventually([this] { return HasCheckpoint("stubborn"); }));
  first.Signal(SIGTERM);
  // Less than the five seconds a program has: the worker gives up on it.
  EXPECT_EQ(first.Wait(), 1);

  const Process second({"lanekeeper-worker", "--exec", "true"}, WorkerEnvironment("w-2"));
  EXPECT_TRUE(Eventually([this] { return JobsLeft() == 0; }));
}

TEST_F(WorkerDrainNatsTest, ASecondSignalEndsTheProcessAtOnce) {
  MakeLane();
  Publish("long", "sleep", "86400000");
  const auto worker = StartExampleWorker("w-1");
  ASSERT_TRUE(WaitRunning("long"));
  const auto reports = connection_->Subscribe(WorkerReportSubject(key_, "w-1"));
  ASSERT_TRUE(reports);
  worker->Signal(SIGTERM);
  // The drain has begun; the second signal is not merged into the first.
  ASSERT_TRUE(Eventually([&] {
    const auto message = (*reports)->Next(std::chrono::seconds(1));
    return message && message->payload.find("draining") != std::string::npos;
  }));
  worker->Signal(SIGTERM);
  EXPECT_EQ(worker->Wait(), 128 + SIGTERM);
}

TEST_F(WorkerDrainNatsTest, WithoutNatsADrainEndsAllTheSame) {
  MakeLane();
  Publish("one", "sleep", "500");
  const auto worker = StartExampleWorker("w-1", {{kEnvGrace, "2s"}});
  ASSERT_TRUE(Eventually([this] { return JobsRunning() == 1; }));
  server_->Stop();
  worker->Signal(SIGTERM);
  EXPECT_NE(worker->Wait(), -1);
}

TEST(WorkerSettingsTest, BadOnesAreAllNamedAndEndTheProcessWith2) {
  Process none({"lanekeeper-worker"}, {});
  EXPECT_EQ(none.Wait(), 2);
  Process bad({"lanekeeper-worker", "--slots", "0", "--exec", "no-such-program"}, {});
  EXPECT_EQ(bad.Wait(), 2);
  Process flag({"lanekeeper-worker", "--no-such-flag", "--exec", "true"}, {});
  EXPECT_EQ(flag.Wait(), 2);
  Process example({"lanekeeper-example-worker"}, {});
  EXPECT_EQ(example.Wait(), 2);
  Process help({"lanekeeper-worker", "--help"}, {});
  EXPECT_EQ(help.Wait(), 0);
}

}  // namespace
}  // namespace lanekeeper::runner
