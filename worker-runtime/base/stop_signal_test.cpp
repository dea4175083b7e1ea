#include "worker-runtime/base/stop_signal.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <thread>

namespace lanekeeper {
namespace {

// Gives this process its own signal mask back, for the tests that follow.
class StopSignalTest : public testing::Test {
 protected:
  StopSignalTest() { pthread_sigmask(SIG_SETMASK, nullptr, &before_); }
  ~StopSignalTest() override { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

TEST_F(StopSignalTest, WaitsForEitherSignal) {
  StopSignal signals;
  kill(getpid(), SIGTERM);
  EXPECT_EQ(signals.Wait(), SIGTERM);
  kill(getpid(), SIGINT);
  EXPECT_EQ(signals.Wait(), SIGINT);
}

TEST_F(StopSignalTest, WaitForComesBackWithoutASignal) {
  StopSignal signals;
  EXPECT_EQ(signals.WaitFor(std::chrono::milliseconds(1)), std::nullopt);
  EXPECT_EQ(signals.WaitFor(std::chrono::milliseconds(0)), std::nullopt);
  kill(getpid(), SIGTERM);
  EXPECT_EQ(signals.WaitFor(std::chrono::seconds(60)), SIGTERM);
}

TEST_F(StopSignalTest, ThreadsStartedAfterwardsDoNotTakeTheSignal) {
  StopSignal signals;
  std::thread other([] { kill(getpid(), SIGTERM); });
  EXPECT_EQ(signals.Wait(), SIGTERM);
  other.join();
}

TEST_F(StopSignalTest, AClosedPipeIsAnErrorAndNotTheEnd) {
  StopSignal signals;
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  EXPECT_EQ(write(ends[1], "x", 1), -1);
  close(ends[1]);
}

TEST_F(StopSignalTest, AChildCanBeStoppedAgain) {
  StopSignal signals;
  const pid_t child = fork();
  if (child == 0) {
    UnblockStopSignals();
    while (true) pause();
  }
  kill(child, SIGTERM);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

}  // namespace
}  // namespace lanekeeper
