#include "operator/control/reconciler.h"

#include "operator/control/reconciler_fixture.h"

namespace lanekeeper {
namespace {

using scaling::Doubt;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

TEST_F(ReconcilerTest, NewPoolGetsQueuesAndWorkloadsAtItsMinimum) {
  pool.has_finalizer = false;
  pool.lanes[1].workers.min = 2;
  EXPECT_FALSE(Pass().error.has_value());
  EXPECT_THAT(platform.writes, ElementsAre("add finalizer", "apply short 0", "apply long 2"));
  EXPECT_EQ(queues.ensured["short"], 1);
  EXPECT_EQ(probe.probed().size(), 2U);
  EXPECT_TRUE(Get("Ready").status) << Get("Ready").message;
}

TEST_F(ReconcilerTest, BurstIsOneStepAndOneWrite) {
  Pass();
  platform.writes.clear();
  probe.Set(Key("short"), Jobs(201));
  Pass();
  EXPECT_THAT(platform.writes, ElementsAre("scale short 13"));
  ASSERT_EQ(platform.events.size(), 1U);
  EXPECT_EQ(platform.events[0].reason, "ScaledUp");
  EXPECT_EQ(
      platform.events[0].message,
      "Lane short: Scaled from 0 to 13 workers: 201 jobs waiting and 0 running, 16 per worker.");
}

TEST_F(ReconcilerTest, PoolAtRestIsNeverWritten) {
  Pass();
  Wait(seconds(5));
  Pass();
  const int status_writes = platform.status_writes;
  platform.writes.clear();
  for (int n = 0; n < 500; ++n) {
    Wait(milliseconds(500));
    Pass();
  }
  EXPECT_THAT(platform.writes, IsEmpty());
  EXPECT_EQ(platform.status_writes, status_writes);
  EXPECT_EQ(queues.ensured["short"], 1);
}

TEST_F(ReconcilerTest, ScaleDownWaitsForTheWindowAndSaysWhenToLookAgain) {
  Pass();
  probe.Set(Key("short"), Jobs(160));
  Pass();
  ASSERT_EQ(Replicas("short"), 10);
  Wait(seconds(3));
  probe.Set(Key("short"), Jobs(0));
  const Reconciler::Next next = Pass();
  EXPECT_EQ(Replicas("short"), 10);
  ASSERT_TRUE(next.due.has_value());
  EXPECT_LE(*next.due, clock.Now() + seconds(15));
  Wait(seconds(11));
  Pass();
  EXPECT_EQ(Replicas("short"), 10);
  Wait(seconds(2));
  Passes();
  EXPECT_EQ(Replicas("short"), 0);
}

TEST_F(ReconcilerTest, RestartedOperatorHoldsForAWindow) {
  Pass();
  probe.Set(Key("short"), Jobs(160));
  Pass();
  probe.Set(Key("short"), Jobs(0));
  Reconciler restarted{platform, queues, probe, clock, nullptr};
  platform.writes.clear();
  restarted.Reconcile(pool);
  EXPECT_EQ(Replicas("short"), 10);
  EXPECT_THAT(platform.writes, IsEmpty()) << "what is right is not written again";
  Wait(seconds(16));
  for (int n = 0; n < 12; ++n) {
    restarted.Reconcile(pool);
    Wait(milliseconds(250));
  }
  EXPECT_EQ(Replicas("short"), 0);
}

TEST_F(ReconcilerTest, RestartedOperatorWithoutASampleChangesNothing) {
  Pass();
  probe.Set(Key("short"), Jobs(160));
  Pass();
  FakeLaneProbe silent{&platform};
  Reconciler restarted{platform, queues, silent, clock, nullptr};
  Wait(seconds(100));
  restarted.Reconcile(pool);
  Wait(seconds(100));
  restarted.Reconcile(pool);
  EXPECT_EQ(Replicas("short"), 10);
}

struct DoubtCase {
  const char* name;
  Doubt doubt;
  const char* reason;
};
class DoubtTest : public ReconcilerTest, public testing::WithParamInterface<DoubtCase> {};

TEST_P(DoubtTest, HoldsReplicasSaysWhyAndRecovers) {
  Pass();
  probe.Set(Key("short"), Jobs(160));
  Pass();
  probe.Set(Key("short"), Doubtful(GetParam().doubt));
  for (int n = 0; n < 60; ++n) {
    Wait(seconds(5));
    Pass();
    ASSERT_EQ(Replicas("short"), 10);
  }
  EXPECT_FALSE(Get("QueueReachable").status);
  EXPECT_EQ(Get("QueueReachable").reason, GetParam().reason);
  EXPECT_FALSE(Get("Ready").status);
  EXPECT_EQ(Status().lanes[0].decision_reason, "HeldByDoubt");

  probe.Set(Key("short"), Jobs(320));
  Pass();
  EXPECT_EQ(Replicas("short"), 20);
  Wait(seconds(5));
  Pass();
  EXPECT_TRUE(Get("QueueReachable").status);
  EXPECT_TRUE(Get("Ready").status);
}

INSTANTIATE_TEST_SUITE_P(
    Doubts, DoubtTest,
    testing::Values(DoubtCase{"NatsGone", Doubt::kDisconnected, "NatsDisconnected"},
                    DoubtCase{"NoAnswer", Doubt::kStale, "NoAnswer"},
                    DoubtCase{"MissingConsumer", Doubt::kConsumerMissing, "ConsumerMissing"},
                    DoubtCase{"WrongAccount", Doubt::kJetStreamOff, "JetStreamUnavailable"},
                    DoubtCase{"Refused", Doubt::kRefused, "PermissionDenied"},
                    DoubtCase{"Garbage", Doubt::kUnreadable, "UnreadableAnswer"}),
    [](const auto& test) { return test.param.name; });

// `explain` went on saying HeldByDoubt for as long as the number of workers stayed the same.
TEST_F(ReconcilerTest, TheEndOfADoubtIsSaidThoughNothingChanges) {
  probe.Set(Key("short"), Jobs(160));
  Pass();
  probe.Set(Key("short"), Doubtful(Doubt::kStale));
  Wait(seconds(5));
  Pass();
  ASSERT_EQ(Status().lanes[0].decision_reason, "HeldByDoubt");
  probe.Set(Key("short"), Jobs(160));
  Wait(seconds(5));
  Pass();
  EXPECT_EQ(Status().lanes[0].decision_reason, "OnTarget");
  EXPECT_EQ(Status().lanes[0].decision_workers, 10);
  const std::string said_at = Status().lanes[0].decision_time;
  Wait(seconds(60));
  Pass();
  EXPECT_EQ(Status().lanes[0].decision_time, said_at) << "once";
}

TEST_F(ReconcilerTest, ALaneWithoutJobsSaysWhyItHasNoWorkersOnceItIsKnown) {
  probe.Set(Key("short"), Doubtful(Doubt::kNoSampleYet));
  Pass();
  EXPECT_EQ(Status().lanes[0].decision_reason, "") << "nothing is known";
  probe.Set(Key("short"), Jobs(0));
  Wait(seconds(5));
  Pass();
  EXPECT_EQ(Status().lanes[0].decision_reason, "OnTarget");
}

TEST_F(ReconcilerTest, MissingConsumerIsSetUpAgainButNotWithEverySample) {
  Pass();
  probe.Set(Key("short"), Doubtful(Doubt::kConsumerMissing));
  for (int n = 0; n < 50; ++n) {
    Wait(milliseconds(20));
    Pass();
  }
  EXPECT_GE(queues.ensured["short"], 2);
  EXPECT_LE(queues.ensured["short"], 4);
}

TEST_F(ReconcilerTest, MissingExternalConsumerIsTheUsersAffair) {
  pool.lanes[0].queue.external = true;
  Pass();
  probe.Set(Key("short"), Doubtful(Doubt::kConsumerMissing));
  for (int n = 0; n < 50; ++n) {
    Wait(seconds(1));
    Pass();
  }
  EXPECT_EQ(queues.ensured["short"], 1);
}

TEST_F(ReconcilerTest, QueuesAreCheckedAgainAfterNatsWasGone) {
  Pass();
  probe.Set(Key("short"), Doubtful(Doubt::kDisconnected));
  Wait(seconds(1));
  Pass();
  EXPECT_EQ(queues.ensured["short"], 1) << "not while it is gone";
  probe.Set(Key("short"), Jobs(0));
  Pass();
  EXPECT_EQ(queues.ensured["short"], 2);
}

TEST_F(ReconcilerTest, QueueSetupFailureIsSaidOnceAndTriedWithBackoff) {
  queues.failure = Error{ErrorKind::kInvalid, "stream LK_x has another owner"};
  for (int n = 0; n < 100; ++n) {
    Pass();
    Wait(milliseconds(100));
  }
  EXPECT_LE(queues.ensured["short"], 3);
  EXPECT_EQ(Get("Ready").reason, "QueueSetupFailed");
  EXPECT_THAT(Get("Ready").message, testing::HasSubstr("another owner"));
  int warnings = 0;
  for (const PoolEvent& event : platform.events) warnings += event.reason == "QueueSetupFailed";
  EXPECT_EQ(warnings, 1);
}

TEST_F(ReconcilerTest, PausedPoolIsLeftAlone) {
  Pass();
  pool.paused = true;
  pool.generation = 2;
  probe.Set(Key("short"), Jobs(500));
  platform.writes.clear();
  Wait(seconds(3));
  Pass();
  EXPECT_THAT(platform.writes, IsEmpty());
  EXPECT_EQ(Get("Ready").reason, "Paused");
}

TEST_F(ReconcilerTest, PausedLaneGetsNoWorkersUntilItGoesOn) {
  LaneSample sample = Jobs(40);
  sample.paused = true;
  probe.Set(Key("short"), sample);
  Pass();
  EXPECT_EQ(Replicas("short"), 0);
  EXPECT_TRUE(Status().lanes[0].paused);
  EXPECT_EQ(Status().lanes[0].decision_reason, "LanePaused");
  EXPECT_EQ(Status().lanes[0].predicted_wait_seconds, -1);
  EXPECT_FALSE(Status().lanes[1].paused);
  EXPECT_TRUE(Get("Ready").status);
  EXPECT_EQ(Get("Ready").reason, "LanePaused");
  EXPECT_THAT(Get("Ready").message, testing::HasSubstr("Paused lanes: short."));
  EXPECT_EQ(ledger.entries.size(), 2U) << "one a lane";

  Pass();  // Not said again.
  EXPECT_EQ(ledger.entries.size(), 2U);

  sample.paused = false;
  probe.Set(Key("short"), sample);
  Wait(std::chrono::seconds(3));
  Pass();
  EXPECT_EQ(Replicas("short"), 3);
  EXPECT_FALSE(Status().lanes[0].paused);
  EXPECT_EQ(Get("Ready").reason, "Scaling");
}

TEST_F(ReconcilerTest, PausedLaneKeepsTheWorkersThatRunJobs) {
  probe.Set(Key("short"), Jobs(48));
  Pass();
  ASSERT_EQ(Replicas("short"), 3);
  LaneSample sample = Jobs(40, 20, 3, 2);
  sample.paused = true;
  probe.SetRunning(Key("short"), "short-0001", 10);
  probe.SetRunning(Key("short"), "short-0002", 10);
  probe.Set(Key("short"), sample);
  Wait(std::chrono::seconds(20));
  Passes();
  EXPECT_EQ(Replicas("short"), 2);
}

TEST_F(ReconcilerTest, ChangedTemplateIsAppliedWithoutChangingTheNumber) {
  Pass();
  probe.Set(Key("short"), Jobs(160));
  Pass();
  platform.writes.clear();
  pool.generation = 2;
  pool.lanes[0].template_json = R"({"spec":{"x":1}})";
  Pass();
  EXPECT_THAT(platform.writes, ElementsAre("apply short 10"));
}

TEST_F(ReconcilerTest, DriftIsRepairedAndNotFoughtOver) {
  Pass();
  Wait(seconds(20));
  platform.writes.clear();
  for (int n = 0; n < 100; ++n) {  // Somebody who changes it every 100 ms.
    ++platform.workloads[Key("short")].state.generation;
    Wait(milliseconds(100));
    Pass();
  }
  EXPECT_GE(platform.writes.size(), 1U);
  EXPECT_LE(platform.writes.size(), 2U);
}

TEST_F(ReconcilerTest, HandScaledWorkloadIsSetBack) {
  Pass();
  platform.workloads[Key("short")].state.replicas = 3;
  platform.Act(Key("short"));
  Wait(seconds(40));
  Pass();
  Wait(seconds(40));
  Passes();
  EXPECT_EQ(Replicas("short"), 0);
}

TEST_F(ReconcilerTest, RemovedLaneLosesItsWorkersAndKeepsItsJobs) {
  Pass();
  pool.generation = 2;
  pool.lanes.erase(pool.lanes.begin());
  Pass();
  EXPECT_EQ(platform.workloads.count(Key("short")), 0U);
  EXPECT_EQ(platform.workloads.count(Key("long")), 1U);
  EXPECT_EQ(probe.probed().count(Key("short")), 0U);
  EXPECT_THAT(queues.removed, IsEmpty());
}

TEST_F(ReconcilerTest, StatusIsWrittenAtMostEveryTwoSeconds) {
  Pass();
  const int before = platform.status_writes;
  std::optional<MonotonicTime> due;
  for (int n = 0; n < 40; ++n) {  // Four seconds of changing samples.
    Wait(milliseconds(100));
    probe.Set(Key("long"), Jobs(n % 3));
    due = Pass().due;
  }
  EXPECT_GE(platform.status_writes - before, 1);
  EXPECT_LE(platform.status_writes - before, 3);
  ASSERT_TRUE(due.has_value()) << "the last change is not forgotten";
}

TEST_F(ReconcilerTest, DeletedPoolEndsWorkersThenFinalizerAndKeepsJobs) {
  Pass();
  platform.finalizers.insert(pool.key);
  platform.workers_end_slowly = true;
  pool.deleting = true;
  platform.writes.clear();
  EXPECT_TRUE(Pass().due.has_value());
  EXPECT_THAT(platform.writes, Not(Contains("remove finalizer")));
  platform.workloads.clear();
  Pass();
  EXPECT_THAT(platform.writes, Contains("remove finalizer"));
  EXPECT_THAT(queues.removed, IsEmpty());
}

TEST_F(ReconcilerTest, DeletePolicyDeleteRemovesQueuesAfterTheWorkers) {
  Pass();
  pool.deleting = true;
  pool.delete_queues = true;
  pool.lanes[1].queue.external = true;
  platform.workers_end_slowly = true;
  Pass();
  EXPECT_THAT(queues.removed, IsEmpty());
  platform.workloads.clear();
  Pass();
  EXPECT_THAT(queues.removed, ElementsAre("short", "dead letters of media"))
      << "an external queue is never removed";
}

TEST_F(ReconcilerTest, QueueThatCannotBeRemovedKeepsTheFinalizer) {
  Pass();
  pool.deleting = true;
  pool.delete_queues = true;
  queues.failure = Error{ErrorKind::kRetryable, "NATS is not connected"};
  platform.writes.clear();
  Pass();
  EXPECT_TRUE(Pass().error.has_value());
  EXPECT_THAT(platform.writes, Not(Contains("remove finalizer")));
  queues.failure.reset();
  Pass();
  EXPECT_THAT(platform.writes, Contains("remove finalizer"));
}

TEST_F(ReconcilerTest, PlatformGoneIsARetryAndLosesNothing) {
  Pass();
  platform.failure = Error{ErrorKind::kRetryable, "connection refused"};
  probe.Set(Key("short"), Jobs(160));
  EXPECT_TRUE(Pass().error.has_value());
  platform.failure.reset();
  EXPECT_FALSE(Pass().error.has_value());
  EXPECT_EQ(Replicas("short"), 10);
}

TEST_F(ReconcilerTest, InvalidManifestIsSaidInStatusOnceAndLeavesWorkersAlone) {
  Pass();
  platform.writes.clear();
  const Error why{ErrorKind::kInvalid, "spec.lanes[0].workers.max: must be at least 1"};
  const int before = platform.status_writes;
  reconciler.ReconcileInvalid(pool.key, why);
  reconciler.ReconcileInvalid(pool.key, why);
  EXPECT_EQ(platform.status_writes, before + 1);
  EXPECT_EQ(Get("Ready").reason, "InvalidSpec");
  EXPECT_THAT(Get("Ready").message, testing::HasSubstr("spec.lanes[0].workers.max"));
  EXPECT_THAT(platform.writes, IsEmpty());
}

TEST_F(ReconcilerTest, DeadLettersAreACondition) {
  LaneSample sample = Jobs(0);
  sample.dead_letters = 2;
  probe.Set(Key("short"), sample);
  Pass();
  EXPECT_TRUE(Get("DeadLetters").status);
  EXPECT_EQ(Status().lanes[0].dead_letters, 2);
  EXPECT_EQ(platform.events.back().reason, "DeadLetters");
}

TEST(RetryDelay, PeopleHaveToActOnInvalidAndForbidden) {
  EXPECT_EQ(RetryDelay({ErrorKind::kRetryable, ""}, 1), milliseconds(100));
  EXPECT_EQ(RetryDelay({ErrorKind::kRetryable, ""}, 99), seconds(30));
  EXPECT_EQ(RetryDelay({ErrorKind::kForbidden, ""}, 1), seconds(5));
  EXPECT_EQ(RetryDelay({ErrorKind::kInvalid, ""}, 99), seconds(60));
}

}  // namespace
}  // namespace lanekeeper
