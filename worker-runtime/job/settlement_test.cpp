#include "worker-runtime/job/settlement.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace lanekeeper {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const SettlementPolicy kPolicy{
    .attempts_max = 5,
    .crashes_max = 2,
    .backoff = {.initial = milliseconds(1000), .max = milliseconds(6000)}};
const WallTime kNow{seconds(1'000'000)};
const WallTime kBefore{seconds(900'000)};

// ---- A run that ended ----

struct RunCounts {
  int attempts = 0;
  int crashes = 0;
  int interruptions = 0;
  bool operator==(const RunCounts&) const = default;
};
void PrintTo(const RunCounts& counts, std::ostream* out) {
  *out << counts.attempts << '/' << counts.crashes << '/' << counts.interruptions;
}

// What a dead letter says, without the counts that the row states anyway.
Settlement WithoutCounts(Settlement settlement) {
  if (auto* letter = std::get_if<DeadLetter>(&settlement)) letter->attempts = letter->crashes = 0;
  return settlement;
}

struct EndCase {
  const char* name;
  RunCounts before;
  Ending ending;
  Settlement settlement;
  JobState state;
  RunCounts after;
  std::string overrun_lane = "";
};
void PrintTo(const EndCase& row, std::ostream* out) { *out << row.name; }

class DecideSettlementTest : public testing::TestWithParam<EndCase> {};

TEST_P(DecideSettlementTest, ReturnsExpectedSettlement) {
  const EndCase& row = GetParam();
  SettlementPolicy policy = kPolicy;
  policy.overrun_lane = row.overrun_lane;
  const JobRecord record{.id = "a",
                         .attempts = row.before.attempts,
                         .crashes = row.before.crashes,
                         .interruptions = row.before.interruptions,
                         .checkpoint = "half"};
  const Decided decided = DecideSettlement(policy, record, row.ending, kNow);
  EXPECT_EQ(WithoutCounts(decided.settlement), row.settlement);
  EXPECT_EQ(decided.record.state, row.state);
  EXPECT_EQ(
      (RunCounts{decided.record.attempts, decided.record.crashes, decided.record.interruptions}),
      row.after);
  EXPECT_EQ(decided.record.ended_at, kNow);
  // Only a job that is done has no use for its checkpoint.
  EXPECT_EQ(decided.record.checkpoint, row.state == JobState::kDone ? "" : "half");
  if (const auto* letter = std::get_if<DeadLetter>(&decided.settlement)) {
    EXPECT_EQ(letter->attempts, row.after.attempts);
    EXPECT_EQ(letter->crashes, row.after.crashes);
    EXPECT_EQ(decided.record.dead_reason, letter->reason);
  }
}

const Ending kOverran{.outcome = Interrupted{}, .overran = true, .timeout = seconds(30)};
RetryAfter Retry(int ms) { return {milliseconds(ms)}; }
DeadLetter Letter(std::string reason, std::string message, std::string error_class = "") {
  return {.reason = std::move(reason),
          .message = std::move(message),
          .error_class = std::move(error_class)};
}

INSTANTIATE_TEST_SUITE_P(
    Rows, DecideSettlementTest,
    testing::Values(
        EndCase{"SuccessIsAcknowledged", {}, {Done{"ok"}}, Ack{}, JobState::kDone, {}},
        EndCase{"LateSuccessIsASuccess", {4, 1}, {Done{}}, Ack{}, JobState::kDone, {4, 1}},
        EndCase{"SuccessAfterItsTimeIsASuccess",
                {},
                {.outcome = Done{}, .overran = true},
                Ack{},
                JobState::kDone,
                {}},
        EndCase{"AResultThatIsTooLargeIsRejected",
                {},
                {Done{std::string(kResultBytesMax + 1, 'r')}},
                Letter("rejected",
                       "its result has 65537 bytes, at most 65536 are kept: store it elsewhere",
                       "result-too-large"),
                JobState::kDead,
                {1}},
        EndCase{"FirstFailureWaitsTheInitialBackoff",
                {},
                {Failed{"x"}},
                Retry(1000),
                JobState::kWaiting,
                {1}},
        EndCase{"BackoffDoubles", {1}, {Failed{"x"}}, Retry(2000), JobState::kWaiting, {2}},
        EndCase{
            "BackoffStopsAtItsMaximum", {3}, {Failed{"x"}}, Retry(6000), JobState::kWaiting, {4}},
        EndCase{"AskedForMoreTimeGetsIt",
                {},
                {Failed{.why = "busy", .retry_after = seconds(20)}},
                Retry(20000),
                JobState::kWaiting,
                {1}},
        EndCase{"AskedForLessTimeGetsTheBackoff",
                {},
                {Failed{.why = "busy", .retry_after = milliseconds(1)}},
                Retry(1000),
                JobState::kWaiting,
                {1}},
        EndCase{"LastAttemptFailed",
                {4},
                {Failed{"x", "io"}},
                Letter("attempts-used-up", "x", "io"),
                JobState::kDead,
                {5}},
        EndCase{"CrashesAndInterruptionsCostNoAttempt",
                {3, 1, 99},
                {Failed{"x"}},
                Retry(6000),
                JobState::kWaiting,
                {4, 1, 99}},
        EndCase{"RejectionIsFinalAtOnce",
                {},
                {Rejected{"no"}},
                Letter("rejected", "no"),
                JobState::kDead,
                {1}},
        EndCase{"InterruptionGoesBackAtOnceAndIsFree",
                {},
                {Interrupted{}},
                Retry(0),
                JobState::kWaiting,
                {0, 0, 1}},
        EndCase{"InterruptionNeverKills",
                {4, 1, 1000},
                {Interrupted{}},
                Retry(0),
                JobState::kWaiting,
                {4, 1, 1001}},
        EndCase{"ACrashCostsNoAttempt",
                {},
                {Crashed{"signal 9"}},
                Retry(1000),
                JobState::kWaiting,
                {0, 1}},
        EndCase{"TheLastCrashIsQuarantine",
                {0, 1},
                {Crashed{"killed by signal 11", "signal 11"}},
                Letter("crashes-used-up", "killed by signal 11", "signal 11"),
                JobState::kDead,
                {0, 2}},
        EndCase{"AnOverrunIsAFailure", {}, kOverran, Retry(1000), JobState::kWaiting, {1}},
        EndCase{"AFailureAfterTheTimeIsCalledATimeout",
                {4},
                {.outcome = Failed{"x"}, .overran = true, .timeout = seconds(30)},
                Letter("attempts-used-up", "timed out after 30s", "timeout"),
                JobState::kDead,
                {5}},
        EndCase{"AnOverrunMovesWhereThereIsALaneForIt",
                {2, 1},
                kOverran,
                MoveLane{"long"},
                JobState::kMoved,
                {2, 1},
                "long"},
        EndCase{
            "AJobThatOverrunsItsOwnTimeHasFailedInAnyLane",
            {},
            {.outcome = Interrupted{}, .overran = true, .own_time = true, .timeout = seconds(5)},
            Retry(1000),
            JobState::kWaiting,
            {1},
            "long"},
        EndCase{"WhatIsNoOverrunDoesNotMove",
                {},
                {Failed{"x"}},
                Retry(1000),
                JobState::kWaiting,
                {1},
                "long"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(DecideSettlementTest, AHugeErrorIsCut) {
  const Decided decided = DecideSettlement(kPolicy, {}, {Failed{std::string(100'000, 'e')}}, kNow);
  EXPECT_EQ(decided.record.error.size(), 2048U);
}

// ---- Runs that did not end their job ----

JobRecord RunningRecord() { return {.id = "a", .runs = 1, .worker = "w-1", .started_at = kBefore}; }

TEST(PastRunsTest, NothingIsAddedForAJobThatIsDone) {
  EXPECT_TRUE(DecideSettlement(kPolicy, RunningRecord(), {Done{}}, kNow).record.past_runs.empty());
}

TEST(PastRunsTest, NothingIsAddedForTheRunThatEndsTheJob) {
  EXPECT_TRUE(
      DecideSettlement(kPolicy, RunningRecord(), {Rejected{"no"}}, kNow).record.past_runs.empty());
}

TEST(PastRunsTest, EachSaysHowItEnded) {
  SettlementPolicy policy = kPolicy;
  policy.overrun_lane = "long";
  const auto run_of = [&](Ending ending) {
    return DecideSettlement(policy, RunningRecord(), ending, kNow).record.past_runs.at(0);
  };
  EXPECT_EQ(run_of({Failed{"x"}}), (PastRun{kBefore, kNow, "failed", "w-1", "x"}));
  EXPECT_EQ(run_of({Crashed{"y"}}), (PastRun{kBefore, kNow, "crashed", "w-1", "y"}));
  EXPECT_EQ(run_of({Interrupted{}}), (PastRun{kBefore, kNow, "interrupted", "w-1", ""}));
  EXPECT_EQ(run_of(kOverran), (PastRun{kBefore, kNow, "moved", "w-1", ""}));
}

TEST(PastRunsTest, TheLastTenAreKeptAndTheirErrorsCut) {
  SettlementPolicy policy = kPolicy;
  policy.attempts_max = 100;
  JobRecord record = RunningRecord();
  for (int n = 0; n < 12; ++n) {
    record.worker = "w-" + std::to_string(n);
    record = DecideSettlement(policy, record, {Failed{std::string(5000, 'x')}}, kNow).record;
  }
  ASSERT_EQ(record.past_runs.size(), kPastRunsMax);
  EXPECT_EQ(record.past_runs.front().worker, "w-2");
  EXPECT_EQ(record.past_runs.back().worker, "w-11");
  EXPECT_EQ(record.past_runs.back().error.size(), kPastRunErrorBytesMax);
}

TEST(DecideUnknownTypeTest, IsADeadLetter) {
  const Decided decided = DecideUnknownType({}, "flying", kNow);
  EXPECT_EQ(
      decided.settlement,
      Settlement(Letter("unknown-type", "no handler for jobs of type \"flying\"", "unknown-type")));
  EXPECT_EQ(decided.record.state, JobState::kDead);
}

// ---- A message that has arrived ----

class DecideReceiptTest : public testing::Test {
 protected:
  DecideReceiptTest() {
    message_.sequence = 7;
    message_.stored_at = kBefore;
    head_.id = "job";
    head_.type = "report";
  }
  Arrival Arrived() const { return {message_, head_, "w-2", "i-2"}; }
  Receipt Decide(const std::optional<JobRecord>& record,
                 const std::optional<JobRecord>& moved = std::nullopt) const {
    return DecideReceipt(policy_, Arrived(), record, moved, kNow);
  }
  // Of this message, as worker w-1 left it.
  JobRecord Record(JobState state) const {
    return {.id = "job",
            .type = "report",
            .state = state,
            .sequence = 7,
            .stored_at = kBefore,
            .attempts = 1,
            .runs = 2,
            .worker = "w-1",
            .instance = "i-1",
            .first_started_at = kBefore,
            .checkpoint = "half"};
  }

  SettlementPolicy policy_ = kPolicy;
  JobMessage message_;
  JobHead head_;
};

TEST_F(DecideReceiptTest, AFirstDeliveryStarts) {
  const Receipt receipt = Decide(std::nullopt);
  ASSERT_TRUE(std::holds_alternative<Start>(receipt));
  EXPECT_EQ(std::get<Start>(receipt).record, (JobRecord{.id = "job",
                                                        .type = "report",
                                                        .state = JobState::kRunning,
                                                        .sequence = 7,
                                                        .stored_at = kBefore,
                                                        .runs = 1,
                                                        .worker = "w-2",
                                                        .instance = "i-2",
                                                        .first_started_at = kNow,
                                                        .started_at = kNow}));
}

TEST_F(DecideReceiptTest, ARetryGoesOnWithItsCountsAndItsCheckpoint) {
  const Receipt receipt = Decide(Record(JobState::kWaiting));
  ASSERT_TRUE(std::holds_alternative<Start>(receipt));
  const JobRecord& record = std::get<Start>(receipt).record;
  EXPECT_EQ(record.attempts, 1);
  EXPECT_EQ(record.crashes, 0);
  EXPECT_EQ(record.runs, 3);
  EXPECT_EQ(record.worker, "w-2");
  EXPECT_EQ(record.first_started_at, kBefore);
  EXPECT_EQ(record.checkpoint, "half");
}

TEST_F(DecideReceiptTest, AWorkerThatDiedCostsACrash) {
  const Receipt receipt = Decide(Record(JobState::kRunning));
  ASSERT_TRUE(std::holds_alternative<Start>(receipt));
  EXPECT_EQ(std::get<Start>(receipt).record.crashes, 1);
  EXPECT_EQ(std::get<Start>(receipt).record.attempts, 1);
}

TEST_F(DecideReceiptTest, ARunThatLostItsWorkerIsRemembered) {
  JobRecord record = Record(JobState::kRunning);
  record.started_at = kBefore;
  const Receipt receipt = Decide(record);
  ASSERT_TRUE(std::holds_alternative<Start>(receipt));
  EXPECT_EQ(std::get<Start>(receipt).record.past_runs,
            (std::vector<PastRun>{{kBefore, kNow, "crashed", "w-1",
                                   "worker w-1 died, or lost its lease, while it ran"}}));
}

TEST_F(DecideReceiptTest, ANewLifeHasNoPastRuns) {
  JobRecord dead = Record(JobState::kDead);
  dead.sequence = 3;
  dead.past_runs = {{kBefore, kBefore, "failed", "w-1", "x"}};
  const Receipt receipt = Decide(dead);
  ASSERT_TRUE(std::holds_alternative<Start>(receipt));
  EXPECT_TRUE(std::get<Start>(receipt).record.past_runs.empty());
}

TEST_F(DecideReceiptTest, TheLastCrashIsQuarantineWithoutAnotherRun) {
  JobRecord record = Record(JobState::kRunning);
  record.crashes = 1;
  const Receipt receipt = Decide(record);
  ASSERT_TRUE(std::holds_alternative<Settle>(receipt));
  const auto& settle = std::get<Settle>(receipt);
  ASSERT_TRUE(std::holds_alternative<DeadLetter>(settle.settlement));
  EXPECT_EQ(std::get<DeadLetter>(settle.settlement).reason, "crashes-used-up");
  EXPECT_EQ(std::get<DeadLetter>(settle.settlement).message,
            "worker w-1 died, or lost its lease, while it ran");
  EXPECT_EQ(std::get<DeadLetter>(settle.settlement).crashes, 2);
  EXPECT_EQ(settle.record->state, JobState::kDead);
  // The worker may be alive after all: from here on it is not its claim any more.
  EXPECT_EQ(settle.record->instance, "i-2");
}

TEST_F(DecideReceiptTest, WhatIsDoneIsAcknowledgedAndNotRun) {
  EXPECT_EQ(Decide(Record(JobState::kDone)), Receipt(Settle{Ack{}, std::nullopt}));
}

TEST_F(DecideReceiptTest, WhatIsCancelledIsAcknowledgedAndNotRun) {
  EXPECT_EQ(Decide(Record(JobState::kCancelled)), Receipt(Settle{Ack{}, std::nullopt}));
}

// Sent again, it is a new life: somebody decided that it shall run.
TEST_F(DecideReceiptTest, AnotherMessageOfACancelledIdStarts) {
  JobRecord cancelled = Record(JobState::kCancelled);
  cancelled.sequence = 3;
  const Receipt receipt = Decide(cancelled);
  ASSERT_TRUE(std::holds_alternative<Start>(receipt));
  EXPECT_EQ(std::get<Start>(receipt).record.history.at(0).state, JobState::kCancelled);
}

// Cancelled on its way to another lane, before it was there.
TEST_F(DecideReceiptTest, AMoveThatWasCancelledBeforeItArrivedIsNotRun) {
  head_.moved_from = "short.3";
  const JobRecord cancelled{.id = "job", .state = JobState::kCancelled, .moved_from = "short.3"};
  EXPECT_EQ(Decide(cancelled), Receipt(Settle{Ack{}, std::nullopt}));
}

TEST_F(DecideReceiptTest, WhatWasDecidedButNotToldIsToldAgain) {
  JobRecord dead = Record(JobState::kDead);
  dead.dead_reason = "rejected";
  dead.error = "no";
  const Receipt receipt = Decide(dead);
  ASSERT_TRUE(std::holds_alternative<Settle>(receipt));
  EXPECT_EQ(std::get<DeadLetter>(std::get<Settle>(receipt).settlement).reason, "rejected");
  EXPECT_EQ(std::get<Settle>(receipt).record, std::nullopt);

  JobRecord moved = Record(JobState::kMoved);
  moved.moved_to = "long";
  EXPECT_EQ(Decide(moved), Receipt(Settle{MoveLane{"long"}, std::nullopt}));
}

TEST_F(DecideReceiptTest, AReplayIsANewLifeThatKeepsItsHistory) {
  JobRecord dead = Record(JobState::kDead);
  dead.sequence = 3;
  dead.attempts = 5;
  dead.dead_reason = "attempts-used-up";
  dead.ended_at = kBefore;
  const Receipt receipt = Decide(dead);
  ASSERT_TRUE(std::holds_alternative<Start>(receipt));
  const JobRecord& record = std::get<Start>(receipt).record;
  EXPECT_EQ(record.attempts, 0);
  EXPECT_EQ(record.runs, 1);
  EXPECT_EQ(record.checkpoint, "");
  EXPECT_EQ(record.history,
            (std::vector<PastLife>{{JobState::kDead, "attempts-used-up", 5, 0, kBefore}}));
}

TEST_F(DecideReceiptTest, HistoryIsBounded) {
  JobRecord dead = Record(JobState::kDead);
  dead.sequence = 3;
  dead.history.resize(kRecordHistoryMax);
  const Receipt receipt = Decide(dead);
  EXPECT_EQ(std::get<Start>(receipt).record.history.size(), kRecordHistoryMax);
}

// A stream that was deleted and made anew hands out the same sequences for other jobs.
TEST_F(DecideReceiptTest, TheSameSequenceAtAnotherTimeIsAnotherMessage) {
  JobRecord done = Record(JobState::kDone);
  done.stored_at = kBefore - seconds(1);
  EXPECT_TRUE(std::holds_alternative<Start>(Decide(done)));
}

TEST_F(DecideReceiptTest, AnIdNeverRunsTwiceAtOnce) {
  for (const JobState state : {JobState::kRunning, JobState::kWaiting}) {
    JobRecord other = Record(state);
    other.sequence = 3;
    EXPECT_EQ(Decide(other), Receipt(WaitForOther{3}));
  }
}

TEST_F(DecideReceiptTest, AMovedJobGoesOnWhereItWas) {
  head_.moved_from = "short.17";
  JobRecord before = Record(JobState::kMoved);
  before.moved_to = "long";
  before.sequence = 17;
  const Receipt receipt = Decide(std::nullopt, before);
  ASSERT_TRUE(std::holds_alternative<Start>(receipt));
  const JobRecord& record = std::get<Start>(receipt).record;
  EXPECT_EQ(record.attempts, 1);
  EXPECT_EQ(record.runs, 3);
  EXPECT_EQ(record.checkpoint, "half");
  EXPECT_EQ(record.moved_from, "short.17");
  EXPECT_EQ(record.moved_to, "");
  EXPECT_EQ(record.sequence, 7U);
}

TEST_F(DecideReceiptTest, AMoveThatWasPublishedTwiceRunsOnce) {
  head_.moved_from = "short.17";
  for (const JobState state : {JobState::kRunning, JobState::kWaiting, JobState::kDone}) {
    JobRecord first = Record(state);
    first.sequence = 6;
    first.moved_from = "short.17";
    EXPECT_EQ(Decide(first), Receipt(Settle{Ack{}, std::nullopt}));
  }
}

TEST_F(DecideReceiptTest, AJobAfterItsDeadlineIsADeadLetter) {
  head_.deadline = kNow + milliseconds(1);
  EXPECT_TRUE(std::holds_alternative<Start>(Decide(std::nullopt)));
  head_.deadline = kNow;
  const Receipt receipt = Decide(std::nullopt);
  ASSERT_TRUE(std::holds_alternative<Settle>(receipt));
  EXPECT_EQ(std::get<DeadLetter>(std::get<Settle>(receipt).settlement).reason, "deadline-passed");
}

TEST_F(DecideReceiptTest, WithFailuresOnlyARedeliveryWithoutARecordIsACrash) {
  policy_.tracking = Tracking::kFailures;
  message_.delivery = 2;
  const Receipt receipt = Decide(std::nullopt);
  ASSERT_TRUE(std::holds_alternative<Start>(receipt));
  EXPECT_EQ(std::get<Start>(receipt).record.crashes, 1);
  policy_.tracking = Tracking::kFull;
  EXPECT_EQ(std::get<Start>(Decide(std::nullopt)).record.crashes, 0);
}

// ---- Without records ----

TEST_F(DecideReceiptTest, WithoutRecordsDeliveriesAreAttempts) {
  message_.delivery = 4;
  const Receipt receipt = DecideReceiptByDelivery(kPolicy, Arrived(), kNow);
  ASSERT_TRUE(std::holds_alternative<Start>(receipt));
  const JobRecord record = std::get<Start>(receipt).record;
  EXPECT_EQ(record.attempts, 3);
  EXPECT_EQ(DecideSettlement(kPolicy, record, {Failed{"x"}}, kNow).settlement,
            Settlement(RetryAfter{milliseconds(6000)}));
}

TEST_F(DecideReceiptTest, WithoutRecordsAFailureInTheHeadroomIsFinal) {
  message_.delivery = 5 + kDeliveryHeadroom;
  const Receipt receipt = DecideReceiptByDelivery(kPolicy, Arrived(), kNow);
  ASSERT_TRUE(std::holds_alternative<Start>(receipt));
  const Decided decided =
      DecideSettlement(kPolicy, std::get<Start>(receipt).record, {Failed{"x"}}, kNow);
  EXPECT_EQ(std::get<DeadLetter>(decided.settlement).reason, "attempts-used-up");
}

TEST_F(DecideReceiptTest, WithoutRecordsTooManyDeliveriesAreCrashes) {
  message_.delivery = 5 + kDeliveryHeadroom + 1;
  head_.deadline = kNow - seconds(1);  // Deaths are more telling than the deadline.
  const Receipt receipt = DecideReceiptByDelivery(kPolicy, Arrived(), kNow);
  ASSERT_TRUE(std::holds_alternative<Settle>(receipt));
  const auto& letter = std::get<DeadLetter>(std::get<Settle>(receipt).settlement);
  EXPECT_EQ(letter.reason, "crashes-used-up");
  EXPECT_EQ(letter.message, "started 8 times and never settled: its workers died or gave it back");
}

}  // namespace
}  // namespace lanekeeper
