#include "operator/scaling/release.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace lanekeeper::scaling {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;
using Phase = CrewMember::Phase;

CrewMember Idle(std::string name) {
  return {.name = std::move(name), .state = WorkerState::kRunning};
}
CrewMember Busy(std::string name, int running = 1, seconds oldest = seconds(60)) {
  CrewMember member = Idle(std::move(name));
  member.running = running;
  member.oldest_running = oldest;
  return member;
}
CrewMember Draining(std::string name, int running = 0) {
  CrewMember member = Busy(std::move(name), running);
  member.state = WorkerState::kDraining;
  return member;
}
CrewMember Drained(std::string name, bool marked = false) {
  CrewMember member = Idle(std::move(name));
  member.state = WorkerState::kDrained;
  member.phase = Phase::kNotReady;
  member.first_to_go = marked;
  return member;
}
CrewMember Ending(std::string name, WorkerState state, int running = 0) {
  CrewMember member = Busy(std::move(name), running);
  member.state = state;
  member.ending = true;
  member.phase = Phase::kNotReady;
  return member;
}
CrewMember Starting(std::string name, bool marked = false) {
  return {.name = std::move(name), .phase = Phase::kStarting, .first_to_go = marked};
}
CrewMember NoRoom(std::string name) { return {.name = std::move(name), .phase = Phase::kNoRoom}; }
CrewMember Unheard(std::string name, bool silent) {
  return {.name = std::move(name), .silent = silent};
}

ReleasePlan Plan(int target, std::vector<CrewMember> crew, ReleaseFacts facts = {}) {
  facts.target = target;
  if (facts.replicas == 0) facts.replicas = static_cast<int>(crew.size());
  if (facts.placed == 0) facts.placed = static_cast<int>(crew.size());
  return PlanRelease(facts, std::move(crew));
}

TEST(PlanRelease, NothingOverMeansNothingToDo) {
  const ReleasePlan plan = Plan(2, {Idle("a"), Busy("b")});
  EXPECT_EQ(plan, (ReleasePlan{.replicas = 2}));
}

TEST(PlanRelease, GoingUpIsOneStep) { EXPECT_EQ(Plan(50, {Idle("a")}).replicas, 50); }

TEST(PlanRelease, IdleOnesAreDrainedBeforeBusyOnes) {
  const ReleasePlan plan = Plan(2, {Busy("a"), Idle("b"), Busy("c"), Idle("d")});
  EXPECT_THAT(plan.drain, UnorderedElementsAre("b", "d"));
  EXPECT_EQ(plan.replicas, 4) << "nobody is drained yet";
  EXPECT_EQ(plan.busy, 0);
}

TEST(PlanRelease, BusyOnesTakeNoMoreButAreNotCounted) {
  const ReleasePlan plan =
      Plan(1, {Busy("a", 1, seconds(9)), Busy("b", 1, seconds(90)), Idle("c")});
  EXPECT_THAT(plan.drain, ElementsAre("c", "b")) << "the one that has run longest ends first";
  EXPECT_EQ(plan.replicas, 3);
  EXPECT_EQ(plan.busy, 1);
  EXPECT_EQ(plan.oldest_running, seconds(90));
}

TEST(PlanRelease, DrainedIsMarkedBeforeTheNumberIsLowered) {
  const ReleasePlan plan = Plan(1, {Busy("a"), Drained("b")});
  EXPECT_THAT(plan.mark, ElementsAre("b"));
  EXPECT_EQ(plan.replicas, 2);
}

TEST(PlanRelease, LowersByExactlyTheDrainedAndMarked) {
  const ReleasePlan plan =
      Plan(1, {Busy("a"), Drained("b", true), Drained("c", true), Draining("d", 1)});
  EXPECT_EQ(plan.replicas, 2);
  EXPECT_THAT(plan.going, UnorderedElementsAre("b", "c"));
  EXPECT_THAT(plan.drain, IsEmpty()) << "d was asked already";
}

TEST(PlanRelease, DemandThatCameBackUndrains) {
  const ReleasePlan plan = Plan(3, {Busy("a"), Drained("b", true), Draining("c")});
  EXPECT_THAT(plan.undrain, UnorderedElementsAre("b", "c"));
  EXPECT_THAT(plan.unmark, ElementsAre("b"));
  EXPECT_EQ(plan.replicas, 3);
}

// It was told to end by somebody else, and does not hear an undrain.
TEST(PlanRelease, WorkerThatEndsIsNotUndrained) {
  EXPECT_EQ(Plan(3, {Busy("a"), Ending("b", WorkerState::kDraining, 1),
                     Ending("c", WorkerState::kDrained)}),
            (ReleasePlan{.replicas = 3}));
}

