#include "worker-runtime/runner/settler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <string>
#include <thread>
#include <vector>

#include "worker-runtime/runner/fake_job_source.h"

namespace lanekeeper::runner {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;

class SettlerTest : public testing::Test {
 protected:
  SettlerTest() { SetMessage({.sequence = 1}); }

  void SetMessage(JobMessage message) {
    message_ = std::move(message);
    running_ =
        std::make_shared<RunningJob>(source_, nullptr, Received{.message = message_, .lease = "1"},
                                     RunningJobLimits{}, SystemClock().Now());
  }
  Settled Settle(const Settlement& settlement) {
    return settler_.Settle(*running_, settlement, std::nullopt);
  }
  // Settles on a thread of its own, for tests that change the source meanwhile.
  std::future<Settled> SettleLater(const Settlement& settlement) {
    return std::async(std::launch::async, [this, settlement] { return Settle(settlement); });
  }

  FakeJobSource source_;
  JobMessage message_;
  std::shared_ptr<RunningJob> running_;
  Settler settler_{source_, {.kept_retry = milliseconds(3), .try_pause = milliseconds(1)}};
};

const DeadLetter kLetter{.reason = "rejected", .message = "no"};

TEST_F(SettlerTest, AcknowledgesOnce) {
  EXPECT_EQ(Settle(Ack{}), Settled::kAcknowledged);
  EXPECT_THAT(source_.events(), ElementsAre("ack 1"));
}

TEST_F(SettlerTest, TriesAgainWhenAnAckGotNoAnswer) {
  Settler patient(source_, {.try_pause = milliseconds(1), .tries_max = 100'000});
  source_.FailAcknowledge(Fail(ErrorKind::kRetryable, "timeout"));
  auto settled = std::async(std::launch::async,
                            [&] { return patient.Settle(*running_, Ack{}, std::nullopt); });
  ASSERT_TRUE(source_.WaitForEvent("refused ack 1"));
  source_.FailAcknowledge({});
  EXPECT_EQ(settled.get(), Settled::kAcknowledged);
}

TEST_F(SettlerTest, RemembersAnAckThatNobodyTook) {
  source_.FailAcknowledge(Fail(ErrorKind::kRetryable, "timeout"));
  EXPECT_EQ(Settle(Ack{}), Settled::kUntold);
  // Between two tries the lease is renewed: nobody else shall start the job meanwhile.
  EXPECT_THAT(source_.events(), ElementsAre("refused ack 1", "extend 1", "refused ack 1",
                                            "extend 1", "refused ack 1"));
  EXPECT_EQ(settler_.Recall(message_), Settlement(Ack{}));
  EXPECT_EQ(settler_.Recall(message_), std::nullopt);
}

// A stream that was deleted and made anew hands out the same sequences for other jobs.
TEST_F(SettlerTest, RecallsByTimeToo) {
  source_.FailAcknowledge(Fail(ErrorKind::kForbidden, "denied"));
  EXPECT_EQ(Settle(Ack{}), Settled::kUntold);
  message_.stored_at += milliseconds(1);  // Recall alone looks at it.
  EXPECT_EQ(settler_.Recall(message_), std::nullopt);
}

TEST_F(SettlerTest, ForgetsTheOldestWhenThereAreTooMany) {
  Settler small(source_, {.try_pause = milliseconds(1), .recalled_max = 2});
  source_.FailAcknowledge(Fail(ErrorKind::kForbidden, "denied"));
  for (std::uint64_t n = 1; n <= 3; ++n) {
    SetMessage({.sequence = n});
    EXPECT_EQ(small.Settle(*running_, Ack{}, std::nullopt), Settled::kUntold);
  }
  message_.sequence = 1;
  EXPECT_EQ(small.Recall(message_), std::nullopt);
  message_.sequence = 3;
  EXPECT_EQ(small.Recall(message_), Settlement(Ack{}));
}

TEST_F(SettlerTest, AnAckWaitsForTheConnection) {
  source_.SetConnected(false);
  source_.SetLeaseTime(milliseconds(1));  // Lost long before: the work is done all the same.
  auto settled = SettleLater(Ack{});
  EXPECT_EQ(settled.wait_for(milliseconds(120)), std::future_status::timeout);
  source_.SetConnected(true);
  EXPECT_EQ(settled.get(), Settled::kAcknowledged);
}

TEST_F(SettlerTest, AWaitEndsWithTheWorker) {
  source_.SetConnected(false);
  auto settled = SettleLater(Ack{});
  settler_.StopAt(SystemClock().Now() + milliseconds(20));
  EXPECT_EQ(settled.get(), Settled::kUntold);
}

TEST_F(SettlerTest, GivesBackAfterTheDelay) {
  EXPECT_EQ(Settle(RetryAfter{milliseconds(3)}), Settled::kGivenBack);
  EXPECT_EQ(Settle(RetryAfter{}), Settled::kGivenBack);
  EXPECT_THAT(source_.events(), ElementsAre("back 1 after 3ms", "back 1 after 0s"));
}

// The job is with somebody else by then; giving it back would take it from them.
TEST_F(SettlerTest, AJobWhoseLeaseIsLostIsNotGivenBack) {
  source_.SetLeaseTime(milliseconds(1));
  std::this_thread::sleep_for(milliseconds(5));
  EXPECT_EQ(Settle(RetryAfter{}), Settled::kUntold);
  EXPECT_EQ(Settle(kLetter), Settled::kUntold);
  EXPECT_THAT(source_.events(), ElementsAre());
}

TEST_F(SettlerTest, ADeadLetterIsStoredBeforeTheJobIsRemoved) {
  EXPECT_EQ(Settle(kLetter), Settled::kDead);
  EXPECT_THAT(source_.events(), ElementsAre("dead 1 rejected", "remove 1 rejected"));
}

TEST_F(SettlerTest, AJobWhoseDeadLetterCannotBeStoredIsKept) {
  source_.FailPutDead(Fail(ErrorKind::kNotFound, "no stream"));
  EXPECT_EQ(Settle(kLetter), Settled::kKept);
  EXPECT_THAT(source_.events(), ElementsAre("refused dead 1 rejected", "back 1 after 3ms"));
  // It comes again, and does not run again.
  EXPECT_EQ(settler_.Recall(message_), Settlement(kLetter));
}

TEST_F(SettlerTest, StoringADeadLetterIsTriedSeveralTimes) {
  source_.FailPutDead(Fail(ErrorKind::kRetryable, "stream full"));
  EXPECT_EQ(Settle(kLetter), Settled::kKept);
  EXPECT_THAT(source_.events(), ElementsAre("refused dead 1 rejected", "refused dead 1 rejected",
                                            "refused dead 1 rejected", "back 1 after 3ms"));
}

}  // namespace
}  // namespace lanekeeper::runner
