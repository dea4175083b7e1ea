#include "operator/local/local_platform.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <thread>

#include "operator/control/platform_contract_test.h"
#include "operator/local/testing/shell_workers.h"
#include "worker-runtime/base/testing/eventually.h"

namespace lanekeeper {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class LocalStage {
 public:
  static constexpr bool kHasWorkers = true;
  Platform& platform() { return workers_.platform(); }
  WorkerPool pool() { return workers_.Pool(); }

 private:
  ShellWorkers workers_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Local, PlatformContractTest, LocalStage);

class LocalPlatformTest : public testing::Test {
 protected:
  LocalPlatform& platform() { return workers_.platform(); }
  std::vector<std::string> Placed() {
    std::vector<std::string> names;
    const Crew crew = *platform().Workers(key_);
    for (const PlacedWorker& worker : crew.placed) {
      names.push_back(worker.name);
    }
    return names;
  }
  std::string ApplyAndAwait(const WorkerPool& pool, int replicas) {
    const auto applied = platform().Apply(pool, pool.lanes.front(), replicas);
    EXPECT_TRUE(applied) << applied.error().message;
    EXPECT_TRUE(Eventually([&] { return platform().Observe(key_)->ready == replicas; }));
    return Placed().empty() ? "" : Placed().front();
  }
  static bool Lives(pid_t pid) { return pid > 0 && kill(pid, 0) == 0; }

