// The runner with records: claims, fences, budgets. In memory; runner_test.cpp has the rest.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "worker-runtime/base/testing/eventually.h"
#include "worker-runtime/runner/fake_job_source.h"
#include "worker-runtime/runner/fake_record_store.h"
#include "worker-runtime/runner/runner.h"

namespace lanekeeper::runner {
namespace {

using std::chrono::milliseconds;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

constexpr WallTime kStored{std::chrono::seconds(1'000'000)};

class RunnerRecordsTest : public testing::Test {
 protected:
  RunnerRecordsTest() {
    options_.worker = "w-1";
    options_.policy = {.attempts_max = 3,
                       .crashes_max = 2,
                       .backoff = {.initial = milliseconds(2), .max = milliseconds(2)}};
    options_.limits.progress_pause = milliseconds(1);
    options_.stop = {.stop_handlers = std::chrono::hours(1), .give_up = std::chrono::hours(1)};
    options_.settler = {.kept_retry = milliseconds(3), .try_pause = milliseconds(1)};
  }
  ~RunnerRecordsTest() override { release_ = true; }

  void Start() {
    runner_ = std::make_unique<Runner>(options_, handlers_, source_, &records_, metrics_,
                                       [](const WorkerReport&) {});
    runner_->Start();
  }
  bool Stop() {
    runner_->BeginStop();
    return Eventually([this] { return runner_->Stopped(); });
  }
  static JobMessage Message(std::uint64_t sequence, int delivery = 1) {
    return {.stream = "S",
            .sequence = sequence,
            .delivery = delivery,
            .stored_at = kStored,
            .headers = {{"Nats-Msg-Id", "job"}}};
  }
  // What another worker left about message `sequence`.
  static JobRecord Left(JobState state, std::uint64_t sequence) {
    return {.id = "job",
            .state = state,
            .sequence = sequence,
            .stored_at = kStored,
            .runs = 1,
            .worker = "w-0",
            .instance = "other"};
  }
  std::optional<JobRecord> Record() const { return records_.Get("short", "job"); }
  bool WaitState(JobState state) {
    return Eventually([&] { return Record() && Record()->state == state; });
  }
  // Runs until the test says so.
  Handler Blocking(Outcome outcome = Done{"late"}) {
    return [this, outcome](Job&) -> Outcome {
      ++started_;
      while (!release_) std::this_thread::sleep_for(milliseconds(1));
      return outcome;
    };
  }
  // Somebody else claims the job while this worker has it.
  void TakeOver() {
    JobRecord taken = *Record();
    ++taken.runs;
    taken.instance = "other";
    records_.Put("short", taken);
  }
  // Somebody does not want the job any more.
  void Cancel() {
    JobRecord cancelled = *Record();
    cancelled.state = JobState::kCancelled;
    records_.Put("short", cancelled);
  }
  Handler UntilStopped(Outcome outcome) {
    return [this, outcome](Job& job) -> Outcome {
      ++started_;
      while (!job.StopRequested() && !release_) std::this_thread::sleep_for(milliseconds(1));
      return outcome;
    };
  }
  double Counter(const std::string& name) const {
    for (const auto& family : registry_.Collect()) {
      if (family.name == name) return family.metric.at(0).counter.value;
    }
    return -1;
  }