// Its process is about to be started anew, and would be ended with the job it fetched then.
TEST(PlanRelease, WorkerThatEndsIsNotLetGoThoughItIsDrainedAndMarked) {
  CrewMember drained = Ending("b", WorkerState::kDrained);
  drained.first_to_go = true;
  for (const int target : {0, 1}) {
    const ReleasePlan plan = Plan(target, {Busy("a"), drained});
    EXPECT_EQ(plan.replicas, 2) << target;
    EXPECT_THAT(plan.going, IsEmpty());
    EXPECT_THAT(plan.drain, testing::Not(testing::Contains("b"))) << "it drains already";
    EXPECT_THAT(plan.undrain, IsEmpty());
  }
}

TEST(PlanRelease, IdleOnesGoBeforeOnesThatEndAndThoseBeforeBusyOnes) {
  const std::vector<CrewMember> crew = {Busy("a"), Ending("b", WorkerState::kDraining, 1),
                                        Idle("c")};
  EXPECT_THAT(Plan(2, crew).drain, ElementsAre("c"));
  EXPECT_THAT(Plan(1, crew).drain, ElementsAre("c"));
  EXPECT_THAT(Plan(0, crew).drain, UnorderedElementsAre("a", "c"));
}

TEST(PlanRelease, MoreDemandThanThereAreUndrainsAndGrows) {
  const ReleasePlan plan = Plan(9, {Busy("a"), Drained("b", true)});
  EXPECT_THAT(plan.undrain, ElementsAre("b"));
  EXPECT_EQ(plan.replicas, 9);
}

// The platform has been asked for fewer and has not acted yet: a mark taken off now would make it
// take another worker.
TEST(PlanRelease, MarksStayWhileThePlatformIsStillToAct) {
  const std::vector<CrewMember> crew = {Busy("a"), Drained("b", true)};
  EXPECT_EQ(Plan(1, crew, {.replicas = 1}), (ReleasePlan{.replicas = 1, .to_release = 1}));
  const ReleasePlan back = Plan(2, crew, {.replicas = 1});
  EXPECT_THAT(back.undrain, ElementsAre("b"));
  EXPECT_THAT(back.unmark, IsEmpty());
  EXPECT_EQ(back.replicas, 2);
  EXPECT_THAT(Plan(2, crew, {.pending = true}).unmark, IsEmpty());
}

TEST(PlanRelease, NeverStartedGoBeforeAnyThatRuns) {
  const ReleasePlan plan = Plan(1, {Idle("a"), Starting("b"), NoRoom("c")});
  EXPECT_THAT(plan.mark, ElementsAre("b")) << "it may become ready in the meantime";
  EXPECT_THAT(plan.drain, IsEmpty());
  const ReleasePlan next = Plan(1, {Idle("a"), Starting("b", true), NoRoom("c")});
  EXPECT_EQ(next.replicas, 1);
}

TEST(PlanRelease, OneOfTwoWithoutRoomGoesAndTheOtherGoesOnLooking) {
  EXPECT_EQ(Plan(3, {Busy("a"), Busy("b"), NoRoom("c"), NoRoom("d")}).replicas, 3);
}

// The platform takes starting workers first: a drained one would stay in the place of a new one.
TEST(PlanRelease, DrainedStaysWhileANewOneIsStillStarting) {
  const ReleasePlan plan = Plan(1, {Drained("a", true), Starting("b")});
  EXPECT_THAT(plan.undrain, ElementsAre("a"));
  EXPECT_THAT(plan.mark, ElementsAre("b"));
  EXPECT_EQ(plan.replicas, 2);
}

// A busy worker may stop being ready before the platform has acted, and would be taken first.
TEST(PlanRelease, DrainedGoesOnlyOnceItIsNotReady) {
  CrewMember ready = Drained("b", true);
  ready.phase = Phase::kReady;
  EXPECT_EQ(Plan(1, {Busy("a"), ready}).replicas, 2);
  EXPECT_EQ(Plan(1, {Busy("a"), Drained("b", true)}).replicas, 1);
  CrewMember troubled = Busy("a");
  troubled.phase = Phase::kNotReady;
  EXPECT_EQ(Plan(1, {troubled, Drained("b", true)}).replicas, 1);
}

