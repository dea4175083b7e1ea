#include "cli/verify/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace lanekeeper::verify {
namespace {

using testing::HasSubstr;

// Evidence about one accepted job "j", built up one trace at a time.
struct Trace {
  Evidence evidence{.accepted = {"j"}, .has_runs = true};

  Trace Queued() && {
    evidence.queued.emplace_back("j");
    return std::move(*this);
  }
  Trace Letter(std::string reason) && {
    evidence.dead.push_back({"j", std::move(reason)});
    return std::move(*this);
  }
  Trace Ended(int run, std::string worker) && {
    evidence.runs.push_back({"j", std::move(worker), "at " + std::to_string(run), run});
    return std::move(*this);
  }
  Trace Record(JobRecord record) && {
    record.id = "j";
    evidence.records["j"] = std::move(record);
    return std::move(*this);
  }
  Trace ResultOf(int run, std::string worker) && {
    evidence.authors["j"] = {std::move(worker), run};
    return std::move(*this);
  }
  Trace NoResultsStream() && {
    evidence.has_runs = false;
    return std::move(*this);
  }
};

JobRecord RecordOf(JobState state, int runs, std::string worker, int crashes = 0) {
  JobRecord record;
  record.state = state;
  record.runs = runs;
  record.worker = std::move(worker);
  record.crashes = crashes;
  return record;
}

JobRecord Replayed(JobRecord record) {
  record.history.push_back({.state = JobState::kDead});
  return record;
}

struct Case {
  const char* name;  // The claim this row proves.
  Trace trace;
  const char* expected;  // The words of WordsOf.
};

void PrintTo(const Case& row, std::ostream* out) { *out << row.name; }

// The lists and counts that are not empty.
std::string WordsOf(const Verdict& verdict) {
  std::string words = Holds(verdict) ? "good" : "bad";
  const auto add = [&words](const char* word, std::size_t count) {
    if (count > 0) words += std::string(" ") + word;
  };
  add("done", static_cast<std::size_t>(verdict.done));
  add("dead", static_cast<std::size_t>(verdict.dead));
  add("moved", static_cast<std::size_t>(verdict.moved));
  add("cancelled", static_cast<std::size_t>(verdict.cancelled));
  add("queued", verdict.queued.size());
  add("lost", verdict.lost.size());
  add("explained", verdict.explained.size());
  add("unexplained", verdict.unexplained.size());
  add("stale", verdict.stale.size());
  add("contradictory", verdict.contradictory.size());
  return words;
}

class VerdictTest : public testing::TestWithParam<Case> {};

TEST_P(VerdictTest, IsWhatTheTracesSay) {
  const Verdict verdict = DecideVerdict(GetParam().trace.evidence);
  EXPECT_EQ(WordsOf(verdict), GetParam().expected);
  EXPECT_EQ(verdict.accepted, 1);
}

const auto kDone = JobState::kDone;
const auto kDead = JobState::kDead;
const auto kRunning = JobState::kRunning;

INSTANTIATE_TEST_SUITE_P(
    Rows, VerdictTest,
    testing::Values(
        Case{"AJobWithoutAnyTraceIsLost", Trace(), "bad lost"},
        Case{"AResultAloneIsEnough", Trace().Ended(1, "a"), "good done"},
        Case{"ARecordAloneIsEnoughWithoutResults",
             Trace().NoResultsStream().Record(RecordOf(kDone, 1, "a")), "good done"},
        Case{"DoneWithoutItsResultIsLost", Trace().Record(RecordOf(kDone, 1, "a")), "bad lost"},
        Case{"WhatIsQueuedIsNotLost", Trace().Queued(), "good queued"},
        Case{"WhatHasEndedMayStillBeQueued", Trace().Queued().Ended(1, "a"), "good queued"},
        Case{"ADeadLetterIsAccountedFor", Trace().Letter("rejected"), "good dead"},
        Case{"ADeadRecordNeedsItsLetter", Trace().Record(RecordOf(kDead, 1, "a")), "bad lost"},
        Case{"AnUnfinishedRecordDoesNotExcuseALoss", Trace().Record(RecordOf(kRunning, 1, "a")),
             "bad lost"},
        Case{"ARunThatEndedButWasQuarantinedIsDead",
             Trace().Ended(1, "a").Letter("crashes-used-up").Record(RecordOf(kDead, 2, "b", 2)),
             "good dead"},
        Case{"AMovedJobIsAccountedFor", Trace().Record(RecordOf(JobState::kMoved, 1, "a")),
             "good moved"},
        Case{"ACancelledJobHasEnded", Trace().Record(RecordOf(JobState::kCancelled, 0, "")),
             "good cancelled"},
        Case{"ACancelledJobMayHaveRunToItsEnd",
             Trace().Ended(1, "a").Record(RecordOf(JobState::kCancelled, 1, "a")),
             "good cancelled"},
        Case{"ACancelledJobThatWasSentAgainIsQueued",
             Trace().Queued().Record(RecordOf(JobState::kCancelled, 0, "")), "good queued"},
        Case{"TwoRunsNeedAReason",
             Trace().Ended(1, "a").Ended(2, "b").Record(RecordOf(kDone, 2, "b")),
             "good done unexplained"},
        Case{"ACrashIsAReason",
             Trace().Ended(1, "a").Ended(2, "b").Record(RecordOf(kDone, 2, "b", 1)),
             "good done explained"},
        Case{"OneCrashDoesNotExplainThreeRuns",
             Trace().Ended(1, "a").Ended(2, "b").Ended(3, "c").Record(RecordOf(kDone, 3, "c", 1)),
             "good done unexplained"},
        Case{"WithoutARecordNothingExplainsTwoRuns", Trace().Ended(1, "a").Ended(2, "b"),
             "good done unexplained"},
        Case{"TheSameRunWrittenTwiceIsOne", Trace().Ended(1, "a").Ended(1, "a"), "good done"},
        Case{"TheLastRunsResultIsRight",
             Trace().Ended(2, "b").Record(RecordOf(kDone, 2, "b", 1)).ResultOf(2, "b"),
             "good done"},
        Case{"AnEarlierRunsResultIsStale",
             Trace().Ended(2, "b").Record(RecordOf(kDone, 2, "b", 1)).ResultOf(1, "a"),
             "bad done stale"},
        Case{"AnotherWorkersResultIsStale",
             Trace().Ended(2, "b").Record(RecordOf(kDone, 2, "b", 1)).ResultOf(2, "a"),
             "bad done stale"},
        Case{"ARecordOlderThanTheLastRunIsStale",
             Trace().Ended(2, "b").Record(RecordOf(kDone, 1, "a")).ResultOf(1, "a"),
             "bad done stale"},
        Case{"RunsOfAnEarlierLifeAreNotStale",
             Trace().Ended(3, "a").Ended(1, "b").Record(Replayed(RecordOf(kDone, 1, "b"))),
             "good done explained"},
        Case{"GoneButNotFinishedContradicts",
             Trace().Ended(1, "a").Record(RecordOf(kRunning, 1, "a")), "bad done contradictory"},
        Case{"DoneAndDeadContradicts",
             Trace().Ended(1, "a").Letter("rejected").Record(RecordOf(kDone, 1, "a")),
             "bad done contradictory"},
        Case{"DoneAfterAReplayedDeathIsGood",
             Trace().Ended(1, "a").Letter("rejected").Record(Replayed(RecordOf(kDone, 1, "a"))),
             "good done"}),
    [](const auto& test) { return test.param.name; });

TEST(VerdictCountsTest, EachAcceptedJobCountsOnce) {
  const Verdict verdict = DecideVerdict({.accepted = {"a", "b", "c", "d", "a"},
                                         .queued = {"c"},
                                         .dead = {{"b", "rejected"}, {"x", "rejected"}},
                                         .has_runs = true,
                                         .runs = {{"a", "w", "t", 1}, {"y", "w", "t", 1}}});
  EXPECT_EQ(verdict.accepted, 4);
  EXPECT_EQ(verdict.done, 1);
  EXPECT_EQ(verdict.dead, 1);
  EXPECT_EQ(verdict.dead_by_reason.at("rejected"), 1);
  EXPECT_EQ(verdict.queued, std::vector<std::string>{"c"});
  ASSERT_EQ(verdict.lost.size(), 1U);
  EXPECT_EQ(verdict.lost[0].id, "d");
  EXPECT_EQ(verdict.unaccepted, 2);
}

TEST(VerdictCountsTest, ALossSaysWhatIsKnown) {
  const Verdict verdict = DecideVerdict(Trace().Record(RecordOf(kRunning, 2, "w-7", 1)).evidence);
  ASSERT_EQ(verdict.lost.size(), 1U);
  EXPECT_THAT(verdict.lost[0].why, HasSubstr("its record says running at w-7, 2 starts"));
}

}  // namespace
}  // namespace lanekeeper::verify
