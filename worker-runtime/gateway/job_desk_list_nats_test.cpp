// Lists of jobs, and pauses of lanes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "worker-runtime/base/clock.h"
#include "worker-runtime/gateway/testing/desk_fixture.h"
#include "worker-runtime/nats/pool_brief_json.h"

namespace lanekeeper::gateway {
namespace {

using std::chrono::minutes;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class JobDeskListTest : public DeskFixture {
 protected:
  JobDeskListTest() { MakeLanes(); }
  void ExpectRefused(const JobListQuery& query, ProblemType type, const std::string& words) {
    const auto list = desk_->List(Pool(), query);
    ASSERT_FALSE(list);
    EXPECT_EQ(list.error().type, type);
    EXPECT_THAT(list.error().detail, HasSubstr(words));
  }
};

TEST_F(JobDeskListTest, RecordsStandBeforeJobsThatWaitAndTheLastChangedFirst) {
  Publish("long", {{"Nats-Msg-Id", "w-1"}});
  Publish("long", {{"Nats-Msg-Id", "w-2"}});
  Publish("short", {{"Nats-Msg-Id", "w-3"}});
  PublishTo("thumbs.resize");
  PublishTo("thumbs.other");
  PutRecord("short", RecordOf("a", JobState::kRunning));
  PutRecord("long", RecordOf("b", JobState::kDead));
  PutRecord("short", RecordOf("c", JobState::kCancelled));
  PutRecord("short", RecordOf("a", JobState::kDone));
  for (const std::size_t limit : {1U, 2U, 3U, 50U}) {
    EXPECT_THAT(ListAll({.limit = limit}),
                ElementsAre("short/a done", "short/c cancelled", "long/b dead", "short/w-3 waiting",
                            "long/w-1 waiting", "long/w-2 waiting", "thumbs/THUMBS.1 waiting"))
        << limit;
  }
}

TEST_F(JobDeskListTest, JobsAreFoundByLaneStateAndType) {
  Publish("long", {{"Nats-Msg-Id", "w-1"}, {"Lk-Type", "report"}});
  Publish("long", {{"Nats-Msg-Id", "w-2"}});
  JobRecord report = RecordOf("a", JobState::kDone);
  report.type = "report";
  PutRecord("short", report);
  PutRecord("short", RecordOf("b", JobState::kWaiting));
  EXPECT_THAT(ListAll({.lane = "long"}), ElementsAre("long/w-1 waiting", "long/w-2 waiting"));
  EXPECT_THAT(ListAll({.state = ViewState::kParked}), ElementsAre("short/b parked"));
  EXPECT_THAT(ListAll({.state = ViewState::kWaiting}),
              ElementsAre("long/w-1 waiting", "long/w-2 waiting"));
  EXPECT_THAT(ListAll({.type = "report"}), ElementsAre("short/a done", "long/w-1 waiting"));
  EXPECT_THAT(ListAll({.lane = "short", .state = ViewState::kWaiting}), IsEmpty());
}

TEST_F(JobDeskListTest, JobsAreFoundByTheTimeOfTheirLastChange) {
  PutRecord("short", RecordOf("a", JobState::kDone));
  Publish("long", {{"Nats-Msg-Id", "w-1"}});
  const auto between =
      jetstream_.LastMessage(JobStreamName(Lane("long")), JobSubject(Lane("long")))->stored_at +
      std::chrono::nanoseconds(1);
  PutRecord("short", RecordOf("b", JobState::kDone));
  Publish("long", {{"Nats-Msg-Id", "w-2"}});
  EXPECT_THAT(ListAll({.since = between}), ElementsAre("short/b done", "long/w-2 waiting"));
  EXPECT_THAT(ListAll({.until = between}), ElementsAre("short/a done", "long/w-1 waiting"));
  EXPECT_THAT(ListAll({.since = between, .until = between}), IsEmpty());
}

TEST_F(JobDeskListTest, AJobThatWasHandedOutDoesNotWaitAnyMore) {
  Publish("short", {{"Nats-Msg-Id", "w-1"}});
  Publish("short", {{"Nats-Msg-Id", "w-2"}});
  Deliver("short");
  EXPECT_THAT(ListAll(), ElementsAre("short/w-2 waiting"));
}

TEST_F(JobDeskListTest, OtherPoolsAndDeletedRecordsAreNotListed) {
  PutRecord("short", RecordOf("a", JobState::kDone));
  PutRecord("short", RecordOf("gone", JobState::kDone));
  ASSERT_TRUE(
      jetstream_.PublishAck(RecordSubject(Lane("short"), "gone"), "", {{"KV-Operation", "DEL"}}));
  ASSERT_TRUE(jetstream_.PublishAck(RecordSubject(Lane("short"), "broken"), "no record"));
  ASSERT_TRUE(jetstream_.PublishAck(RecordSubject({"studio", "empty", "short"}, "b"),
                                    nats::WriteJobRecord(RecordOf("b", JobState::kDone))));
  EXPECT_THAT(ListAll(), ElementsAre("short/a done"));
}

// Few records of this pool among many of another one, and old revisions that left holes.
TEST_F(JobDeskListTest, RecordsFarApartAreAllFound) {
  std::vector<std::string> expected;
  for (int n = 0; n < 3000; ++n) {
    const bool ours = n % 700 == 0;
    const std::string id = ours ? "ours-" + std::to_string(n) : "theirs-" + std::to_string(n % 500);
    const std::string subject =
        ours ? RecordSubject(Lane("short"), id) : RecordSubject({"studio", "empty", "short"}, id);
    // Not waited for one by one.
    ASSERT_TRUE(connection_->Publish(subject, nats::WriteJobRecord(RecordOf(id, JobState::kDone))));
    if (ours) expected.insert(expected.begin(), "short/" + id + " done");
  }
  ASSERT_TRUE(nats::Eventually([this] {
    const auto state = jetstream_.StreamInfo(kRecordStream);
    return state && state->last_sequence == 3000;
  }));
  EXPECT_EQ(ListAll({.limit = 2}), expected);
}

TEST_F(JobDeskListTest, PagesShowNoJobTwiceAndNoneThatStandsStillIsLeftOut) {
  for (int n = 0; n < 40; ++n) {
    PutRecord("short", RecordOf("r-" + std::to_string(n), JobState::kDone));
    Publish("long", {{"Nats-Msg-Id", "w-" + std::to_string(n)}});
  }
  JobListQuery query{.limit = 7};
  std::map<std::string, int> seen;
  int page = 0;
  do {
    const auto list = desk_->List(Pool(), query);
    ASSERT_TRUE(list) << list.error().detail;
    for (const JobView& job : list->jobs) ++seen[job.id];
    query.cursor = list->next;
    // Others come, change and go.
    PutRecord("short", RecordOf("r-" + std::to_string(page), JobState::kRunning));
    PutRecord("short", RecordOf("new-" + std::to_string(page), JobState::kDone));
    ASSERT_TRUE(
        jetstream_.DeleteMessage(JobStreamName(Lane("long")), 1 + static_cast<unsigned>(page)));
    ASSERT_LT(++page, 100);
  } while (!query.cursor.empty());
  for (const auto& [id, times] : seen) EXPECT_EQ(times, 1) << id;
  for (int n = 20; n < 40; ++n) {
    EXPECT_TRUE(seen.contains("r-" + std::to_string(n))) << n;
    EXPECT_TRUE(seen.contains("w-" + std::to_string(n))) << n;
  }
}

TEST_F(JobDeskListTest, ACursorThatIsNoneIsRefused) {
  for (const char* cursor : {"x", "r", "r0", "w", "w1", "w1.", "w1.nosuch", "r1.x", "r-1", " ",
                             "r99999999999999999999999", "w1.short "}) {
    ExpectRefused({.cursor = cursor}, ProblemType::kInvalidRequest, "cursor");
  }
  ExpectRefused({.state = ViewState::kWaiting, .cursor = "r5"}, ProblemType::kInvalidRequest,
                "cursor");
  // One that points behind the end is one, after a stream was made anew.
  EXPECT_TRUE(desk_->List(Pool(), {.cursor = "r18446744073709551615"}));
  EXPECT_TRUE(desk_->List(Pool(), {.cursor = "w18446744073709551614.short"}));
}

TEST_F(JobDeskListTest, LimitsAndLanesAreChecked) {
  ExpectRefused({.limit = 0}, ProblemType::kInvalidRequest, "limit");
  ExpectRefused({.limit = 501}, ProblemType::kInvalidRequest, "limit");
  ExpectRefused({.lane = "nosuch"}, ProblemType::kLaneNotFound, "short, long, quick, bare, thumbs");
}

TEST_F(JobDeskListTest, APoolWithoutStreamsIsEmpty) {
  const auto list = desk_->List(*pools_.Find("studio", "empty"), {});
  ASSERT_TRUE(list) << list.error().detail;
  EXPECT_THAT(list->jobs, IsEmpty());
  EXPECT_EQ(list->next, "");
}

// ---- Pauses ----

class JobDeskPauseTest : public JobDeskListTest {
 protected:
  std::optional<LanePause> Why(const std::string& lane) {
    const auto stored = jetstream_.LastMessage(kPoolStream, LanePauseSubject(Lane(lane)));
    if (!stored || stored->payload.empty()) return std::nullopt;
    const auto pause = nats::ReadLanePause(stored->payload);
    return pause ? std::optional(*pause) : std::nullopt;
  }
  bool Paused(const std::string& stream, const std::string& consumer) {
    bool paused = false;
    EXPECT_TRUE(nats::Eventually([&] {
      const auto state = jetstream_.ConsumerInfo(stream, consumer);
      if (state) paused = state->paused;
      return state.has_value();
    }));
    return paused;
  }
  bool Paused(const std::string& lane) {
    return Paused(JobStreamName(Lane(lane)), std::string(kConsumerName));
  }
  static WallTime In(std::chrono::milliseconds time) { return SystemClock().WallNow() + time; }
};

TEST_F(JobDeskPauseTest, APausedLaneTakesJobsAndHandsOutNone) {
  const auto paused =
      desk_->Pause(Lane("short"), {.until = In(minutes(10)), .reason = "upgrade", .by = "ana"});
  ASSERT_TRUE(paused) << paused.error().detail;
  EXPECT_TRUE(Paused("short"));
  EXPECT_FALSE(Paused("long"));
  ASSERT_TRUE(Why("short"));
  EXPECT_EQ(Why("short")->reason, "upgrade");
  EXPECT_EQ(Why("short")->by, "ana");
  Submit("short");
  const auto none =
      connection_->Request("$JS.API.CONSUMER.MSG.NEXT." + JobStreamName(Lane("short")) + ".workers",
                           R"({"batch":1,"no_wait":true})", {}, nats::kAnswerDeadline);
  EXPECT_FALSE(none && none->Header("Nats-Msg-Id"));

  const auto resumed = desk_->Resume(Lane("short"));
  ASSERT_TRUE(resumed) << resumed.error().detail;
  EXPECT_FALSE(Paused("short"));
  EXPECT_FALSE(Why("short"));
  Deliver("short");
}

TEST_F(JobDeskPauseTest, ALaneOfAnExternalStreamCanBePaused) {
  ASSERT_TRUE(desk_->Pause(Lane("thumbs"), {.until = In(minutes(10))}));
  EXPECT_TRUE(Paused(kExternalStream, "resizers"));
  ASSERT_TRUE(desk_->Resume(Lane("thumbs")));
  EXPECT_FALSE(Paused(kExternalStream, "resizers"));
}

TEST_F(JobDeskPauseTest, APauseThatRanOutIsForgotten) {
  // Refused when that time is over before it has been looked at.
  ASSERT_TRUE(nats::Eventually([this] {
    return desk_->Pause(Lane("short"), {.until = In(std::chrono::milliseconds(900))}).has_value();
  }));
  EXPECT_TRUE(nats::Eventually([this] { return !Paused("short") && !Why("short"); }));
}

// A bucket that takes no lifetimes: nobody would know why the lane stands still.
TEST_F(JobDeskPauseTest, APauseWhoseReasonCannotBeStoredIsTakenBack) {
  ASSERT_TRUE(jetstream_.DeleteStream(kPoolStream));
  ASSERT_TRUE(jetstream_.CreateStream(kPoolStream,
                                      R"({"name":"KV_LK_pools","subjects":["$KV.LK_pools.>"]})"));
  const auto paused = desk_->Pause(Lane("short"), {.until = In(minutes(10))});
  ASSERT_FALSE(paused);
  EXPECT_EQ(paused.error().type, ProblemType::kQueueUnavailable);
  EXPECT_FALSE(Paused("short"));
}

TEST_F(JobDeskPauseTest, TheOperatorLeavesAPauseAlone) {
  ASSERT_TRUE(desk_->Pause(Lane("short"), {.until = In(minutes(10))}));
  ASSERT_TRUE(nats::EnsureJobQueue(jetstream_, Lane("short"), {.ack_wait = minutes(9)}));
  EXPECT_TRUE(Paused("short"));
}

TEST_F(JobDeskPauseTest, WhatCannotBeIsRefusedAndChangesNothing) {
  const auto refused = [this](const LaneKey& lane, const LanePause& pause) {
    const auto paused = desk_->Pause(lane, pause);
    return paused ? std::string() : std::string(NameOf(paused.error().type));
  };
  EXPECT_EQ(refused(Lane("short"), {.until = In(-minutes(1))}), "invalid-request");
  EXPECT_EQ(refused(Lane("short"), {.until = In(minutes(1)), .reason = std::string(257, 'x')}),
            "invalid-request");
  EXPECT_EQ(refused(Lane("nosuch"), {.until = In(minutes(1))}), "lane-not-found");
  EXPECT_EQ(refused({"studio", "nosuch", "short"}, {.until = In(minutes(1))}), "pool-not-found");
  EXPECT_EQ(refused({"studio", "empty", "short"}, {.until = In(minutes(1))}), "lane-not-found");
  EXPECT_FALSE(Paused("short"));
  EXPECT_FALSE(Why("short"));
}

}  // namespace
}  // namespace lanekeeper::gateway
