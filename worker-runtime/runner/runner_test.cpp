#include "worker-runtime/runner/runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "worker-runtime/base/testing/eventually.h"
#include "worker-runtime/runner/fake_job_source.h"

namespace lanekeeper::runner {
namespace {

using std::chrono::milliseconds;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

std::uint64_t TimesCounted(const ServiceCounts& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

class RunnerTest : public testing::Test {
 protected:
  RunnerTest() {
    options_.worker = "w-1";
    options_.policy = {.attempts_max = 5,
                       .backoff = {.initial = milliseconds(2), .max = milliseconds(2)},
                       .tracking = Tracking::kNone};
    options_.stop = {.stop_handlers = std::chrono::hours(1), .give_up = std::chrono::hours(1)};
    options_.settler = {.kept_retry = milliseconds(3), .try_pause = milliseconds(1)};
  }
  ~RunnerTest() override { release_ = true; }

  void Start() {
    runner_ = std::make_unique<Runner>(options_, handlers_, source_, records_, metrics_,
                                       [this](const WorkerReport& report) {
                                         const std::lock_guard lock(mutex_);
                                         reports_.push_back(report);
                                       });
    runner_->Start();
  }
  bool Stop() {
    runner_->BeginStop();
    return Eventually([this] { return runner_->Stopped(); });
  }
  void Add(std::uint64_t sequence, int delivery = 1, Headers headers = {}) {
    JobMessage message;
    message.stream = "S";
    message.sequence = sequence;
    message.delivery = delivery;
    message.headers = std::move(headers);
    source_.Add(std::move(message));
  }
  // Runs until the test says so.
  Handler Blocking() {
    return [this](Job&) -> Outcome {
      ++started_;
      while (!release_) std::this_thread::sleep_for(milliseconds(1));
      return Done{};
    };
  }
  // Runs until it is told to stop.
  Handler Obedient(Outcome outcome) {
    return [this, outcome](Job& job) -> Outcome {
      ++started_;
      while (!job.StopRequested() && !release_) std::this_thread::sleep_for(milliseconds(1));
      return outcome;
    };
  }
  // The dead letter of `sequence`, once there is one.
  DeadLetter WaitDead(std::uint64_t sequence) {
    DeadLetter letter;
    EXPECT_TRUE(Eventually([&] {
      for (const auto& [message, stored] : source_.dead()) {
        if (message.sequence == sequence) letter = stored;
      }
      return !letter.reason.empty();
    }));
    return letter;
  }
  std::vector<WorkerReport> reports() {
    const std::lock_guard lock(mutex_);
    return reports_;
  }

  FakeJobSource source_;
  RecordStore* records_ = nullptr;
  HandlerRegistry handlers_;
  prometheus::Registry registry_;
  RunnerMetrics metrics_{registry_, {"a", "b", "c"}};
  RunnerOptions options_;
  std::atomic<int> started_{0};
  std::atomic<bool> release_{false};
  std::mutex mutex_;
  std::vector<WorkerReport> reports_;
  std::unique_ptr<Runner> runner_;
};

TEST_F(RunnerTest, RunsEachJobOnceAndNeverMoreThanItsSlots) {
  options_.slots = 4;
  std::atomic<int> now{0};
  std::atomic<int> most{0};
  std::atomic<bool> first{true};
  handlers_.HandleAny([&](Job&) -> Outcome {
    const int running = ++now;
    for (int seen = most; seen < running && !most.compare_exchange_weak(seen, running);) {
    }
    // The first one waits for another one beside it.
    const bool alone = first.exchange(false);
    EXPECT_TRUE(!alone || Eventually([&] { return most >= 2; }));
    std::this_thread::sleep_for(milliseconds(1));
    --now;
    return Done{};
  });
  for (std::uint64_t n = 1; n <= 200; ++n) Add(n);
  Start();
  EXPECT_TRUE(source_.WaitFor([](const auto& events) { return events.size() >= 200; }));
  EXPECT_TRUE(Stop());
  std::vector<std::string> expected{"withdraw"};
  for (int n = 1; n <= 200; ++n) expected.push_back("ack " + std::to_string(n));
  EXPECT_THAT(source_.events(), testing::UnorderedElementsAreArray(expected));
  EXPECT_LE(source_.largest_fetch(), 4);
  EXPECT_GE(most, 2);
  EXPECT_LE(most, 4);
}

TEST_F(RunnerTest, FetchesNothingWhileEverySlotIsBusy) {
  options_.slots = 2;
  handlers_.HandleAny(Blocking());
  for (std::uint64_t n = 1; n <= 5; ++n) Add(n);
  Start();
  ASSERT_TRUE(Eventually([&] { return started_ == 2; }));
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_EQ(started_, 2);
  release_ = true;
  EXPECT_TRUE(Eventually([&] { return started_ == 5; }));
}

TEST_F(RunnerTest, AFreedSlotIsFetchedForAtOnce) {
  options_.slots = 2;
  options_.fetch_timeout = std::chrono::hours(1);
  handlers_.HandleAny(Blocking());
  Add(1);
  Start();
  ASSERT_TRUE(Eventually([&] { return started_ == 1 && source_.last_fetch() == 1; }));
  release_ = true;
  EXPECT_TRUE(Eventually([&] { return source_.last_fetch() == 2; }));
}

TEST_F(RunnerTest, AFailureGoesBackAfterItsBackoff) {
  handlers_.HandleAny([](Job&) -> Outcome { return Failed{"later"}; });
  Add(1);
  Start();
  EXPECT_TRUE(source_.WaitForEvent("back 1 after 2ms"));
}

TEST_F(RunnerTest, TheLastFailureIsADeadLetter) {
  handlers_.HandleAny([](Job&) -> Outcome { return Failed{"for good"}; });
  Add(1, 5);
  Start();
  EXPECT_TRUE(source_.WaitForEvent("remove 1 attempts-used-up"));
  EXPECT_THAT(source_.events(),
              ElementsAre("dead 1 attempts-used-up", "remove 1 attempts-used-up"));
  EXPECT_EQ(WaitDead(1).message, "for good");
}

TEST_F(RunnerTest, AnExceptionIsAFailureAndTheWorkerGoesOn) {
  handlers_.Handle("std", [](Job&) -> Outcome { throw std::runtime_error("no disk"); });
  handlers_.Handle("int", [](Job&) -> Outcome { throw 7; });
  handlers_.Handle("good", [](Job&) -> Outcome { return Done{}; });
  Add(1, 5, {{"Lk-Type", "std"}});
  Add(2, 5, {{"Lk-Type", "int"}});
  Add(3, 1, {{"Lk-Type", "good"}});
  Start();
  EXPECT_EQ(WaitDead(1).message, "no disk");
  EXPECT_THAT(WaitDead(2).message, HasSubstr("no std::exception"));
  EXPECT_TRUE(source_.WaitForEvent("ack 3"));
}

TEST_F(RunnerTest, SomeJobsDieWithoutRunning) {
  handlers_.Handle("known", [this](Job&) -> Outcome {
    ++started_;
    return Done{};
  });
  Add(1, 1, {{"Lk-Type", "known"}, {"Lk-Deadline", "soon"}});
  Add(2, 1, {{"Lk-Type", "other"}});
  Add(3, 1, {{"Lk-Type", "known"}, {"Lk-Deadline", "2020-01-01T00:00:00Z"}});
  Add(4, 5 + kDeliveryHeadroom + 1, {{"Lk-Type", "known"}});
  Start();
  EXPECT_EQ(WaitDead(1).reason, "undecodable");
  EXPECT_EQ(WaitDead(2).reason, "unknown-type");
  EXPECT_EQ(WaitDead(3).reason, "deadline-passed");
  EXPECT_EQ(WaitDead(4).reason, "crashes-used-up");
  EXPECT_EQ(started_, 0);
  // A worker that died or was drained a few times has not used up the job.
  Add(5, 5 + kDeliveryHeadroom, {{"Lk-Type", "known"}});
  EXPECT_TRUE(source_.WaitForEvent("ack 5"));
}

TEST_F(RunnerTest, TheLeaseOfABusyHandlerIsRenewedUntilItsSettlement) {
  source_.SetLeaseTime(milliseconds(60));
  options_.report_interval = milliseconds(10);
  handlers_.HandleAny(Blocking());
  Add(1);
  Start();
  EXPECT_TRUE(source_.WaitFor([](const auto& events) {
    return std::count(events.begin(), events.end(), "extend 1") >= 4;
  }));
  release_ = true;
  ASSERT_TRUE(source_.WaitForEvent("ack 1"));
  // Who looks after the leases may have begun a round with this one: its second report without it
  // comes in a later round.
  const auto idle = [this] {
    const std::vector<WorkerReport> said = reports();
    const auto first = std::find_if(said.rbegin(), said.rend(),
                                    [](const auto& report) { return report.running > 0; });
    return first != said.rend() && first - said.rbegin() >= 2;
  };
  ASSERT_TRUE(Eventually(idle));
  const auto events = source_.events();
  std::this_thread::sleep_for(milliseconds(100));
  EXPECT_EQ(source_.events(), events);
}

TEST_F(RunnerTest, AJobThatTakesTooLongIsToldToStopAndFails) {
  options_.limits.timeout = milliseconds(30);
  handlers_.HandleAny(Obedient(Interrupted{}));
  Add(1, 5);
  Start();
  const DeadLetter letter = WaitDead(1);
  EXPECT_EQ(letter.reason, "attempts-used-up");
  EXPECT_EQ(letter.message, "timed out after 30ms");
}

TEST_F(RunnerTest, AJobThatIsDoneAfterAllIsDone) {
  options_.limits.timeout = milliseconds(30);
  handlers_.HandleAny(Obedient(Done{}));
  Add(1, 5);
  Start();
  EXPECT_TRUE(source_.WaitForEvent("ack 1"));
}

TEST_F(RunnerTest, AHandlerThatIgnoresTheEndOfItsTimeCountsAsStuck) {
  source_.SetLeaseTime(milliseconds(60));
  options_.limits = {.timeout = milliseconds(10), .patience = milliseconds(50)};
  handlers_.HandleAny(Blocking());
  Add(1);
  Start();
  EXPECT_TRUE(Eventually([&] { return runner_->EverySlotStuck(); }));
  const auto renewals = source_.events().size();
  std::this_thread::sleep_for(milliseconds(150));
  EXPECT_EQ(source_.events().size(), renewals);  // The lease is left to run out.
  release_ = true;
  // It is done, whoever has the lease by now.
  EXPECT_TRUE(source_.WaitForEvent("ack 1"));
  EXPECT_TRUE(Eventually([&] { return !runner_->EverySlotStuck(); }));
}

TEST_F(RunnerTest, ComingBackInterruptedUnaskedIsAFailure) {
  handlers_.HandleAny([](Job&) -> Outcome { return Interrupted{}; });
  Add(1, 5);
  Start();
  EXPECT_THAT(WaitDead(1).message, HasSubstr("without having been told"));
}

TEST_F(RunnerTest, ADrainFinishesRunningJobsAndGivesBackTheRestAtOnce) {
  options_.slots = 2;
  handlers_.HandleAny(Blocking());
  Add(1);
  Add(2);
  JobMessage in_flight;
  in_flight.sequence = 3;
  source_.AddInFlight(in_flight);
  Start();
  ASSERT_TRUE(Eventually([&] { return started_ == 2; }));
  Add(4);  // Stays where it is.
  runner_->BeginStop();
  runner_->BeginStop();
  EXPECT_EQ(runner_->NotReady(), "draining");
  ASSERT_TRUE(source_.WaitForEvent("back 3 after 0s"));
  EXPECT_FALSE(runner_->Stopped());
  release_ = true;
  EXPECT_TRUE(Eventually([&] { return runner_->Stopped(); }));
  EXPECT_THAT(source_.events(),
              testing::UnorderedElementsAre("withdraw", "back 3 after 0s", "ack 1", "ack 2"));
  EXPECT_EQ(started_, 2);
}

TEST_F(RunnerTest, AtTheEndOfTheGraceHandlersAreToldToStopAndTheirJobsGoBackAtOnce) {
  options_.stop.stop_handlers = milliseconds(50);
  options_.policy.attempts_max = 1;  // An interruption is no failure.
  handlers_.HandleAny(Obedient(Interrupted{}));
  Add(1);
  Start();
  ASSERT_TRUE(Eventually([&] { return started_ == 1; }));
  EXPECT_TRUE(Stop());
  EXPECT_THAT(source_.events(), ElementsAre("withdraw", "back 1 after 0s"));
}

TEST_F(RunnerTest, AHandlerThatDoesNotStopLosesItsJobToTheNextWorker) {
  options_.stop = {.stop_handlers = milliseconds(50), .give_up = milliseconds(100)};
  handlers_.HandleAny(Blocking());
  Add(1);
  Start();
  ASSERT_TRUE(Eventually([&] { return started_ == 1; }));
  runner_->BeginStop();
  ASSERT_TRUE(Eventually([&] { return runner_->TimeToGiveUp(); }));
  EXPECT_FALSE(runner_->Stopped());
  EXPECT_EQ(runner_->Abandon(), 1);
  EXPECT_THAT(source_.events(), Contains("back 1 after 0s"));
  // Not the last one, should who reports have been behind: the process is about to end.
  EXPECT_THAT(reports(), Contains(testing::Field(&WorkerReport::state, WorkerState::kStopped)));
}

TEST_F(RunnerTest, AJobWhoseAckWasLostIsAcknowledgedAgainAndNotRunAgain) {
  handlers_.HandleAny([this](Job&) -> Outcome {
    ++started_;
    return Done{};
  });
  source_.FailAcknowledge(Fail(ErrorKind::kForbidden, "denied"));
  Add(1);
  Start();
  ASSERT_TRUE(source_.WaitForEvent("refused ack 1"));
  // It was refused twice, without and with waiting for the answer, and left at that.
  ASSERT_TRUE(Eventually([&] { return runner_->Report().running == 0; }));
  source_.FailAcknowledge({});
  Add(1, 2);
  EXPECT_TRUE(source_.WaitForEvent("ack 1"));
  EXPECT_EQ(started_, 1);
}

TEST_F(RunnerTest, AKeptDeadLetterIsStoredLaterWithItsOwnReasonAndNotRunAgain) {
  handlers_.HandleAny([this](Job&) -> Outcome {
    ++started_;
    return Rejected{"bad"};
  });
  source_.FailPutDead(Fail(ErrorKind::kNotFound, "no stream"));
  Add(1);
  Start();
  ASSERT_TRUE(source_.WaitForEvent("back 1 after 3ms"));
  source_.FailPutDead({});
  Add(1, 2);
  const DeadLetter letter = WaitDead(1);
  EXPECT_EQ(letter.reason, "rejected");
  EXPECT_EQ(letter.message, "bad");
  EXPECT_TRUE(source_.WaitForEvent("remove 1 rejected"));
  EXPECT_EQ(started_, 1);
}

TEST_F(RunnerTest, ReportsEveryChangeAndItsEnd) {
  options_.slots = 3;
  handlers_.Handle("", Blocking());
  handlers_.Handle("bad", [](Job&) -> Outcome { return Rejected{"no"}; });
  Start();
  ASSERT_TRUE(Eventually([&] { return !reports().empty(); }));
  EXPECT_EQ(reports().front(), (WorkerReport{.worker = "w-1", .slots = 3}));
  Add(1);
  EXPECT_TRUE(Eventually([&] { return reports().back().running == 1; }));
  Add(2, 1, {{"Lk-Type", "bad"}});
  EXPECT_TRUE(Eventually([&] { return reports().back().dead == 1; }));
  release_ = true;
  EXPECT_TRUE(Eventually([&] { return reports().back().done == 1; }));
  ASSERT_TRUE(Stop());
  WorkerReport last = reports().back();
  EXPECT_EQ(TimesCounted(last.service), 2U);
  EXPECT_EQ(last.types.size(), 2U);
  last.service = {};
  last.types = {};
  EXPECT_EQ(last, (WorkerReport{.worker = "w-1",
                                .state = WorkerState::kStopped,
                                .ending = true,
                                .slots = 3,
                                .done = 1,
                                .failed = 1,
                                .dead = 1}));
}

TEST_F(RunnerTest, CountsTheTimeOfHandlersThatCameToTheirOwnEnd) {
  options_.slots = 3;
  options_.stop.stop_handlers = milliseconds(50);
  handlers_.HandleAny([](Job&) -> Outcome { return Done{}; });
  handlers_.Handle("fails", [](Job&) -> Outcome { return Failed{"no"}; });
  handlers_.Handle("slow", [](Job&) -> Outcome {
    std::this_thread::sleep_for(milliseconds(20));
    return Done{};
  });
  handlers_.Handle("interrupted", Obedient(Interrupted{}));
  handlers_.Handle("fails-when-told", Obedient(Failed{"was told to stop"}));
  Add(1);
  Add(2, 1, {{"Lk-Type", "fails"}});
  Add(3, 1, {{"Lk-Type", "slow"}});
  Add(4, 1, {{"Lk-Type", "interrupted"}});
  Add(5, 1, {{"Lk-Type", "fails-when-told"}});
  Start();
  ASSERT_TRUE(source_.WaitFor([](const auto& events) { return events.size() >= 3; }));
  ASSERT_TRUE(Eventually([&] { return started_ == 2; }));
  ASSERT_TRUE(Stop());
  const ServiceCounts service = reports().back().service;
  EXPECT_EQ(TimesCounted(service), 3U);
  const std::size_t slow = ServiceBucketOf(milliseconds(20));
  EXPECT_GE(std::accumulate(service.begin() + static_cast<std::ptrdiff_t>(slow), service.end(),
                            std::uint64_t{0}),
            1U);
}

TEST_F(RunnerTest, CountsEachTypeAndSaysSoWithItsPeriodicReportsOnly) {
  options_.report_interval = std::chrono::hours(1);
  handlers_.HandleAny([](Job&) -> Outcome { return Done{}; });
  Start();
  ASSERT_TRUE(Eventually([&] { return !reports().empty(); }));
  for (int n = 1; n <= 5; ++n) Add(n, 1, {{"Lk-Type", n == 3 ? "film" : "thumbnail"}});
  Add(6);
  ASSERT_TRUE(Eventually([&] { return reports().back().done == 6; }));
  // The one at the start was the periodic one.
  for (const WorkerReport& report : reports()) EXPECT_TRUE(report.types.empty());
  EXPECT_TRUE(runner_->Report().types.empty());
  ASSERT_TRUE(Stop());
  const std::vector<TypeService> types = reports().back().types;
  ASSERT_EQ(types.size(), 3U);
  EXPECT_EQ(types[0].type, "thumbnail");
  EXPECT_EQ(JobsIn(types[0].service), 4U);
  EXPECT_EQ(types[1].type, "");
  EXPECT_EQ(types[2].type, "film");
}

TEST_F(RunnerTest, APeriodicReportComesThoughChangesMakeReportsAllTheTime) {
  options_.report_interval = milliseconds(300);
  handlers_.HandleAny([](Job&) -> Outcome { return Done{}; });
  Start();
  int job = 0;
  EXPECT_TRUE(Eventually([&] {
    Add(++job, 1, {{"Lk-Type", "thumbnail"}});
    const std::vector<WorkerReport> said = reports();
    return std::any_of(said.begin(), said.end(),
                       [](const WorkerReport& report) { return !report.types.empty(); });
  }));
}

TEST_F(RunnerTest, AJobWhoseTimeWasOverCountsUnlessItGoesOnInAnotherLane) {
  options_.limits.timeout = milliseconds(20);
  options_.policy.attempts_max = 1;
  handlers_.HandleAny(Obedient(Interrupted{}));
  Add(1);
  Start();
  EXPECT_EQ(WaitDead(1).reason, "attempts-used-up");
  ASSERT_TRUE(Stop());
  EXPECT_EQ(TimesCounted(reports().back().service), 1U);
}

TEST_F(RunnerTest, SaysSinceWhenItsOldestJobRuns) {
  options_.report_interval = milliseconds(10);
  handlers_.HandleAny(Blocking());
  Start();
  Add(1);
  EXPECT_TRUE(
      Eventually([&] { return runner_->Report().oldest_running >= std::chrono::seconds(1); }));
  release_ = true;
  EXPECT_TRUE(Eventually([&] {
    return runner_->Report().running == 0 && runner_->Report().oldest_running.count() == 0;
  }));
}

TEST_F(RunnerTest, AChangeOfStateDoesNotWaitForTheNextReport) {
  options_.report_interval = std::chrono::hours(1);
  options_.report_pause = std::chrono::hours(1);
  handlers_.HandleAny(Blocking());
  Start();
  ASSERT_TRUE(Eventually([&] { return !reports().empty(); }));
  for (int n = 0; n < 3; ++n) {
    runner_->Drain();
    EXPECT_TRUE(Eventually([&] { return reports().back().state == WorkerState::kDrained; }));
    runner_->Undrain();
    EXPECT_TRUE(Eventually([&] { return reports().back().state == WorkerState::kRunning; }));
  }
}

TEST_F(RunnerTest, ChangesInsideThePauseMakeOneReport) {
  options_.report_interval = std::chrono::hours(1);
  options_.report_pause = std::chrono::hours(1);
  handlers_.HandleAny([](Job&) -> Outcome { return Done{}; });
  Start();
  ASSERT_TRUE(Eventually([&] { return !reports().empty(); }));
  for (std::uint64_t n = 1; n <= 20; ++n) Add(n);
  EXPECT_TRUE(Eventually([&] { return runner_->Report().done == 20; }));
  EXPECT_EQ(reports().size(), 1U);
  ASSERT_TRUE(Stop());
  EXPECT_EQ(reports().back().done, 20);
}

TEST_F(RunnerTest, WhoIsToldAndWhoAsksHearTheSameOrder) {
  handlers_.HandleAny(Blocking());
  Start();
  // So slow that the next report would be heard first.
  const auto say = [this](const WorkerReport& report) {
    std::this_thread::sleep_for(milliseconds(5));
    const std::lock_guard lock(mutex_);
    reports_.push_back(report);
  };
  for (int n = 0; n < 20; ++n) {
    const std::size_t before = reports().size();
    runner_->Drain();
    runner_->ReportTo(say);
    ASSERT_TRUE(Eventually([&] { return reports().back().state == WorkerState::kDrained; }));
    const auto all = reports();
    // Once drained, nothing that was true before comes after it.
    const auto drained =
        std::find_if(all.begin() + static_cast<std::ptrdiff_t>(before), all.end(),
                     [](const auto& one) { return one.state == WorkerState::kDrained; });
    for (auto later = drained; later != all.end(); ++later) {
      ASSERT_EQ(later->state, WorkerState::kDrained) << n;
    }
    runner_->Undrain();
    ASSERT_TRUE(Eventually([&] { return reports().back().state == WorkerState::kRunning; }));
  }
}

TEST_F(RunnerTest, ReportsAgainThoughNothingChanges) {
  options_.report_interval = milliseconds(10);
  handlers_.HandleAny(Blocking());
  Start();
  EXPECT_TRUE(Eventually([&] { return reports().size() >= 5; }));
}

TEST_F(RunnerTest, IsReadyOnceItFetches) {
  handlers_.HandleAny([](Job&) -> Outcome { return Done{}; });
  source_.FailFetch(Fail(ErrorKind::kNotFound, "no consumer workers"));
  Start();
  EXPECT_TRUE(Eventually([&] { return runner_->NotReady() == "no consumer workers"; }));
  source_.FailFetch({});
  Add(1);
  EXPECT_TRUE(source_.WaitForEvent("ack 1"));
  EXPECT_TRUE(Eventually([&] { return runner_->NotReady().empty(); }));
  source_.SetConnected(false);
  EXPECT_EQ(runner_->NotReady(), "not connected to NATS");
}

TEST(PlanStopTest, LeavesTimeToStopAndToSay) {
  const StopPlan usual = PlanStop(milliseconds(40000));
  EXPECT_EQ(usual.stop_handlers, milliseconds(32000));
  EXPECT_EQ(usual.give_up, milliseconds(39000));
  const StopPlan tight = PlanStop(milliseconds(4000));
  EXPECT_EQ(tight.stop_handlers, milliseconds(3000));
  EXPECT_EQ(tight.give_up, milliseconds(3500));
}

}  // namespace
}  // namespace lanekeeper::runner
