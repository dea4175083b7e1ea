#include "operator/local/local_lane.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace lanekeeper {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;
using Phase = PlacedWorker::Phase;

// Processes and workers that do what they are told, and what the test says.
class LocalLaneTest : public testing::Test {
 protected:
  static LocalTemplate Template(const std::string& hash, bool old_first = false) {
    LocalTemplate made{.lane_hash = hash, .old_first = old_first};
    made.command.words = {"worker"};
    made.command.grace = seconds(40);
    return made;
  }
  // Starts and tells to end what is due; "start a", "term a", "kill a".
  std::vector<std::string> Obey() {
    std::vector<std::string> done;
    for (const WorkerOrder& order : lane_.TakeOrders(now_)) {
      const bool start = order.what == WorkerOrder::What::kStart;
      done.push_back((start                                         ? "start "
                      : order.what == WorkerOrder::What::kTerminate ? "term "
                                                                    : "kill ") +
                     order.worker);
      if (start) hashes_[order.worker] = order.lane_template->lane_hash;
    }
    return done;
  }
  void Report(const std::vector<std::string>& names, WorkerState state = WorkerState::kRunning) {
    for (const std::string& name : names) reported_[name] = {name, state};
    See();
  }
  void See() {
    std::vector<ReportedWorker> reported;
    for (auto& [name, said] : reported_) {
      said.heard_at = now_;
      reported.push_back(said);
    }
    lane_.See(reported, now_);
  }
  void End(const std::string& name) {
    reported_.erase(name);
    lane_.OnEnded(name, now_);
  }
  std::vector<std::string> Placed() const {
    std::vector<std::string> names;
    const Crew crew = lane_.Workers();
    for (const PlacedWorker& worker : crew.placed) names.push_back(worker.name);
    return names;
  }
  std::vector<std::string> Ending() const {
    std::vector<std::string> names;
    const Crew crew = lane_.Workers();
    for (const EndingWorker& worker : crew.ending) names.push_back(worker.name);
    return names;
  }
  Phase PhaseOf(const std::string& name) const {
    return FindWorker(lane_.Workers().placed, name)->phase;
  }
  // `count` workers of template "1", ready.
  void SetUpReady(int count, bool old_first = false) {
    lane_.Apply(Template("1", old_first), count, now_);
    Obey();
    Report(Placed());
    ASSERT_EQ(lane_.State().ready, count);
  }

  MonotonicTime now_ = MonotonicTime(seconds(1000));
  char next_ = 'a';
  LocalLane lane_{[this] { return std::string(1, next_++); }};
  std::map<std::string, ReportedWorker> reported_;
  std::map<std::string, std::string> hashes_;
};

TEST_F(LocalLaneTest, WorkersAreStartedAndReadyWhenTheySaySo) {
  EXPECT_TRUE(lane_.Apply(Template("1"), 2, now_));
  EXPECT_THAT(Obey(), ElementsAre("start a", "start b"));
  EXPECT_THAT(Obey(), IsEmpty());
  EXPECT_EQ(lane_.State().placed, 2);
  EXPECT_EQ(lane_.State().ready, 0);
  now_ += milliseconds(300);
  Report({"b"});
  EXPECT_EQ(lane_.State().ready, 1);
  EXPECT_EQ(PhaseOf("a"), Phase::kStarting);
  EXPECT_EQ(PhaseOf("b"), Phase::kReady);
  EXPECT_EQ(lane_.Workers().placed[1].cold_start, milliseconds(300));
  Report({"b"}, WorkerState::kDrained);
  EXPECT_EQ(PhaseOf("b"), Phase::kNotReady);
}

TEST_F(LocalLaneTest, NothingChangedIsNoNewGeneration) {
  EXPECT_TRUE(lane_.Apply(Template("1"), 1, now_));
  const std::int64_t generation = lane_.State().generation;
  EXPECT_FALSE(lane_.Apply(Template("1"), 1, now_));
  EXPECT_FALSE(lane_.SetReplicas(1, now_));
  EXPECT_EQ(lane_.State().generation, generation);
  EXPECT_TRUE(lane_.SetReplicas(2, now_));
  EXPECT_NE(lane_.State().generation, generation);
}

TEST_F(LocalLaneTest, FewerTakeTheMarkedThenTheUnreadyThenTheYoungest) {
  SetUpReady(3);
  now_ += seconds(1);
  lane_.SetReplicas(5, now_);
  Obey();
  Report({"d"});  // e is not ready.
  ASSERT_TRUE(lane_.Mark("b", {.first_to_go = true}));
  lane_.SetReplicas(4, now_);
  EXPECT_THAT(Ending(), ElementsAre("b"));
  lane_.SetReplicas(3, now_);
  EXPECT_THAT(Ending(), ElementsAre("b", "e"));
  lane_.SetReplicas(2, now_);
  EXPECT_THAT(Ending(), ElementsAre("b", "d", "e"));
  EXPECT_THAT(Placed(), ElementsAre("a", "c"));
  EXPECT_THAT(Obey(), UnorderedElementsAre("term b", "term d", "term e"));
  EXPECT_FALSE(lane_.Mark("b", {}));
}

TEST_F(LocalLaneTest, AWorkerWithoutAProcessIsGoneAtOnce) {
  lane_.Apply(Template("1"), 2, now_);
  lane_.SetReplicas(0, now_);
  EXPECT_EQ(lane_.Workers(), Crew());
  EXPECT_THAT(Obey(), IsEmpty());
}