TEST(PlanRelease, WorkerWhoseReadinessDoesNotFollowGoesWhileAllOthersAreReady) {
  CrewMember ready = Drained("b", true);
  ready.phase = Phase::kReady;
  ready.keeps_ready = true;
  EXPECT_EQ(Plan(1, {Busy("a"), ready}).replicas, 1);
  CrewMember troubled = Busy("a");
  troubled.phase = Phase::kNotReady;
  EXPECT_EQ(Plan(1, {troubled, ready}).replicas, 2) << "the platform would take a";
}

TEST(PlanRelease, MarkedButBusyAgainHoldsTheNumber) {
  CrewMember undrained = Busy("a");
  undrained.first_to_go = true;
  EXPECT_EQ(Plan(1, {undrained, Drained("b", true)}).replicas, 2);
}

TEST(PlanRelease, WorkersNobodyHearsOfStay) {
  EXPECT_EQ(Plan(0, {Unheard("a", false)}), (ReleasePlan{.replicas = 1, .to_release = 1}));
  EXPECT_EQ(Plan(0, {Unheard("a", true)}), (ReleasePlan{.replicas = 1, .to_release = 1}))
      << "some job may be its";
}

TEST(PlanRelease, SilentWorkersGoWhenNoJobIsAnybodys) {
  const ReleaseFacts facts{.all_jobs_accounted_for = true};
  EXPECT_THAT(Plan(0, {Unheard("a", true)}, facts).mark, ElementsAre("a"));
  CrewMember marked = Unheard("a", true);
  marked.first_to_go = true;
  EXPECT_EQ(Plan(0, {marked}, facts).going, std::vector<std::string>{"a"});
}

// The platform would take from old and new workers in proportion.
TEST(PlanRelease, RolloutIsAllOrNothing) {
  const ReleaseFacts rolling{.rolling = true};
  EXPECT_EQ(Plan(1, {Busy("a"), Drained("b", true)}, rolling).replicas, 2);
  EXPECT_EQ(Plan(0, {Drained("a", true), Drained("b", true)}, rolling).going.size(), 2U);
  EXPECT_EQ(Plan(0, {Draining("a", 1), Drained("b", true)}, rolling).replicas, 2);
}

// A drained worker is not ready, and a rollout waits for its new workers to be: neither would end.
TEST(PlanRelease, NobodyIsDrainedWhileARolloutWaitsForNewWorkers) {
  const ReleaseFacts rolling{.rolling = true};
  const ReleasePlan plan =
      Plan(2, {Idle("a"), Idle("b"), Drained("c"), Draining("d"), Busy("e")}, rolling);
  EXPECT_THAT(plan.drain, IsEmpty());
  EXPECT_THAT(plan.mark, IsEmpty());
  EXPECT_THAT(plan.undrain, UnorderedElementsAre("c", "d"));
  EXPECT_EQ(plan.replicas, 5);
}

TEST(PlanRelease, ChangeThePlatformHasNotSeenYetUndrainsNobody) {
  const ReleaseFacts facts{.replicas = 2, .placed = 3, .pending = true};
  const ReleasePlan plan = Plan(1, {Busy("a"), Drained("b", true), Drained("c", true)}, facts);
  EXPECT_THAT(plan.undrain, IsEmpty());
  EXPECT_THAT(plan.unmark, IsEmpty());
  EXPECT_EQ(plan.replicas, 2) << "one change at a time";
}

TEST(PlanRelease, WorkersNotSeenYetHoldTheNumber) {
  EXPECT_EQ(Plan(1, {Busy("a"), Drained("b", true)}, {.replicas = 3, .placed = 3}).replicas, 3);
}

TEST(PlanRelease, ReplicasThatWereNeverMadeAreGivenUpAtOnce) {
  EXPECT_EQ(Plan(2, {Busy("a"), Busy("b")}, {.replicas = 9}).replicas, 2);
}

TEST(PlanRelease, MarksFewAtATime) {
  std::vector<CrewMember> crew;
  for (int n = 0; n < 100; ++n) crew.push_back(Drained("w" + std::to_string(n)));
  const ReleasePlan plan = Plan(0, crew);
  EXPECT_GE(plan.mark.size(), 1U);
  EXPECT_LE(plan.mark.size(), 20U);
}

// A platform that acts as Kubernetes does, workers that come and go as they like, and every message
// late or lost: whatever happens, no busy worker is ever taken.
class Fleet {
 public:
  explicit Fleet(unsigned seed) : random_(seed) {}

