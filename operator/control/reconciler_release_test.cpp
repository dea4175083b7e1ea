// Scaling down, budget, room and shields: the reconciler against a platform and workers that act as
// the real ones do.
#include "operator/control/reconciler_fixture.h"

namespace lanekeeper {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::UnorderedElementsAre;

class ReleaseTest : public ReconcilerTest {
 protected:
  ReleaseTest() {
    Lane& lane = pool.lanes[1];
    lane.lane_class = LaneClass::kLong;
    lane.workers.slots = 1;
    lane.scaling = {.jobs_per_worker = 1, .scale_down_window = seconds(10)};
    pool.lanes.erase(pool.lanes.begin());
  }

  static std::string Worker(int n) {
    char name[32];
    std::snprintf(name, sizeof name, "long-%04d", n);
    return name;
  }
  // Five workers, the first `busy` of which have a job, and the window is over.
  void FiveWith(int busy, int waiting = 0) {
    probe.Set(Key("long"), Jobs(5));
    Pass();
    ASSERT_EQ(Replicas("long"), 5);
    for (int n = 1; n <= 5; ++n) probe.SetRunning(Key("long"), Worker(n), n <= busy ? 1 : 0);
    probe.Set(Key("long"), Jobs(waiting, busy, 5, busy));
    Pass();
    Wait(seconds(11));
    platform.writes.clear();
    probe.TakeTold();
  }
  std::vector<std::string> Ended() {
    std::vector<std::string> names;
    for (const EndingWorker& worker : platform.crews[Key("long")].ending) {
      names.push_back(worker.name);
    }
    return names;
  }
  void ExpectBusyOnesStay(int busy) {
    for (int n = 1; n <= busy; ++n) EXPECT_THAT(Ended(), Not(Contains(Worker(n))));
  }
};

TEST_F(ReleaseTest, IdleWorkersGoThroughEveryStepAndBusyOnesStay) {
  FiveWith(2);
  Pass();
  EXPECT_THAT(probe.TakeTold(),
              UnorderedElementsAre("drain long-0003", "drain long-0004", "drain long-0005"));
  EXPECT_THAT(platform.writes, IsEmpty()) << "nothing before they are drained";
  Passes(1);
  EXPECT_THAT(platform.writes, Contains("mark long-0003 first"));
  EXPECT_THAT(platform.writes, Not(Contains("scale long 2"))) << "a mark needs a moment";
  Passes();
  EXPECT_EQ(Replicas("long"), 2);
  EXPECT_THAT(Ended(), UnorderedElementsAre(Worker(3), Worker(4), Worker(5)));
  EXPECT_EQ(counts.released, 3);
  EXPECT_EQ(counts.interrupted, 0);
}

// The platform's parts hear of a mark and of the number on different ways.
TEST_F(ReleaseTest, NumberIsNotLoweredInTheSameMomentAsTheMark) {
  FiveWith(2);
  Pass();
  Pass();
  ASSERT_THAT(platform.writes, Contains("mark long-0003 first"));
  Wait(milliseconds(50));
  const Reconciler::Next next = Pass();
  EXPECT_EQ(Replicas("long"), 5);
  ASSERT_TRUE(next.due.has_value());
  EXPECT_LE(*next.due, clock.Now() + milliseconds(150));
  Wait(milliseconds(150));
  Pass();
  EXPECT_EQ(Replicas("long"), 2);
}

TEST_F(ReleaseTest, MaxLoweredUnderFullLoadTakesNoMoreJobsAndEndsNone) {
  pool.lanes[0].workers.max = 5;
  FiveWith(5, /*waiting=*/90);
  pool.generation = 2;
  pool.lanes[0].workers.max = 2;
  Passes();
  EXPECT_EQ(Replicas("long"), 5);
  EXPECT_EQ(probe.TakeTold().size(), 3U) << "three take no more";
  EXPECT_EQ(Status().lanes[0].release, "0 of 3 released, 3 busy, oldest for 00:01:10");
  EXPECT_EQ(Status().lanes[0].decision_reason, "HeldByBusy");
  EXPECT_THAT(Status().lanes[0].decision_message, HasSubstr("3 busy"));
  probe.SetRunning(Key("long"), Worker(1), 0);
  Passes();
  EXPECT_EQ(Replicas("long"), 4);
  EXPECT_THAT(Ended(), ElementsAre(Worker(1)));
}

TEST_F(ReleaseTest, DemandThatComesBackUndrainsBeforeItStartsAnything) {
  FiveWith(1);
  Pass();
  ASSERT_EQ(probe.TakeTold().size(), 4U);
  probe.Set(Key("long"), Jobs(2, 1, 5, 1));
  Pass();
  EXPECT_THAT(probe.TakeTold(), testing::SizeIs(2));
  EXPECT_EQ(Replicas("long"), 5);
  Passes();
  EXPECT_EQ(Replicas("long"), 3);
}

// People drain a worker (`lanekeeper workers drain`) while the lane needs all it has.
TEST_F(ReleaseTest, WorkerThatSomebodyToldToEndIsLeftAloneAndNotReplaced) {
  pool.lanes[0].workers.max = 5;
  FiveWith(5, /*waiting=*/90);
  probe.End(Key("long"), Worker(1));
  Passes();
  probe.SetRunning(Key("long"), Worker(1), 0);
  Passes();
  EXPECT_THAT(probe.TakeTold(), IsEmpty()) << "neither undrained nor drained once more";
  EXPECT_THAT(platform.writes, IsEmpty()) << "neither marked nor replaced";
  EXPECT_EQ(counts.interrupted, 0);
}

// Its pod is as drained as one that may go, and its next process would be cut with a new job.
TEST_F(ReleaseTest, WorkerThatEndsIsReleasedOnlyAfterItWasStartedAnewAndDrained) {
  FiveWith(0);
  probe.End(Key("long"), Worker(1));
  Passes();
  EXPECT_EQ(Replicas("long"), 1) << "the other four";
  EXPECT_THAT(Ended(), Not(Contains(Worker(1))));
  EXPECT_THAT(probe.TakeTold(), Not(Contains("drain long-0001")));

  probe.StartAnew(Key("long"), Worker(1));
  Passes();
  EXPECT_THAT(probe.TakeTold(), Contains("drain long-0001"));
  EXPECT_EQ(Replicas("long"), 0);
  EXPECT_EQ(counts.interrupted, 0);
}

TEST_F(ReleaseTest, WorkerThatDoesNotHearIsAskedAgainAtABoundedRate) {
  FiveWith(4);
  probe.workers_obey = false;
  for (int n = 0; n < 40; ++n) {
    Pass();
    Wait(milliseconds(50));
  }
  const auto told = probe.TakeTold();
  EXPECT_THAT(told, Each("drain long-0005"));
  EXPECT_GE(told.size(), 2U);
  EXPECT_LE(told.size(), 3U);
  EXPECT_EQ(Replicas("long"), 5);
}

TEST_F(ReleaseTest, WorkerThatStopsReportingIsNotTaken) {
  FiveWith(0);
  probe.SetSilent(Worker(1));
  LaneSample sample = Jobs(0, 1, 4, 0);
  sample.jobs_running = 0;  // The one unacknowledged job may be its.
  probe.Set(Key("long"), sample);
  Wait(seconds(60));
  Passes();
  EXPECT_EQ(Replicas("long"), 1);
  EXPECT_THAT(Ended(), Not(Contains(Worker(1))));
}

// It is not ready: if the platform is slow to hear of the others, it takes this one.
TEST_F(ReleaseTest, NumberIsLoweredWithMoreCareWhileASilentWorkerIsNotReady) {
  FiveWith(0);
  probe.SetSilent(Worker(1));
  platform.Find(Key("long"), Worker(1))->phase = PlacedWorker::Phase::kNotReady;
  LaneSample sample = Jobs(0, 1, 4, 0);
  sample.jobs_running = 0;
  probe.Set(Key("long"), sample);
  for (int n = 0; n < 7; ++n) {
    Pass();
    Wait(milliseconds(250));
    ASSERT_EQ(Replicas("long"), 5) << n;
  }
  Passes();
  EXPECT_EQ(Replicas("long"), 1);
  EXPECT_THAT(Ended(), Not(Contains(Worker(1))));
}

TEST_F(ReleaseTest, SilentWorkerTakenInPlaceOfADrainedOneIsCountedWhileAJobMayBeIts) {
  FiveWith(0);
  probe.SetSilent(Worker(1));
  LaneSample sample = Jobs(0, 1, 4, 0);
  sample.jobs_running = 0;
  probe.Set(Key("long"), sample);
  platform.acts = false;
  Passes(24);
  ASSERT_EQ(Replicas("long"), 1);
  Crew& crew = platform.crews[Key("long")];
  for (const int victim : {1, 3, 4, 5}) {
    std::erase_if(crew.placed, [&](const PlacedWorker& w) { return w.name == Worker(victim); });
    crew.ending.push_back({Worker(victim), {}});
  }
  Pass();
  EXPECT_EQ(counts.interrupted, 1);
}

TEST_F(ReleaseTest, WorkersThatNeverReportGoWhenTheLaneIsEmpty) {
  FiveWith(0);
  for (int n = 1; n <= 5; ++n) probe.SetSilent(Worker(n));
  probe.Set(Key("long"), Jobs(0));
  Wait(seconds(60));
  Passes();
  EXPECT_EQ(Replicas("long"), 0);
}

TEST_F(ReleaseTest, DrainedWorkerWhoseReadinessDoesNotFollowGoesAfterAWhile) {
  probe.readiness_follows = false;
  FiveWith(4);
  Passes();
  EXPECT_EQ(Replicas("long"), 5);
  Passes(30);
  EXPECT_EQ(Replicas("long"), 4);
  EXPECT_THAT(Ended(), ElementsAre(Worker(5)));
}

// Drained or busy, the platform has never seen them ready, and calls them starting for good.
TEST_F(ReleaseTest, WorkersThatWereNeverReadyAndReportAreReleasedLikeOthers) {
  platform.new_workers_are = PlacedWorker::Phase::kStarting;
  FiveWith(2);
  Passes(24);
  EXPECT_EQ(Replicas("long"), 2);
  ExpectBusyOnesStay(2);
}

TEST_F(ReleaseTest, RolloutUnderWayHoldsTheNumber) {
  FiveWith(2);
  platform.workloads[Key("long")].state.rolling = true;
  Passes();
  EXPECT_EQ(Replicas("long"), 5);
  platform.workloads[Key("long")].state.rolling = false;
  Passes();
  EXPECT_EQ(Replicas("long"), 2);
}

TEST_F(ReleaseTest, MarkThatCannotBeSetLowersNothingAndStillLetsTheLaneGrow) {
  FiveWith(2);
  platform.mark_failure = Error{ErrorKind::kRetryable, "429 too many requests"};
  Passes();
  EXPECT_EQ(Replicas("long"), 5);
  EXPECT_TRUE(Pass().error.has_value());
  probe.Set(Key("long"), Jobs(7, 2, 5, 2));
  Pass();
  EXPECT_EQ(Replicas("long"), 9);
  platform.mark_failure.reset();
  Passes();
  EXPECT_FALSE(Pass().error.has_value());
}

TEST_F(ReleaseTest, NatsGoneInTheMiddleHoldsEverything) {
  FiveWith(2);
  Pass();
  probe.TakeTold();
  probe.Set(Key("long"), Doubtful(scaling::Doubt::kDisconnected));
  platform.writes.clear();
  Passes();
  EXPECT_THAT(platform.writes, IsEmpty());
  EXPECT_THAT(probe.TakeTold(), IsEmpty());
  probe.Set(Key("long"), Jobs(0, 2, 5, 2));
  Passes(60);  // What was held counts as demand for another window.
  EXPECT_EQ(Replicas("long"), 2);
  ExpectBusyOnesStay(2);
}

// The platform takes somebody else, against its own rules.
TEST_F(ReleaseTest, BusyWorkerTakenInPlaceOfADrainedOneIsCountedAndSaid) {
  FiveWith(2);
  platform.acts = false;
  Passes();
  ASSERT_EQ(Replicas("long"), 2);
  Crew& crew = platform.crews[Key("long")];
  for (const int victim : {1, 4, 5}) {
    std::erase_if(crew.placed, [&](const PlacedWorker& w) { return w.name == Worker(victim); });
    crew.ending.push_back({Worker(victim), {}});
  }
  Pass();
  EXPECT_EQ(counts.interrupted, 1);
  EXPECT_TRUE(std::ranges::any_of(platform.events, [](const PoolEvent& event) {
    return event.reason == "JobsInterrupted" && event.warning;
  }));
  Passes();
  EXPECT_EQ(counts.interrupted, 1) << "once";
}

TEST_F(ReleaseTest, TwoLanesAtOnceDoNotMixTheirWorkers) {
  Lane other = pool.lanes[0];
  other.name = "more";
  pool.lanes.push_back(other);
  probe.Set(Key("more"), Jobs(5));
  FiveWith(2);
  probe.SetRunning(Key("more"), "more-0001", 1);
  probe.Set(Key("more"), Jobs(0, 1, 5, 1));
  Passes();
  Wait(seconds(11));
  Passes(24);
  EXPECT_EQ(Replicas("long"), 2);
  EXPECT_EQ(Replicas("more"), 1);
  EXPECT_EQ(platform.crews[Key("more")].placed[0].name, "more-0001");
  ExpectBusyOnesStay(2);
}

// An operator that dies after any pass of a release leaves it to its successor.
class RestartTest : public ReleaseTest, public testing::WithParamInterface<int> {};

TEST_P(RestartTest, NextOperatorGoesOnAndCutsNobody) {
  FiveWith(2);
  platform.acts = GetParam() % 2 == 0;
  Passes(GetParam());
  Reconciler next{platform, queues, probe, clock, &counts};
  for (int n = 0; n < 80; ++n) {
    next.Reconcile(pool);
    if (n % 3 == 0) platform.Act(Key("long"));
    Wait(milliseconds(250));
  }
  EXPECT_EQ(Replicas("long"), 2);
  EXPECT_EQ(platform.crews[Key("long")].placed.size(), 2U);
  ExpectBusyOnesStay(2);
  EXPECT_EQ(counts.interrupted, 0);
}

INSTANTIATE_TEST_SUITE_P(AfterPass, RestartTest, testing::Range(0, 10));

TEST_F(ReleaseTest, ObservedLaneIsDecidedAndRecordedAndLeftAlone) {
  pool.lanes[0].scaling.mode = ScalingMode::kObserve;
  probe.Set(Key("long"), Jobs(7));
  Passes(40);
  EXPECT_THAT(platform.writes, ElementsAre("apply long 0"));
  EXPECT_THAT(platform.events, IsEmpty());
  EXPECT_EQ(Status().lanes[0].decision_message,
            "Would scale from 0 to 7 workers: 7 jobs waiting and 0 running, 1 per worker.");
  ASSERT_EQ(ledger.entries.size(), 1U) << "said once";
  EXPECT_TRUE(ledger.entries[0].observed_only);
  platform.workloads[Key("long")].state.replicas = 4;  // Somebody else scales.
  ++platform.workloads[Key("long")].state.generation;
  Passes(80);
  EXPECT_EQ(Replicas("long"), 4);
}

TEST_F(ReleaseTest, LedgerHasWhatEveryChangeWasMadeFrom) {
  FiveWith(2);
  Passes();
  ASSERT_GE(ledger.entries.size(), 2U);
  for (const LedgerEntry& entry : ledger.entries) {
    EXPECT_EQ(scaling::DecideWorkers(entry.policy, entry.observation), entry.decided);
  }
  EXPECT_EQ(ledger.entries.back().applied.workers, 2);
  EXPECT_THAT(ledger.entries.back().sentence, HasSubstr("Scaled from 5 to 2 workers"));
}

TEST_F(ReleaseTest, BudgetIsSharedInOrderAndNeverExceeded) {
  pool.budget.workers = 6;
  Lane later = pool.lanes[0];
  later.name = "more";
  pool.lanes.push_back(later);
  probe.Set(Key("long"), Jobs(0));
  probe.Set(Key("more"), Jobs(9));
  Pass();
  EXPECT_EQ(Replicas("more"), 6);
  for (int n = 1; n <= 6; ++n) {
    char name[32];
    std::snprintf(name, sizeof name, "more-%04d", n);
    probe.SetRunning(Key("more"), name, n <= 2 ? 1 : 0);
  }
  probe.Set(Key("more"), Jobs(7, 2, 6, 2));
  probe.Set(Key("long"), Jobs(5));
  for (int n = 0; n < 30; ++n) {
    Pass();
    Wait(milliseconds(250));
    ASSERT_LE(Replicas("long") + Replicas("more"), 6);
  }
  EXPECT_EQ(Replicas("long"), 4) << "all that the other lane could give back";
  EXPECT_EQ(Replicas("more"), 2);
  EXPECT_EQ(Get("ScalingLimited").reason, "CappedByBudget");
}

TEST_F(ReleaseTest, LaneThatCannotBeSeenLeavesTheBudgetAlone) {
  pool.budget.workers = 6;
  Lane later = pool.lanes[0];
  later.name = "more";
  pool.lanes.push_back(later);
  probe.Set(Key("more"), Jobs(9));
  Pass();
  platform.workloads[Key("more")].state.replicas = 2;
  platform.observe_failures = 1;
  EXPECT_TRUE(Pass().error.has_value());
  EXPECT_EQ(Replicas("more"), 2) << "what the first lane has of the budget is not known";
  Pass();
  EXPECT_EQ(Replicas("more"), 6);
}

TEST_F(ReleaseTest, NoRoomIsSaidInThePlatformsWordsAndStopsTheGrowth) {
  platform.new_workers_are = PlacedWorker::Phase::kNoRoom;
  probe.Set(Key("long"), Jobs(4));
  Pass();
  for (PlacedWorker& worker : platform.crews[Key("long")].placed) {
    worker.why = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.";
    worker.since = clock.Now();
  }
  Passes(24);
  EXPECT_TRUE(Get("CapacityShort").status);
  EXPECT_THAT(Get("CapacityShort").message, HasSubstr("Insufficient nvidia.com/gpu"));
  EXPECT_EQ(Status().lanes[0].workers_unschedulable, 4);
  probe.Set(Key("long"), Jobs(5));
  Pass();
  EXPECT_EQ(Replicas("long"), 5) << "they may still find room";
  Wait(seconds(40));
  probe.Set(Key("long"), Jobs(9));
  Passes();
  EXPECT_EQ(Replicas("long"), 5);
  EXPECT_EQ(Status().lanes[0].decision_reason, "HeldByCapacity");
  for (PlacedWorker& worker : platform.crews[Key("long")].placed) {
    worker.phase = PlacedWorker::Phase::kReady;
  }
  Passes();
  EXPECT_EQ(Replicas("long"), 9);
  EXPECT_FALSE(Get("CapacityShort").status && Status().lanes[0].workers_unschedulable == 0);
}

// A pool whose workers never reached NATS was Ready, and nothing said otherwise.
TEST_F(ReleaseTest, WorkersThatAreNeverHeardOfAreACondition) {
  probe.Set(Key("long"), Jobs(4));
  Pass();
  for (PlacedWorker& worker : platform.crews[Key("long")].placed) worker.since = clock.Now();
  Wait(seconds(110));
  Pass();
  EXPECT_TRUE(Get("WorkersReporting").status) << "they may still start";
  Wait(seconds(15));
  Passes();
  EXPECT_FALSE(Get("WorkersReporting").status);
  EXPECT_EQ(Get("WorkersReporting").reason, "NoReports");
  EXPECT_THAT(Get("WorkersReporting").message, HasSubstr("reported: long."));
  EXPECT_TRUE(Get("Ready").status) << "the lane is sampled and scaled";
  const auto warned = [this] {
    return std::ranges::count_if(platform.events, [](const PoolEvent& event) {
      return event.reason == "NoReports" && event.warning;
    });
  };
  EXPECT_EQ(warned(), 1);
  Wait(seconds(60));
  Passes();
  EXPECT_EQ(warned(), 1) << "said once";

  LaneSample pulled = Jobs(4);
  pulled.open_pulls = 4;
  probe.Set(Key("long"), pulled);
  Wait(seconds(5));
  Passes();
  EXPECT_TRUE(Get("WorkersReporting").status) << "somebody asks for jobs";
}

TEST_F(ReleaseTest, BusyWorkersOfLongLanesAreShieldedAndOnlyWhileBusy) {
  FiveWith(2);
  Passes();
  EXPECT_TRUE(platform.Find(Key("long"), Worker(1))->marks.shielded);
  EXPECT_TRUE(platform.Find(Key("long"), Worker(2))->marks.shielded);
  pool.lanes[0].workers.min = 2;
  probe.SetRunning(Key("long"), Worker(1), 0);
  probe.Set(Key("long"), Jobs(0, 1, 2, 1));
  Passes(8);
  EXPECT_TRUE(platform.Find(Key("long"), Worker(1))->marks.shielded) << "between two jobs";
  Passes(60);
  EXPECT_FALSE(platform.Find(Key("long"), Worker(1))->marks.shielded);
  EXPECT_TRUE(platform.Find(Key("long"), Worker(2))->marks.shielded);
}

TEST_F(ReleaseTest, ShieldsAreWrittenAtABoundedRate) {
  pool.lanes[0].workers.max = 200;
  probe.Set(Key("long"), Jobs(200));
  Pass();
  for (int n = 1; n <= 200; ++n) probe.SetRunning(Key("long"), Worker(n), 1);
  probe.Set(Key("long"), Jobs(0, 200, 200, 200));
  platform.writes.clear();
  for (int n = 0; n < 50; ++n) {
    Pass();
    Wait(milliseconds(100));  // Five seconds.
  }
  EXPECT_GE(platform.writes.size(), 60U);
  EXPECT_LE(platform.writes.size(), 85U);
}

TEST_F(ReleaseTest, ShortLanesAreNotShielded) {
  pool.lanes[0].lane_class = LaneClass::kShort;
  FiveWith(5);
  Passes();
  EXPECT_THAT(platform.writes, IsEmpty());
}

}  // namespace
}  // namespace lanekeeper