  ShellWorkers workers_;
  const LaneKey key_{"studio", "media", "short"};
};

TEST_F(LocalPlatformTest, ADeadWorkerIsStartedAgainUnderItsName) {
  const std::string worker = ApplyAndAwait(workers_.Pool(), 1);
  const pid_t first = workers_.PidOf(worker);
  ASSERT_TRUE(Lives(first));
  ASSERT_EQ(kill(first, SIGKILL), 0);
  ASSERT_TRUE(Eventually([&] { return workers_.PidOf(worker) != first; }));
  EXPECT_THAT(Placed(), testing::ElementsAre(worker));
  EXPECT_TRUE(Eventually([&] { return platform().Observe(key_)->ready == 1; }));
  EXPECT_GT(workers_.changes(), 0);
}

TEST_F(LocalPlatformTest, AChangedLaneRollsAndTheOldWorkerStaysUntilTheNewOneIsReady) {
  const std::string old = ApplyAndAwait(workers_.Pool(), 1);
  const pid_t pid = workers_.PidOf(old);
  // Not ready before the file "go" is there.
  const WorkerPool changed = workers_.Pool("while [ ! -e $REPORTS/../go ]; do sleep 0.02; done; " +
                                           std::string(kShellWorker));
  const auto applied = platform().Apply(changed, changed.lanes.front(), 1);
  ASSERT_TRUE(applied) << applied.error().message;
  EXPECT_TRUE(applied->rolling);
  ASSERT_TRUE(Eventually([&] { return platform().Alive() == 2; }));
  EXPECT_EQ(platform().Observe(key_)->ready, 1);
  EXPECT_TRUE(Lives(pid));
  std::ofstream(workers_.folder() + "/go") << "go";
  ASSERT_TRUE(Eventually([&] { return !Lives(pid); }));
  ASSERT_TRUE(Eventually([&] { return Placed().size() == 1 && Placed().front() != old; }));
  EXPECT_FALSE(platform().Observe(key_)->rolling);
}

TEST_F(LocalPlatformTest, OneThatIgnoresSigtermIsKilledWithAllItStartedAfterItsGrace) {
  WorkerPool pool = workers_.Pool(
      "trap '' TERM; sleep 1000 & echo $! > $REPORTS/../child; "
      "echo $$$$ > $REPORTS/$LANEKEEPER_WORKER.new; "
      "mv $REPORTS/$LANEKEEPER_WORKER.new $REPORTS/$LANEKEEPER_WORKER; while :; do wait; done");
  pool.lanes.front().workers.grace = std::chrono::milliseconds(300);
  const std::string worker = ApplyAndAwait(pool, 1);
  const pid_t pid = workers_.PidOf(worker);
  const pid_t child = workers_.PidOf("../child");
  ASSERT_TRUE(Lives(pid) && Lives(child));
  ASSERT_TRUE(platform().SetReplicas(key_, 0));
  // As long as it lives, it is one that ends.
  const std::size_t ending = platform().Workers(key_)->ending.size();
  EXPECT_TRUE(ending == 1 || !Lives(pid));
  EXPECT_TRUE(Eventually([&] { return !Lives(pid) && !Lives(child); }));
  EXPECT_TRUE(Eventually([&] { return platform().Workers(key_)->ending.empty(); }));
}

TEST_F(LocalPlatformTest, NoWorkerOutlivesThePlatform) {
  ApplyAndAwait(workers_.Pool(), 2);
  std::vector<pid_t> pids;
  for (const std::string& worker : Placed()) pids.push_back(workers_.PidOf(worker));
  workers_.Restart();
  for (const pid_t pid : pids) EXPECT_FALSE(Lives(pid));
  EXPECT_EQ(platform().Observe(key_).error().kind, ErrorKind::kNotFound);
}

TEST_F(LocalPlatformTest, EndAllGivesWorkersTheirGraceAndStartsNone) {
  const WorkerPool pool = workers_.Pool();
  ApplyAndAwait(pool, 2);
  platform().EndAll();
  EXPECT_TRUE(Eventually([&] { return platform().Alive() == 0; }));
  EXPECT_FALSE(platform().Apply(pool, pool.lanes.front(), 1));
  EXPECT_FALSE(std::filesystem::exists(workers_.folder() + "/reports/media-short"));
  EXPECT_TRUE(std::filesystem::is_empty(workers_.folder() + "/reports"));  // By their traps.
}

TEST_F(LocalPlatformTest, KillAllDoesNotWait) {
  ApplyAndAwait(workers_.Pool("trap '' TERM; echo $$$$ > $REPORTS/$LANEKEEPER_WORKER; "
                              "while :; do sleep 1000 & wait; done"),
                1);
  platform().EndAll();
  platform().KillAll();
  EXPECT_TRUE(Eventually([&] { return platform().Alive() == 0; }));
}

TEST_F(LocalPlatformTest, WhatMeansNothingHereIsSaidOncePerPool) {
  const WorkerPool pool = workers_.Pool();
  ASSERT_TRUE(platform().Apply(pool, pool.lanes.front(), 0));
  EXPECT_THAT(workers_.said, testing::ElementsAre(HasSubstr("image of the template means")));
  ASSERT_TRUE(platform().Apply(pool, pool.lanes.front(), 1));
  EXPECT_THAT(workers_.said, SizeIs(1));
}

TEST_F(LocalPlatformTest, ATemplateThatCannotBeStartedIsRefusedAndWhatRunsGoesOn) {
  const WorkerPool pool = workers_.Pool();
  const std::string worker = ApplyAndAwait(pool, 1);
  WorkerPool broken = pool;
  broken.lanes.front().template_json =
      R"({"spec":{"containers":[{"name":"w","command":["no-such-program"]}]}})";
  const auto applied = platform().Apply(broken, broken.lanes.front(), 1);
  ASSERT_FALSE(applied);
  EXPECT_EQ(applied.error().kind, ErrorKind::kInvalid);
  EXPECT_THAT(applied.error().message, HasSubstr("lane short: there is no program"));
  EXPECT_THAT(Placed(), testing::ElementsAre(worker));
  EXPECT_EQ(platform().Observe(key_)->lane_hash, LaneHash(pool.lanes.front()));
}

TEST_F(LocalPlatformTest, OutputGoesToTheLogOfTheWorker) {
  const std::string worker =
      ApplyAndAwait(workers_.Pool("echo out; echo err >&2; " + std::string(kShellWorker)), 1);
  EXPECT_TRUE(Eventually([&] {
    return ReadWholeFile(workers_.folder() + "/logs/" + worker + ".log") == "out\nerr\n";
  }));
}

TEST_F(LocalPlatformTest, StatusIsFoundAfterARestartAndGoesWithThePool) {
  const WorkerPool pool = workers_.Pool();
  const PoolStatus status{.observed_generation = 7};
  ASSERT_TRUE(platform().WriteStatus(pool, status));
  workers_.Restart();
  EXPECT_EQ(*platform().ReadStatus(pool.key), status);
  ASSERT_TRUE(platform().RemoveFinalizer(pool));
  EXPECT_THAT(workers_.let_go, testing::ElementsAre(pool.key));
  workers_.Restart();
  EXPECT_EQ(*platform().ReadStatus(pool.key), PoolStatus());
}

TEST_F(LocalPlatformTest, ARemovedLaneStaysListedUntilItsLastWorkerHasEnded) {
  const WorkerPool pool = workers_.Pool(
      "trap 'while [ ! -e $REPORTS/../go ]; do sleep 0.02; done; exit 0' TERM; "
      "echo $$$$ > $REPORTS/$LANEKEEPER_WORKER; while :; do sleep 1000 & wait; done");
  ApplyAndAwait(pool, 1);
  ASSERT_TRUE(platform().Remove(key_));
  EXPECT_THAT(*platform().List(pool.key), SizeIs(1));
  EXPECT_EQ(platform().Observe(key_).error().kind, ErrorKind::kRetryable);
  EXPECT_EQ(platform().Apply(pool, pool.lanes.front(), 1).error().kind, ErrorKind::kRetryable);
  std::ofstream(workers_.folder() + "/go") << "go";
  EXPECT_TRUE(Eventually([&] { return platform().List(pool.key)->empty(); }));
}

}  // namespace
}  // namespace lanekeeper
