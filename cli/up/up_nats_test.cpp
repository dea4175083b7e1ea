// `lanekeeper up`: workers come and go, restarts, signals. Jobs that have to be running meanwhile
// are held by a gate, so that no machine is too slow or too fast for a test.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "cli/up/testing/up_test.h"

namespace lanekeeper::up {
namespace {

using testing::HasSubstr;

// Longer than any test: no job runs into it.
const std::string kJobs = "jobs: {timeout: 1h}, ";

TEST_F(UpTest, ScalesFromZeroAndBackToZeroAndInterruptsNobody) {
  WriteManifest(kJobs +
                "workers: {max: 3, slots: 1}, "
                "scaling: {jobsPerWorker: 1, scaleDownWindow: 1s}");
  Start();
  EXPECT_TRUE(Workers().empty());
  PublishHeld("long", "long");
  for (int n = 0; n < 5; ++n) PublishHeld("short-" + std::to_string(n), "short");
  ASSERT_TRUE(AwaitRunning(3));
  ASSERT_TRUE(AwaitSaid("workers 3/3"));
  EXPECT_EQ(Workers().size(), 3u);

  Release("short");
  ASSERT_TRUE(Await([&] { return Results().size() == 5; }));
  // The others are released while the long one runs.
  ASSERT_TRUE(Await([&] { return OnlyWorker() != 0; }));
  EXPECT_FALSE(Results().contains("long"));

  Release("long");
  ASSERT_TRUE(Await([&] { return Results().size() == 6; }));
  ASSERT_TRUE(Await([&] { return Workers().empty(); }));
  EXPECT_TRUE(Await([&] {
    const std::string& said = up_->said();
    return said.find("workers 0/0", said.rfind("workers 3/3")) != std::string::npos;
  }));
  for (const auto& [id, runs] : Results()) {
    ASSERT_EQ(runs.size(), 1u) << id;
    EXPECT_EQ(runs[0]["run"], 1) << id;
  }
  EXPECT_THAT(up_->said(), HasSubstr("studio/media: Workers are processes of this machine: image"));
  EXPECT_THAT(up_->said(), testing::Not(HasSubstr("interrupted")));
}

TEST_F(UpTest, ADeadWorkerIsStartedAgainAndItsJobRunsToItsEnd) {
  WriteManifest(kJobs + "workers: {min: 1, max: 1, slots: 1}");
  Start();
  ASSERT_TRUE(Await([&] { return OnlyWorker() != 0; }));
  const pid_t first = OnlyWorker();
  PublishHeld("job", "go");
  ASSERT_TRUE(AwaitRunning(1));
  // Of the worker itself: its supervisor, which is its parent, gives the job back.
  pid_t inner = 0;
  for (const auto& [pid, command] : Children()) {
    if (pid != first && command.starts_with("lanekeeper-example-worker")) inner = pid;
  }
  ASSERT_NE(inner, 0);
  ASSERT_EQ(kill(inner, SIGKILL), 0);
  ASSERT_TRUE(Await([&] {
    const pid_t now = OnlyWorker();
    return now != 0 && now != first;
  }));
  Release("go");
  ASSERT_TRUE(Await([&] { return !Results().empty(); }));
  EXPECT_EQ(Results()["job"].size(), 1u);
}

TEST_F(UpTest, AChangedManifestRollsWhileTheRunningJobFinishes) {
  WriteManifest(kJobs + "workers: {min: 1, max: 1, slots: 1}");
  Start();
  ASSERT_TRUE(Await([&] { return OnlyWorker() != 0; }));
  const pid_t old = OnlyWorker();
  PublishHeld("job", "go");
  ASSERT_TRUE(AwaitRunning(1));
  WriteManifest(kJobs + "workers: {min: 1, max: 1, slots: 2}");
  ASSERT_TRUE(Await([&] { return Workers().size() == 2; }));  // Side by side, as long as it runs.
  Release("go");
  ASSERT_TRUE(Await([&] {
    const pid_t now = OnlyWorker();
    return now != 0 && now != old;
  }));
  ASSERT_TRUE(Await([&] { return !Results().empty(); }));
  ASSERT_EQ(Results()["job"].size(), 1u);
  EXPECT_EQ(Results()["job"][0]["run"], 1);
}

TEST_F(UpTest, ABrokenManifestIsSaidAndWhatRunsGoesOn) {
  WriteManifest("workers: {min: 1, max: 1, slots: 1}");
  Start();
  ASSERT_TRUE(Await([&] { return OnlyWorker() != 0; }));
  const pid_t worker = OnlyWorker();
  WriteManifest("workers: {min: 1, max: 1, slots: none}");
  ASSERT_TRUE(AwaitSaid("until it is corrected"));
  EXPECT_THAT(up_->said(), HasSubstr("studio/media: the manifest is not used: spec.lanes[0]"));
  Publish("job", "sleep", "10");
  ASSERT_TRUE(Await([&] { return Results().size() == 1; }));
  EXPECT_EQ(OnlyWorker(), worker);
}

TEST_F(UpTest, ARestartWithJobsInTheQueueLosesNothing) {
  WriteManifest(kJobs + "workers: {max: 1, slots: 1}");
  Start();
  for (int n = 0; n < 2; ++n) Publish("before-" + std::to_string(n), "sleep", "10");
  PublishHeld("during", "go");
  for (int n = 0; n < 5; ++n) Publish("after-" + std::to_string(n), "sleep", "10");
  ASSERT_TRUE(Await([&] { return Results().size() == 2 && JobsLeft() == 6; }));
  ASSERT_TRUE(AwaitRunning(1));
  up_->Signal(SIGTERM);
  ASSERT_TRUE(AwaitSaid("Ctrl-C again"));
  Release("go");
  AwaitEnd();
  EXPECT_THAT(up_->said(), HasSubstr("Jobs that are not done wait in the queue"));
  Start();
  ASSERT_TRUE(Await([&] { return Results().size() == 8; }));
  for (const auto& [id, runs] : Results()) {
    ASSERT_EQ(runs.size(), 1u) << id;
    EXPECT_EQ(runs[0]["run"], 1) << id;
  }
}

TEST_F(UpTest, SigtermEndsAllChildren) {
  WriteManifest("workers: {min: 2, max: 2}");
  Start();
  ASSERT_TRUE(Await([&] { return Workers().size() == 2; }));
  const std::map<pid_t, std::string> children = Children();
  ASSERT_GE(children.size(), 3u);  // Two workers and a nats-server.
  up_->Signal(SIGTERM);
  AwaitEnd();
  for (const auto& [pid, command] : children) EXPECT_FALSE(Lives(pid)) << command;
}

TEST_F(UpTest, NoChildOutlivesAKilledUp) {
  WriteManifest("workers: {min: 2, max: 2}");
  Start();
  ASSERT_TRUE(Await([&] { return Workers().size() == 2; }));
  const std::map<pid_t, std::string> children = Children();
  up_->Signal(SIGKILL);
  ASSERT_TRUE(up_->Wait());
  EXPECT_TRUE(Await([&] {
    return std::ranges::none_of(children, [](const auto& child) { return Lives(child.first); });
  }));
}

TEST_F(UpTest, TheSecondSignalEndsARunningJobAndItStaysInTheQueue) {
  WriteManifest(kJobs + "workers: {max: 1, slots: 1}");
  Start();
  PublishHeld("job", "go");
  ASSERT_TRUE(AwaitRunning(1));
  up_->Signal(SIGINT);
  ASSERT_TRUE(AwaitSaid("Ctrl-C again"));
  EXPECT_EQ(Workers().size(), 1u);
  up_->Signal(SIGINT);
  AwaitEnd();
  Start();
  EXPECT_EQ(JobsLeft(), 1);
  Release("go");  // For when its lease is over, and a worker has it again.
}

TEST_F(UpTest, TwoOnOneFolderAreRefused) {
  WriteManifest("workers: {max: 1}");
  Start();
  Lanekeeper second(Arguments());
  const auto ended = second.Wait();
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->code, 1);
  EXPECT_THAT(second.said(), HasSubstr("process " + std::to_string(UpPid()) + " uses the folder"));
}

TEST_F(UpTest, AWrongStartIsRefusedWithTheRemedy) {
  WriteManifest("workers: {min: 5, max: 3}");
  const std::pair<std::vector<std::string>, const char*> rows[] = {
      {Arguments(), "studio/media: spec.lanes[0].workers"},
      {{"up", folder_ + "/none.yaml"}, "cannot read the manifest"},
      {{"up", folder_}, "cannot read the manifest"},
      {{"up"}, "manifest is required"},
      {{"up", "x", "--port", "1", "--nats", "nats://x"}, "excludes"},
      {{"up", "x", "--gateway-port", "70000"}, "--gateway-port"},
      {{}, "a command is missing; see `lanekeeper --help`"},
  };
  for (const auto& [arguments, problem] : rows) {
    Lanekeeper lanekeeper(arguments);
    const auto ended = lanekeeper.Wait();
    ASSERT_TRUE(ended);
    EXPECT_EQ(ended->code, 2) << problem;
    EXPECT_THAT(lanekeeper.said(), HasSubstr(problem));
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/state"));
}

}  // namespace
}  // namespace lanekeeper::up