  void Step() {
    JobsComeAndGo();
    ReleaseFacts facts{.target = target_, .replicas = replicas_};
    facts.placed = static_cast<int>(workers_.size());
    facts.all_jobs_accounted_for = true;
    std::vector<CrewMember> crew;
    for (const auto& [name, worker] : workers_) crew.push_back(worker);
    const ReleasePlan plan = PlanRelease(facts, crew);
    for (const std::string& name : plan.drain) Ask(name, WorkerState::kDraining);
    for (const std::string& name : plan.undrain) Ask(name, WorkerState::kRunning);
    for (const std::string& name : plan.mark) workers_[name].first_to_go = true;
    for (const std::string& name : plan.unmark) workers_[name].first_to_go = false;
    replicas_ = plan.replicas;
    Settle();
    if (Chance(3)) PlatformActs();
  }

  void SetTarget() { target_ = static_cast<int>(random_() % 12); }
  int busy_taken() const { return busy_taken_; }
  int taken() const { return taken_; }
  void JobsEnd() {
    for (auto& [name, worker] : workers_) worker.running = 0;
    no_more_jobs_ = true;
  }
  bool AtTarget() const {
    return replicas_ == target_ && static_cast<int>(workers_.size()) == target_;
  }

 private:
  bool Chance(unsigned one_in) { return random_() % one_in == 0; }

  void Ask(const std::string& name, WorkerState state) {
    if (Chance(4)) return;  // Lost.
    workers_[name].state = state;
  }

  void JobsComeAndGo() {
    for (auto& [name, worker] : workers_) {
      // One that starts just after it was given up has its grace for the job it takes: the one gap.
      const bool given_up = worker.first_to_go && static_cast<int>(workers_.size()) > replicas_;
      if (worker.phase == Phase::kStarting && !given_up && Chance(2)) {
        worker.phase = Phase::kReady;
        worker.state = WorkerState::kRunning;
      }
      if (worker.running > 0 && Chance(3)) --worker.running;
      if (worker.state == WorkerState::kRunning && !no_more_jobs_ && Chance(3)) ++worker.running;
      if (worker.running > 0 && Chance(20)) worker.phase = Phase::kNotReady;  // Some trouble.
    }
  }

  void Settle() {
    for (auto& [name, worker] : workers_) {
      if (worker.state == WorkerState::kDraining && worker.running == 0) {
        worker.state = WorkerState::kDrained;
      }
      if (worker.state == WorkerState::kDrained && Chance(2)) worker.phase = Phase::kNotReady;
      if (worker.state == WorkerState::kRunning && worker.phase == Phase::kNotReady && Chance(2)) {
        worker.phase = Phase::kReady;
      }
    }
  }

  void PlatformActs() {
    while (static_cast<int>(workers_.size()) > replicas_) {
      const auto victim =
          std::min_element(workers_.begin(), workers_.end(), [](const auto& a, const auto& b) {
            const auto rank = [](const CrewMember& w) {
              return std::pair(w.phase == Phase::kStarting   ? 0
                               : w.phase == Phase::kNotReady ? 1
                                                             : 2,
                               !w.first_to_go);
            };
            return rank(a.second) < rank(b.second);
          });
      ++taken_;
      busy_taken_ += victim->second.running > 0 ? 1 : 0;
      workers_.erase(victim);
    }
    while (static_cast<int>(workers_.size()) < replicas_) {
      const std::string name = "w" + std::to_string(++made_);
      workers_[name] = Starting(name);
    }
  }

  std::mt19937 random_;
  std::map<std::string, CrewMember> workers_;
  int target_ = 0;
  int replicas_ = 0;
  int made_ = 0;
  int taken_ = 0;
  int busy_taken_ = 0;
  bool no_more_jobs_ = false;
};

TEST(PlanRelease, NoBusyWorkerIsEverTakenWhateverComes) {
  int taken = 0;
  for (unsigned seed = 1; seed <= 200; ++seed) {
    Fleet fleet(seed);
    for (int round = 0; round < 60; ++round) {
      fleet.SetTarget();
      for (int step = 0; step < 10; ++step) fleet.Step();
    }
    ASSERT_EQ(fleet.busy_taken(), 0) << "seed " << seed;
    taken += fleet.taken();
  }
  EXPECT_GT(taken, 1000) << "the test proves nothing when nobody goes";
}

TEST(PlanRelease, ComesToItsTargetOnceJobsEnd) {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    Fleet fleet(seed);
    for (int round = 0; round < 20; ++round) {
      fleet.SetTarget();
      for (int step = 0; step < 10; ++step) fleet.Step();
    }
    fleet.JobsEnd();
    for (int step = 0; step < 200 && !fleet.AtTarget(); ++step) fleet.Step();
    ASSERT_TRUE(fleet.AtTarget()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace lanekeeper::scaling
