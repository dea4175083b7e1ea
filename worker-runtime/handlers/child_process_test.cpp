#include "worker-runtime/handlers/child_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "worker-runtime/handlers/job_lines.h"
#include "worker-runtime/handlers/lines.h"
#include "worker-runtime/handlers/testing/wait_ended.h"

namespace lanekeeper::handlers {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

class ChildProcessTest : public testing::Test {
 protected:
  // A worker has done this by the time it runs children (StopSignal).
  ChildProcessTest() {
    std::signal(SIGPIPE, SIG_IGN);
    callbacks_.term_grace = std::chrono::minutes(5);  // Whatever a loaded machine needs.
  }

  Result<ChildExit> Shell(const std::string& script, std::string_view input = "") {
    Command command{.program = "/bin/sh",
                    .arguments = {"sh", "-c", script},
                    .environment = {"PATH=/usr/bin:/bin", "MARK=here"}};
    callbacks_.on_line = [this](std::string_view line) { lines_.emplace_back(line); };
    return RunChild(command, input, callbacks_);
  }

  ChildCallbacks callbacks_;
  std::vector<std::string> lines_;
};

TEST_F(ChildProcessTest, GivesInputEnvironmentAndReadsBothOutputs) {
  const auto exit = Shell("cat; echo; echo $MARK; echo err >&2", "first\nsecond");
  ASSERT_TRUE(exit) << exit.error().message;
  EXPECT_EQ(exit->status.code, 0);
  EXPECT_EQ(exit->status.signal, 0);
  EXPECT_THAT(lines_, ElementsAre("first", "second", "here", "err"));
  EXPECT_EQ(exit->last_lines, lines_);
}

TEST_F(ChildProcessTest, ReturnsTheExitCode) { EXPECT_EQ(Shell("exit 75")->status.code, 75); }

TEST_F(ChildProcessTest, ReturnsTheSignal) {
  const auto exit = Shell("kill -9 $$");
  EXPECT_EQ(exit->status.signal, SIGKILL);
  EXPECT_FALSE(exit->stopped);
}

TEST_F(ChildProcessTest, AnInputLargerThanAnyPipeComesBackWhole) {
  std::string input;
  for (int n = 0; input.size() < 8U << 20; ++n) input += "line " + std::to_string(n) + "\n";
  const auto exit = Shell("cat", input);
  ASSERT_TRUE(exit);
  std::string output;
  for (const std::string& line : lines_) output += line + "\n";
  EXPECT_EQ(output, input);
}

TEST_F(ChildProcessTest, AChildThatReadsNothingIsNoError) {
  const auto exit = Shell("exec <&-; exit 3", std::string(4U << 20, 'x'));
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->status.code, 3);
}

TEST_F(ChildProcessTest, KeepsTheLastLinesAndBoundsEachOfThem) {
  const auto exit = Shell(
      "i=0; while [ $i -lt 50 ]; do echo $i; i=$((i+1)); done; "
      "head -c 10000 /dev/zero | tr '\\0' x");
  ASSERT_TRUE(exit);
  EXPECT_THAT(exit->last_lines, SizeIs(kLastLinesMax));
  EXPECT_EQ(exit->last_lines[kLastLinesMax - 1], std::string(kLastLineBytesMax, 'x'));
  EXPECT_EQ(exit->last_lines[0], "43");
  // 10,000 bytes without an end of line: three pieces.
  ASSERT_THAT(lines_, SizeIs(53));
  EXPECT_EQ(lines_[50].size(), kOutputLineBytesMax);
  EXPECT_EQ(lines_[52].size(), 10000 - 2 * kOutputLineBytesMax);
}

TEST_F(ChildProcessTest, IsAskedToStopAndMayCleanUp) {
  callbacks_.stop_requested = [this] { return !lines_.empty(); };
  const auto exit =
      Shell("trap 'echo cleaned; exit 7' TERM; echo ready; while :; do sleep 0.01; done");
  ASSERT_TRUE(exit);
  EXPECT_TRUE(exit->stopped);
  EXPECT_EQ(exit->status.code, 7);
  // Between them a shell may say that its own child was terminated.
  EXPECT_EQ(lines_.front(), "ready");
  EXPECT_EQ(lines_.back(), "cleaned");
}

TEST_F(ChildProcessTest, IsKilledWhenItDoesNotStop) {
  callbacks_.term_grace = std::chrono::milliseconds(100);
  callbacks_.stop_requested = [this] { return !lines_.empty(); };
  const auto exit = Shell("trap '' TERM; echo ready; while :; do sleep 0.01; done");
  ASSERT_TRUE(exit);
  EXPECT_TRUE(exit->stopped);
  EXPECT_EQ(exit->status.signal, SIGKILL);
}

TEST_F(ChildProcessTest, EverythingItStartedEndsWithIt) {
  const auto exit = Shell("sleep 1000 & echo $!");
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->status.code, 0);
  ASSERT_THAT(lines_, SizeIs(1));
  EXPECT_TRUE(WaitEnded(lines_[0]));
}

TEST_F(ChildProcessTest, ADaemonThatKeepsTheOutputOpenHoldsNobodyUp) {
  // setsid takes it out of the group; the pipe stays open behind the child's end.
  const auto exit = Shell("setsid sleep 5 & echo started");
  ASSERT_TRUE(exit);
  EXPECT_THAT(lines_, ElementsAre("started"));
}