TEST_F(LocalLaneTest, OneThatDoesNotEndIsKilledWhenItsGraceIsOver) {
  SetUpReady(1);
  lane_.SetReplicas(0, now_);
  EXPECT_THAT(Obey(), ElementsAre("term a"));
  EXPECT_EQ(lane_.NextDue(), now_ + seconds(40));
  now_ += seconds(39);
  EXPECT_THAT(Obey(), IsEmpty());
  now_ += seconds(1);
  EXPECT_THAT(Obey(), ElementsAre("kill a"));
  EXPECT_THAT(Obey(), IsEmpty());
  EXPECT_THAT(Ending(), ElementsAre("a"));
  End("a");
  EXPECT_THAT(Ending(), IsEmpty());
}

TEST_F(LocalLaneTest, ADeadWorkerComesBackLaterAndLaterUntilItHasRunForAMinute) {
  SetUpReady(1);
  for (const int wait : {1, 2, 4, 8, 16, 30, 30}) {
    End("a");
    EXPECT_EQ(PhaseOf("a"), Phase::kNotReady);
    EXPECT_EQ(lane_.NextDue(), now_ + seconds(wait));
    now_ += seconds(wait) - milliseconds(1);
    EXPECT_THAT(Obey(), IsEmpty());
    now_ += milliseconds(1);
    EXPECT_THAT(Obey(), ElementsAre("start a"));
  }
  now_ += seconds(60);
  End("a");
  EXPECT_EQ(lane_.NextDue(), now_ + seconds(1));
}

TEST_F(LocalLaneTest, WhatTheLastProcessSaidDoesNotMakeTheNextOneReady) {
  SetUpReady(1);
  const std::vector<ReportedWorker> last{{.name = "a", .heard_at = now_}};
  now_ += seconds(1);
  lane_.OnEnded("a", now_);
  lane_.See(last, now_);
  EXPECT_EQ(PhaseOf("a"), Phase::kNotReady);
  now_ += seconds(1);
  EXPECT_THAT(Obey(), ElementsAre("start a"));
  lane_.See(last, now_);
  EXPECT_EQ(PhaseOf("a"), Phase::kNotReady);
  Report({"a"});
  EXPECT_EQ(PhaseOf("a"), Phase::kReady);
}

TEST_F(LocalLaneTest, ARolloutEndsAnOldOneOnlyWhenANewOneIsReady) {
  SetUpReady(2);
  lane_.Apply(Template("2"), 2, now_);
  EXPECT_TRUE(lane_.State().rolling);
  EXPECT_THAT(Obey(), ElementsAre("start c"));  // A quarter of two, rounded up.
  EXPECT_EQ(hashes_["c"], "2");
  See();
  EXPECT_THAT(Obey(), IsEmpty());
  Report({"c"});
  EXPECT_THAT(Obey(), UnorderedElementsAre("term a", "start d"));
  Report({"d"});
  EXPECT_THAT(Obey(), ElementsAre("term b"));
  EXPECT_FALSE(lane_.State().rolling);
  EXPECT_THAT(Placed(), ElementsAre("c", "d"));
  EXPECT_THAT(Ending(), ElementsAre("a", "b"));
}

TEST_F(LocalLaneTest, ABrokenTemplateLeavesTheOldWorkersAndACorrectedOneReplacesIt) {
  SetUpReady(1);
  lane_.Apply(Template("broken"), 1, now_);
  EXPECT_THAT(Obey(), ElementsAre("start b"));
  End("b");
  now_ += seconds(10);
  Obey();
  See();
  EXPECT_THAT(Placed(), ElementsAre("a", "b"));
  lane_.Apply(Template("3"), 1, now_);
  EXPECT_THAT(Obey(), UnorderedElementsAre("term b", "start c"));
  EXPECT_THAT(Placed(), ElementsAre("a", "c"));
  Report({"c"});
  EXPECT_THAT(Obey(), ElementsAre("term a"));
}

TEST_F(LocalLaneTest, AGpuRolloutEndsTheOldOneBeforeItStartsTheNewOne) {
  SetUpReady(2, true);
  lane_.Apply(Template("2", true), 2, now_);
  EXPECT_THAT(Obey(), ElementsAre("term a"));
  now_ += seconds(1);
  See();
  EXPECT_THAT(Obey(), IsEmpty());
  End("a");
  EXPECT_THAT(Obey(), ElementsAre("start c"));
  EXPECT_THAT(Placed(), ElementsAre("b", "c"));
  Report({"c"});
  EXPECT_THAT(Obey(), ElementsAre("term b"));
  End("b");
  EXPECT_THAT(Obey(), ElementsAre("start d"));
}

TEST_F(LocalLaneTest, ZeroEndsARollout) {
  SetUpReady(2);
  lane_.Apply(Template("2"), 2, now_);
  Obey();
  lane_.SetReplicas(0, now_);
  EXPECT_THAT(Obey(), SizeIs(3));
  EXPECT_FALSE(lane_.State().rolling);
  EXPECT_THAT(Placed(), IsEmpty());
}

TEST_F(LocalLaneTest, ARemovedLaneIsGoneWithItsLastProcess) {
  SetUpReady(2);
  lane_.Remove(now_);
  EXPECT_FALSE(lane_.Gone());
  EXPECT_THAT(Obey(), ElementsAre("term a", "term b"));
  End("a");
  EXPECT_FALSE(lane_.Gone());
  End("b");
  EXPECT_TRUE(lane_.Gone());
}

}  // namespace
}  // namespace lanekeeper
