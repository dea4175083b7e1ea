#include "worker-runtime/runner/running_job.h"

#include <gtest/gtest.h>

#include "worker-runtime/runner/fake_job_source.h"

namespace lanekeeper::runner {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// The time is an argument, so each test says exactly what happens when.
class RunningJobTest : public testing::Test {
 protected:
  RunningJobTest() { source_.SetLeaseTime(seconds(30)); }

  MonotonicTime At(milliseconds after_start) const { return start_ + after_start; }
  std::size_t Renewals() const { return source_.events().size(); }

  const MonotonicTime start_ = FakeClock().Now();
  FakeJobSource source_;
  const std::shared_ptr<RunningJob> job_ = Started();

 private:
  std::shared_ptr<RunningJob> Started() {
    auto job = std::make_shared<RunningJob>(source_, nullptr, Received{.lease = "1"},
                                            RunningJobLimits{.patience = seconds(15)}, start_);
    job->HandlerStarts(start_, seconds(100));
    return job;
  }
};

TEST_F(RunningJobTest, RenewsWhenAThirdOfTheLeaseIsOver) {
  EXPECT_EQ(job_->Watch(At(milliseconds(9999))), At(seconds(10)));
  EXPECT_EQ(Renewals(), 0U);
  EXPECT_EQ(job_->Watch(At(seconds(10))), At(seconds(20)));
  EXPECT_EQ(Renewals(), 1U);
  EXPECT_EQ(job_->Watch(At(seconds(19))), At(seconds(20)));
  EXPECT_EQ(Renewals(), 1U);
}

TEST_F(RunningJobTest, TriesAgainSoonWhenARenewalFailed) {
  source_.SetConnected(false);
  EXPECT_EQ(job_->Watch(At(seconds(10))), At(milliseconds(10250)));
  EXPECT_EQ(job_->Watch(At(milliseconds(10250))), At(milliseconds(10500)));
  source_.SetConnected(true);
  EXPECT_EQ(job_->Watch(At(milliseconds(10500))), At(milliseconds(20500)));
  EXPECT_EQ(Renewals(), 1U);
}

TEST_F(RunningJobTest, KnowsWhenSomebodyElseMayHaveTheJob) {
  source_.SetConnected(false);
  job_->Watch(At(seconds(10)));
  EXPECT_FALSE(job_->LeaseLost(At(seconds(30))));
  EXPECT_TRUE(job_->LeaseLost(At(milliseconds(30001))));
  source_.SetConnected(true);
  job_->RenewNow(At(seconds(29)));
  EXPECT_FALSE(job_->LeaseLost(At(seconds(59))));
}

// A renewal behind a retry would turn its delay into a whole ack_wait.
TEST_F(RunningJobTest, NoRenewalFollowsASettlement) {
  job_->StopRenewing();
  job_->Watch(At(seconds(10)));
  job_->Watch(At(seconds(40)));
  EXPECT_EQ(Renewals(), 0U);
}

TEST_F(RunningJobTest, IsToldToStopWhenItsTimeIsOverAndStuckWhenItDoesNot) {
  EXPECT_EQ(job_->Watch(At(milliseconds(99'999))), At(seconds(100)));
  EXPECT_FALSE(job_->StopRequested());
  job_->Watch(At(seconds(100)));
  EXPECT_TRUE(job_->StopRequested());
  EXPECT_TRUE(job_->TimedOut());
  EXPECT_FALSE(job_->Stuck());
  const std::size_t renewals = Renewals();
  job_->Watch(At(seconds(115)));
  EXPECT_TRUE(job_->Stuck());
  job_->Watch(At(seconds(200)));
  EXPECT_EQ(Renewals(), renewals);
}

TEST_F(RunningJobTest, AnOrderToStopIsNoTimeout) {
  job_->RequestStop();
  EXPECT_TRUE(job_->StopRequested());
  EXPECT_FALSE(job_->TimedOut());
}

}  // namespace
}  // namespace lanekeeper::runner