TEST_F(ChildProcessTest, InheritsNoDescriptorOfTheWorker) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);  // Without O_CLOEXEC, as libraries do.
  const auto exit = Shell("ls /proc/self/fd");
  close(ends[0]);
  close(ends[1]);
  ASSERT_TRUE(exit);
  EXPECT_THAT(lines_, ElementsAre("0", "1", "2", "3"));  // 3 is ls reading the folder.
}

TEST_F(ChildProcessTest, InheritsTheSocketAndNothingElse) {
  callbacks_.on_job_line = [](std::string_view) { return std::string(); };
  const auto exit = Shell("ls /proc/self/fd");
  ASSERT_TRUE(exit);
  EXPECT_THAT(lines_, ElementsAre("0", "1", "2", "3", "4"));  // 4 is ls reading the folder.
}

TEST_F(ChildProcessTest, AJobLineIsAnswered) {
  callbacks_.on_job_line = [](std::string_view line) { return "<" + std::string(line) + ">\n"; };
  const auto exit = Shell("echo one >&3; read -r a <&3; echo two >&3; read -r b <&3; echo $a $b");
  ASSERT_TRUE(exit);
  EXPECT_THAT(lines_, ElementsAre("<one> <two>"));
}

TEST_F(ChildProcessTest, TheLastJobLineIsReadThoughTheChildIsGone) {
  std::vector<std::string> job_lines;
  callbacks_.on_job_line = [&job_lines](std::string_view line) {
    job_lines.emplace_back(line);
    return std::string();
  };
  ASSERT_TRUE(Shell("echo first >&3; printf last >&3"));
  EXPECT_THAT(job_lines, ElementsAre("first", "last"));
}

TEST_F(ChildProcessTest, AChildThatReadsNoAnswersIsNotHeldUp) {
  int answered = 0;
  callbacks_.on_job_line = [&answered](std::string_view) {
    ++answered;
    return std::string(1000, 'a') + "\n";
  };
  const auto exit = Shell("i=0; while [ $i -lt 3000 ]; do echo x >&3; i=$((i+1)); done; echo end");
  ASSERT_TRUE(exit);
  EXPECT_EQ(answered, 3000);
  EXPECT_THAT(lines_, ElementsAre("end"));
}

TEST_F(ChildProcessTest, AJobLineWithoutAnEndIsCut) {
  std::vector<std::size_t> sizes;
  callbacks_.on_job_line = [&sizes](std::string_view line) {
    sizes.push_back(line.size());
    return std::string();
  };
  ASSERT_TRUE(Shell("head -c 3000000 /dev/zero | tr '\\0' x >&3; echo >&3; echo next >&3"));
  EXPECT_THAT(sizes, ElementsAre(kJobLineBytesMax, 4U));
}

TEST_F(ChildProcessTest, CanBeStoppedThoughItsWorkerBlocksTheSignals) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigset_t before;
  pthread_sigmask(SIG_BLOCK, &set, &before);
  callbacks_.stop_requested = [this] { return !lines_.empty(); };
  const auto exit = Shell("echo ready; exec sleep 1000");
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->status.signal, SIGTERM);
}

TEST_F(ChildProcessTest, ManyRunAtOnce) {
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (int n = 0; n < 8; ++n) {
    threads.emplace_back([&good] {
      for (int run = 0; run < 10; ++run) {
        const Command command{.program = "/bin/sh",
                              .arguments = {"sh", "-c", "cat > /dev/null; exit 9"}};
        const auto exit = RunChild(command, std::string(200'000, 'x'), {});
        if (exit && exit->status.code == 9) ++good;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 80);
}

TEST_F(ChildProcessTest, AProgramThatCannotBeExecutedIsAnErrorWithItsCause) {
  const auto exit = RunChild({.program = "/etc/passwd", .arguments = {"x"}}, "", {});
  ASSERT_FALSE(exit);
  EXPECT_EQ(exit.error().kind, ErrorKind::kInvalid);
  EXPECT_THAT(exit.error().message, HasSubstr("executing /etc/passwd: Permission denied"));
}

TEST_F(ChildProcessTest, AnEnvironmentThatIsTooLargeIsAnError) {
  const Command command{.program = "/bin/true",
                        .arguments = {"true"},
                        .environment = {"X=" + std::string(1U << 20, 'x')}};
  const auto exit = RunChild(command, "", {});
  ASSERT_FALSE(exit);
  EXPECT_THAT(exit.error().message, HasSubstr("too long"));
}

TEST(ResolveProgramTest, LooksThroughThePath) {
  EXPECT_EQ(ResolveProgram("sh", "/nowhere:/bin").value(), "/bin/sh");
  EXPECT_EQ(ResolveProgram("/bin/sh", "").value(), "/bin/sh");
  for (const char* bad : {"", "no-such-program", "/etc/passwd", "/bin"}) {
    const auto resolved = ResolveProgram(bad, "/usr/bin:/bin");
    ASSERT_FALSE(resolved) << bad;
    EXPECT_EQ(resolved.error().kind, ErrorKind::kNotFound);
  }
}

}  // namespace
}  // namespace lanekeeper::handlers