  FakeJobSource source_;
  FakeRecordStore records_;
  HandlerRegistry handlers_;
  prometheus::Registry registry_;
  RunnerMetrics metrics_{registry_, {"a", "b", "short"}};
  RunnerOptions options_;
  std::atomic<int> started_{0};
  std::atomic<bool> release_{false};
  std::unique_ptr<Runner> runner_;
};

TEST_F(RunnerRecordsTest, AJobIsClaimedBeforeItRunsAndRecordedBeforeItIsAcknowledged) {
  JobState seen{};
  handlers_.HandleAny([&](Job& job) -> Outcome {
    seen = Record()->state;
    EXPECT_EQ(job.run(), 1);
    EXPECT_GT(job.fence(), 0U);
    EXPECT_THAT(source_.events(), IsEmpty());
    return Done{"42"};
  });
  source_.Add(Message(1));
  Start();
  ASSERT_TRUE(source_.WaitForEvent("ack 1"));
  EXPECT_EQ(seen, JobState::kRunning);
  EXPECT_EQ(Record()->state, JobState::kDone);
  EXPECT_EQ(Record()->result, "42");
  EXPECT_THAT(records_.writes(), ElementsAre("job running 1", "job done 1"));
}

// ---- Cancelled by somebody else ----

TEST_F(RunnerRecordsTest, TheHandlerOfACancelledJobIsToldAtOnceAndItsResultIsRefused) {
  handlers_.HandleAny(UntilStopped(Done{"late"}));
  source_.Add(Message(1));
  Start();
  ASSERT_TRUE(Eventually([this] { return started_ == 1; }));
  const std::string instance = Record()->instance;
  EXPECT_FALSE(runner_->CheckFence(instance, "another"));
  EXPECT_FALSE(runner_->CheckFence("another", "job"));
  Cancel();
  EXPECT_TRUE(runner_->CheckFence(instance, "job"));
  ASSERT_TRUE(source_.WaitForEvent("ack 1"));
  ASSERT_TRUE(Eventually([this] { return runner_->Report().running == 0; }));
  EXPECT_EQ(Record()->state, JobState::kCancelled);
  EXPECT_EQ(Record()->result, "");
  EXPECT_EQ(Counter("lanekeeper_worker_jobs_cancelled_total"), 1);
  EXPECT_EQ(Counter("lanekeeper_worker_leases_lost_total"), 0);
  EXPECT_EQ(runner_->Report().done, 0);
  EXPECT_EQ(runner_->Report().failed, 0);
}

TEST_F(RunnerRecordsTest, AWorkerThatIsNotToldSeesACancelWithItsNextRenewal) {
  handlers_.HandleAny(UntilStopped(Interrupted{}));
  source_.SetLeaseTime(milliseconds(300));
  source_.Add(Message(1));
  Start();
  ASSERT_TRUE(Eventually([this] { return started_ == 1; }));
  Cancel();
  ASSERT_TRUE(source_.WaitForEvent("ack 1"));
  EXPECT_EQ(Record()->state, JobState::kCancelled);
  EXPECT_TRUE(
      Eventually([this] { return Counter("lanekeeper_worker_jobs_cancelled_total") == 1; }));
}

TEST_F(RunnerRecordsTest, AResultThatComesAfterTheCancelIsRefused) {
  handlers_.HandleAny(Blocking());
  source_.Add(Message(1));
  Start();
  ASSERT_TRUE(Eventually([this] { return started_ == 1; }));
  Cancel();
  release_ = true;
  ASSERT_TRUE(source_.WaitForEvent("ack 1"));
  EXPECT_EQ(Record()->state, JobState::kCancelled);
  EXPECT_TRUE(
      Eventually([this] { return Counter("lanekeeper_worker_jobs_cancelled_total") == 1; }));
  EXPECT_EQ(Counter("lanekeeper_worker_leases_lost_total"), 0);
}

TEST_F(RunnerRecordsTest, ACheckpointOfACancelledJobIsRefused) {
  handlers_.HandleAny([this](Job& job) -> Outcome {
    Cancel();
    const Result<void> stored = job.Checkpoint("half");
    EXPECT_FALSE(stored);
    EXPECT_EQ(stored.error().message, "job job was cancelled");
    EXPECT_TRUE(job.StopRequested());
    return Interrupted{};
  });
  source_.Add(Message(1));
  Start();
  ASSERT_TRUE(source_.WaitForEvent("ack 1"));
  EXPECT_EQ(Record()->checkpoint, "");
}

TEST_F(RunnerRecordsTest, AJobThatIsCancelledBeforeItsHandlerStartsIsNotRun) {
  handlers_.HandleAny(Blocking());
  records_.HoldNextAnswer();  // Of the claim.
  source_.Add(Message(1));
  Start();
  ASSERT_TRUE(Eventually([this] { return records_.HoldsAnswer(); }));
  const std::string instance = Record()->instance;
  // Nothing is known of the claim yet: that it is there must not be taken for somebody else's.
  EXPECT_TRUE(runner_->CheckFence(instance, "job"));
  EXPECT_TRUE(runner_->Holds(instance, "job"));
  Cancel();
  EXPECT_TRUE(runner_->CheckFence(instance, "job"));
  records_.LetAnswerGo();
  ASSERT_TRUE(source_.WaitForEvent("ack 1"));
  EXPECT_EQ(started_, 0);
  EXPECT_EQ(Record()->state, JobState::kCancelled);
}

TEST_F(RunnerRecordsTest, ACancelledJobThatComesAgainIsAcknowledgedAndNotRun) {
  handlers_.HandleAny(Blocking());
  records_.Put("short", Left(JobState::kCancelled, 1));
  source_.Add(Message(1));
  Start();
  ASSERT_TRUE(source_.WaitForEvent("ack 1"));
  EXPECT_EQ(started_, 0);
}

TEST_F(RunnerRecordsTest, AJobThatIsDoneAlreadyIsAcknowledgedAndNotRun) {
  handlers_.HandleAny(Blocking());
  records_.Put("short", Left(JobState::kDone, 1));
  source_.Add(Message(1, 2));
  Start();
  ASSERT_TRUE(source_.WaitForEvent("ack 1"));
  EXPECT_EQ(started_, 0);
}

// The server forgot the delivery: it says that this one is the first.
TEST_F(RunnerRecordsTest, AFirstDeliveryOfAJobThatIsDoneIsNotRunEither) {
  handlers_.HandleAny(Blocking());
  records_.Put("short", Left(JobState::kDone, 1));
  source_.Add(Message(1, 1));
  Start();
  ASSERT_TRUE(source_.WaitForEvent("ack 1"));
  EXPECT_EQ(started_, 0);
}

TEST_F(RunnerRecordsTest, WorkersThatDieUseUpTheCrashesAndNotTheAttempts) {
  handlers_.HandleAny(Blocking());
  JobRecord record = Left(JobState::kRunning, 1);
  record.crashes = 1;
  records_.Put("short", record);
  source_.Add(Message(1, 2));
  Start();
  ASSERT_TRUE(source_.WaitForEvent("remove 1 crashes-used-up"));
  EXPECT_EQ(started_, 0);
  EXPECT_EQ(source_.dead().at(0).second.crashes, 2);
  EXPECT_EQ(source_.dead().at(0).second.attempts, 0);
  EXPECT_EQ(Record()->state, JobState::kDead);
}

// Bug: a server that was killed made its last deliveries again, and workers that ran on cost their
// jobs a crash each; two of those were a dead letter.
TEST_F(RunnerRecordsTest, AJobWhoseWorkerSaysThatItHasItIsLeftToIt) {
  handlers_.HandleAny(Blocking());
  records_.Put("short", Left(JobState::kRunning, 1));
  source_.SetHolder("other");
  source_.Add(Message(1, 2));
  Start();
  ASSERT_TRUE(source_.WaitFor([](const auto& events) {
    return !events.empty() && events.back().starts_with("back 1 after ");
  }));
  EXPECT_EQ(started_, 0);
  EXPECT_EQ(Record()->crashes, 0);
  source_.SetHolder("");
  source_.Add(Message(1, 3));
  ASSERT_TRUE(Eventually([this] { return started_ == 1; }));
  EXPECT_EQ(Record()->crashes, 1);
}

// Bug, found by killing servers under a gateway: the answer to a claim was lost, the job was given
// back and came to the same worker again, which asked itself who had it, found the delivery that
// was asking, and left the job to itself for ever.
TEST_F(RunnerRecordsTest, AJobWhoseClaimOfThisWorkerWasLostRunsWhenItComesAgain) {
  handlers_.HandleAny([](Job&) -> Outcome { return Done{}; });
  source_.SetHolder([this](const std::string& instance, const std::string& id) {
    return runner_->Holds(instance, id);
  });
  source_.Add(Message(1));
  Start();
  ASSERT_TRUE(source_.WaitForEvent("ack 1"));
  JobRecord lost = Left(JobState::kRunning, 2);
  lost.worker = Record()->worker;
  lost.instance = Record()->instance;
  records_.Put("short", lost);
  source_.Add(Message(2, 2));
  EXPECT_TRUE(source_.WaitForEvent("ack 2"));
  EXPECT_EQ(Record()->state, JobState::kDone);
}

TEST_F(RunnerRecordsTest, AWorkerSaysWhatItHasInHand) {
  handlers_.HandleAny(Blocking());
  source_.Add(Message(1));
  Start();
  ASSERT_TRUE(Eventually([this] { return started_ == 1; }));
  const std::string instance = Record()->instance;
  EXPECT_TRUE(runner_->Holds(instance, "job"));
  EXPECT_FALSE(runner_->Holds(instance, "other"));
  EXPECT_FALSE(runner_->Holds("earlier", "job"));
  release_ = true;
  EXPECT_TRUE(Eventually([&] { return !runner_->Holds(instance, "job"); }));
}

TEST_F(RunnerRecordsTest, FailuresAreCountedInTheRecordWhateverTheDeliveryCount) {
  handlers_.HandleAny([](Job& job) -> Outcome {
    return Failed{"attempt " + std::to_string(job.attempt()), "io"};
  });
  JobRecord record = Left(JobState::kWaiting, 1);
  record.attempts = 2;
  record.interruptions = 40;
  records_.Put("short", record);
  source_.Add(Message(1, 99));
  Start();
  ASSERT_TRUE(source_.WaitForEvent("remove 1 attempts-used-up"));
  EXPECT_EQ(source_.dead().at(0).second.message, "attempt 3");
  EXPECT_EQ(source_.dead().at(0).second.error_class, "io");
}

TEST_F(RunnerRecordsTest, AWorkerThatLostTheJobIsToldAndItsResultIsRefused) {
  source_.SetLeaseTime(milliseconds(30));  // Asked about ten times as often.
  std::atomic<bool> told{false};
  handlers_.HandleAny([&](Job& job) -> Outcome {
    ++started_;
    while (!job.StopRequested()) std::this_thread::sleep_for(milliseconds(1));
    told = true;
    const Result<void> late = job.Checkpoint("late");
    EXPECT_EQ(late.error().kind, ErrorKind::kForbidden);
    return Done{"late"};
  });
  source_.Add(Message(1));
  Start();
  ASSERT_TRUE(Eventually([this] { return started_ == 1; }));
  TakeOver();
  ASSERT_TRUE(Eventually([&] { return told.load(); }));
  ASSERT_TRUE(Stop());
  EXPECT_EQ(Record()->instance, "other");
  EXPECT_EQ(Record()->result, "");
  EXPECT_EQ(Record()->checkpoint, "");
  EXPECT_THAT(source_.events(), Not(Contains("ack 1")));
  EXPECT_EQ(Counter("lanekeeper_worker_leases_lost_total"), 1);
}

TEST_F(RunnerRecordsTest, AResultOfAStaleWorkerIsRefusedAlsoWhenItNoticesOnlyThen) {
  handlers_.HandleAny(Blocking());
  source_.Add(Message(1));
  Start();
  ASSERT_TRUE(Eventually([this] { return started_ == 1; }));
  TakeOver();
  release_ = true;
  ASSERT_TRUE(Eventually([this] { return Counter("lanekeeper_worker_leases_lost_total") == 1; }));
  EXPECT_THAT(source_.events(), Not(Contains("ack 1")));
  EXPECT_EQ(Record()->state, JobState::kRunning);
}

// Bug: the dead letter was stored, and then the record said "done".
TEST_F(RunnerRecordsTest, AQuarantineByAnotherWorkerIsNotUndone) {
  handlers_.HandleAny(Blocking());
  source_.Add(Message(1));
  Start();
  ASSERT_TRUE(Eventually([this] { return started_ == 1; }));
  JobRecord buried = *Record();
  buried.state = JobState::kDead;
  buried.ended_at = kStored;
  records_.Put("short", buried);
  release_ = true;
  ASSERT_TRUE(Eventually([this] { return Counter("lanekeeper_worker_leases_lost_total") == 1; }));
  EXPECT_EQ(Record()->state, JobState::kDead);
}

TEST_F(RunnerRecordsTest, AClaimWhoseAnswerWasLostIsOurs) {
  handlers_.HandleAny([](Job&) -> Outcome { return Done{}; });
  records_.LoseNextAnswer();
  source_.Add(Message(1));
  Start();
  ASSERT_TRUE(source_.WaitForEvent("ack 1"));
  EXPECT_EQ(Record()->crashes, 0);
  EXPECT_THAT(records_.writes(), ElementsAre("job running 1", "job done 1"));
}

TEST_F(RunnerRecordsTest, AResultWhoseAnswerWasLostIsOursToo) {
  handlers_.HandleAny(Blocking());
  source_.Add(Message(1));
  Start();
  ASSERT_TRUE(Eventually([this] { return started_ == 1; }));
  records_.LoseNextAnswer();
  release_ = true;
  ASSERT_TRUE(source_.WaitForEvent("ack 1"));
  EXPECT_EQ(Counter("lanekeeper_worker_leases_lost_total"), 0);
}

TEST_F(RunnerRecordsTest, WhileRecordsAreAwayNoHandlerStarts) {
  handlers_.HandleAny(Blocking());
  records_.FailWrites(Error{ErrorKind::kRetryable, "no space left"});
  source_.Add(Message(1));
  Start();
  ASSERT_TRUE(source_.WaitFor([](const auto& events) {
    return !events.empty() && events.back().starts_with("back 1 after ");
  }));
  EXPECT_EQ(started_, 0);
}

// The work is done: losing its record is better than doing it twice.
TEST_F(RunnerRecordsTest, AJobThatIsDoneIsAcknowledgedAlsoWhenItsRecordCannotBeWritten) {
  handlers_.HandleAny(Blocking());
  source_.Add(Message(1));
  Start();
  ASSERT_TRUE(Eventually([this] { return started_ == 1; }));
  records_.FailWrites(Error{ErrorKind::kRetryable, "no space left"});
  release_ = true;
  EXPECT_TRUE(source_.WaitForEvent("ack 1"));
}

TEST_F(RunnerRecordsTest, ADeletedRecordIsNobodyElses) {
  handlers_.HandleAny(Blocking());
  source_.Add(Message(1));
  Start();
  ASSERT_TRUE(Eventually([this] { return started_ == 1; }));
  records_.Remove("short", "job");
  release_ = true;
  ASSERT_TRUE(source_.WaitForEvent("ack 1"));
  EXPECT_EQ(Record()->state, JobState::kDone);
}

TEST_F(RunnerRecordsTest, ACheckpointReachesTheNextRun) {
  handlers_.HandleAny([](Job& job) -> Outcome {
    if (!job.checkpoint().empty()) return Done{job.checkpoint()};
    EXPECT_TRUE(job.Checkpoint("page 12"));
    return Failed{"no"};
  });
  source_.Add(Message(1));
  Start();
  ASSERT_TRUE(source_.WaitForEvent("back 1 after 2ms"));
  source_.Add(Message(1, 2));
  ASSERT_TRUE(source_.WaitForEvent("ack 1"));
  EXPECT_EQ(Record()->result, "page 12");
  EXPECT_EQ(Record()->attempts, 1);
  EXPECT_EQ(Record()->checkpoint, "");
}

TEST_F(RunnerRecordsTest, ProgressIsSeenWhileTheJobRuns) {
  handlers_.HandleAny([this](Job& job) -> Outcome {
    job.Progress(0.4, "page 12");
    while (!release_) std::this_thread::sleep_for(milliseconds(1));
    return Done{};
  });
  source_.Add(Message(1));
  Start();
  EXPECT_TRUE(Eventually([this] { return Record() && Record()->progress == 0.4; }));
  EXPECT_EQ(Record()->progress_note, "page 12");
  release_ = true;
  ASSERT_TRUE(source_.WaitForEvent("ack 1"));
  EXPECT_EQ(Record()->progress, 1);
}

TEST_F(RunnerRecordsTest, TheSameIdWaitsUntilItsTwinIsThrough) {
  handlers_.HandleAny(Blocking());
  options_.slots = 2;
  source_.Add(Message(1));
  Start();
  ASSERT_TRUE(Eventually([this] { return started_ == 1; }));
  source_.Add(Message(2));
  EXPECT_TRUE(source_.WaitFor([](const auto& events) {
    return !events.empty() && events.back().starts_with("back 2 after ");
  }));
  EXPECT_EQ(started_, 1);
}

TEST_F(RunnerRecordsTest, ATwinThatIsNoLongerInTheLaneIsNotWaitedFor) {
  handlers_.HandleAny([](Job&) -> Outcome { return Done{}; });
  records_.Put("short", Left(JobState::kWaiting, 1));  // Its message was removed by a person.
  source_.Add(Message(2));
  Start();
  EXPECT_TRUE(source_.WaitForEvent("ack 2"));
}

TEST_F(RunnerRecordsTest, AnOverrunMovesToItsLaneWithItsCheckpoint) {
  options_.policy.overrun_lane = "long";
  options_.limits.timeout = milliseconds(20);
  handlers_.HandleAny([](Job& job) -> Outcome {
    EXPECT_TRUE(job.Checkpoint("half"));
    while (!job.StopRequested()) std::this_thread::sleep_for(milliseconds(1));
    return Interrupted{};
  });
  source_.Add(Message(1));
  Start();
  ASSERT_TRUE(source_.WaitForEvent("remove 1 moved to long"));
  EXPECT_THAT(source_.events(), Contains("move 1 long"));
  EXPECT_EQ(Record()->state, JobState::kMoved);
  EXPECT_EQ(Record()->checkpoint, "half");
  EXPECT_EQ(Record()->attempts, 0);
  // It goes on elsewhere: its time here says nothing about how long such a job takes.
  ASSERT_TRUE(Stop());
  EXPECT_EQ(runner_->Report().service, ServiceCounts{});
}

TEST_F(RunnerRecordsTest, AJobThatCannotMoveIsKeptAndMovedLaterWithoutAnotherRun) {
  handlers_.HandleAny(Blocking());
  JobRecord moved = Left(JobState::kMoved, 1);
  moved.moved_to = "long";
  records_.Put("short", moved);
  source_.FailPutMoved(Fail(ErrorKind::kRetryable, "the lane is full"));
  source_.Add(Message(1, 2));
  Start();
  ASSERT_TRUE(source_.WaitFor([](const auto& events) {
    return !events.empty() && events.back().starts_with("back 1 after ");
  }));
  source_.FailPutMoved({});
  source_.Add(Message(1, 3));
  ASSERT_TRUE(source_.WaitForEvent("remove 1 moved to long"));
  EXPECT_EQ(started_, 0);
}

TEST_F(RunnerRecordsTest, AMovedJobTakesItsCountsAlong) {
  handlers_.HandleAny([](Job& job) -> Outcome { return Done{job.checkpoint()}; });
  JobRecord before = Left(JobState::kMoved, 17);
  before.attempts = 2;
  before.checkpoint = "half";
  records_.Put("quick", before);
  JobMessage message = Message(1);
  message.headers.emplace_back("Lk-Moved-From", "quick.17");
  source_.Add(message);
  Start();
  ASSERT_TRUE(source_.WaitForEvent("ack 1"));
  EXPECT_EQ(Record()->result, "half");
  EXPECT_EQ(Record()->attempts, 2);
  EXPECT_EQ(Record()->runs, 2);
}

TEST_F(RunnerRecordsTest, OnlyFailuresMeansNoRecordOfWhatGoesWell) {
  options_.policy.tracking = Tracking::kFailures;
  handlers_.Handle("good", [](Job&) -> Outcome { return Done{}; });
  handlers_.Handle("bad", [](Job&) -> Outcome { return Failed{"no"}; });
  JobMessage good = Message(1);
  good.headers = {{"Nats-Msg-Id", "good"}, {"Lk-Type", "good"}};
  JobMessage bad = Message(2);
  bad.headers.emplace_back("Lk-Type", "bad");
  source_.Add(good);
  source_.Add(bad);
  Start();
  ASSERT_TRUE(source_.WaitForEvent("ack 1"));
  ASSERT_TRUE(source_.WaitForEvent("back 2 after 2ms"));
  EXPECT_THAT(records_.writes(), ElementsAre("job waiting 1"));
  EXPECT_EQ(Record()->attempts, 1);
}

TEST_F(RunnerRecordsTest, AJobThatDidNotStartIsGivenBackWithoutACrash) {
  handlers_.HandleAny(Blocking());
  Start();
  runner_->Drain();
  ASSERT_TRUE(Eventually([this] { return runner_->Report().state == WorkerState::kDrained; }));
  runner_->Undrain();
  source_.Add(Message(1));
  ASSERT_TRUE(Eventually([this] { return started_ == 1; }));
  runner_->Drain();
  EXPECT_EQ(runner_->Report().state, WorkerState::kDraining);
  EXPECT_EQ(runner_->NotReady(), "draining");
  release_ = true;
  EXPECT_TRUE(Eventually([this] { return runner_->Report().state == WorkerState::kDrained; }));
  source_.Add(Message(2));
  EXPECT_TRUE(Stop());
  EXPECT_EQ(started_, 1);
  EXPECT_EQ(Record()->crashes, 0);
}

// Its record says that it has started: given back, it would look interrupted though nobody cut it.
TEST_F(RunnerRecordsTest, AJobClaimedInTheMomentOfADrainOrAStopRuns) {
  for (const bool stop : {false, true}) {
    handlers_.HandleAny(Blocking());
    release_ = true;
    records_.HoldNextAnswer();
    Start();
    const std::uint64_t sequence = stop ? 2 : 1;
    source_.Add(Message(sequence));
    ASSERT_TRUE(Eventually([this] { return records_.HoldsAnswer(); }));
    stop ? runner_->BeginStop() : runner_->Drain();
    records_.LetAnswerGo();
    ASSERT_TRUE(source_.WaitForEvent("ack " + std::to_string(sequence)));
    EXPECT_EQ(Record()->state, JobState::kDone);
    EXPECT_EQ(Record()->interruptions, 0);
    EXPECT_TRUE(Stop());
  }
}

TEST_F(RunnerRecordsTest, AnInterruptedJobWaitsWithItsCheckpointAndPaysNothing) {
  options_.stop.stop_handlers = milliseconds(50);
  handlers_.HandleAny([this](Job& job) -> Outcome {
    ++started_;
    while (!job.StopRequested()) std::this_thread::sleep_for(milliseconds(1));
    EXPECT_TRUE(job.Checkpoint("half"));
    return Interrupted{};
  });
  source_.Add(Message(1));
  Start();
  ASSERT_TRUE(Eventually([this] { return started_ == 1; }));
  ASSERT_TRUE(Stop());
  EXPECT_THAT(source_.events(), Contains("back 1 after 0s"));
  EXPECT_EQ(Record()->state, JobState::kWaiting);
  EXPECT_EQ(Record()->checkpoint, "half");
  EXPECT_EQ(Record()->interruptions, 1);
  EXPECT_EQ(Record()->attempts, 0);
}

TEST_F(RunnerRecordsTest, AnAbandonedJobIsInterruptedAndNotCrashed) {
  options_.stop = {.stop_handlers = milliseconds(50), .give_up = milliseconds(80)};
  handlers_.HandleAny(Blocking());
  source_.Add(Message(1));
  Start();
  ASSERT_TRUE(Eventually([this] { return started_ == 1; }));
  runner_->BeginStop();
  ASSERT_TRUE(Eventually([this] { return runner_->TimeToGiveUp(); }));
  EXPECT_EQ(runner_->Abandon(), 1);
  EXPECT_EQ(Record()->state, JobState::kWaiting);
  EXPECT_EQ(Record()->interruptions, 1);
  EXPECT_THAT(source_.events(), Contains("back 1 after 0s"));
}

}  // namespace
}  // namespace lanekeeper::runner
