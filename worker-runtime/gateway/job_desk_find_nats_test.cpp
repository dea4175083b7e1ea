// Looking jobs up, however they came, and cancelling those that do not run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "worker-runtime/gateway/testing/desk_fixture.h"

namespace lanekeeper::gateway {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

class JobDeskFindTest : public DeskFixture {
 protected:
  JobDeskFindTest() { MakeLanes(); }
  void ExpectUnknown(const std::string& id, const std::string& pool = "media") {
    const auto found = Find(id, pool);
    ASSERT_FALSE(found) << id;
    EXPECT_EQ(found.error().type, ProblemType::kJobNotFound) << found.error().detail;
  }
  void ExpectFound(const std::string& id, const std::string& lane, ViewState state) {
    const auto found = Find(id);
    ASSERT_TRUE(found) << id << ": " << found.error().detail;
    EXPECT_EQ(found->id, id);
    EXPECT_EQ(found->lane, Lane(lane));
    EXPECT_EQ(NameOf(found->state), NameOf(state)) << id;
  }
};

TEST_F(JobDeskFindTest, AJobThatWaitsSaysWhenItsTurnComes) {
  pools_.Predict(Lane("short"), seconds(40));
  for (int n = 0; n < 2; ++n) Submit("short");
  const std::string id = Submit("short", "thumbnail");
  Submit("short");
  Deliver("short");
  const auto found = Find(id);
  ASSERT_TRUE(found) << found.error().detail;
  EXPECT_EQ(found->state, ViewState::kWaiting);
  EXPECT_EQ(found->type, "thumbnail");
  EXPECT_EQ(found->sequence, 3U);
  EXPECT_EQ(found->revision, 0U);
  EXPECT_NE(found->submitted_at, WallTime{});
  EXPECT_EQ(found->position, 1);
  EXPECT_EQ(found->eta, seconds(27));  // Two of the three that wait.
}

TEST_F(JobDeskFindTest, ARecordHasTheLastWord) {
  const std::string id = Submit("short");
  const std::uint64_t revision = PutRecord("short", RecordOf(id, JobState::kRunning));
  const auto found = Find(id);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->state, ViewState::kRunning);
  EXPECT_EQ(found->revision, revision);
  EXPECT_EQ(found->record->worker, "w-1");
  PutRecord("short", RecordOf(id, JobState::kWaiting));
  ExpectFound(id, "short", ViewState::kParked);
}

TEST_F(JobDeskFindTest, JobsOfPlainNatsAreFoundByWhateverIdTheyHave) {
  Publish("long");
  Publish("long", {{"Nats-Msg-Id", "report 7"}});
  PublishTo("thumbs.other");
  PublishTo("thumbs.resize");
  ExpectFound("LK_studio_media_long.1", "long", ViewState::kWaiting);
  ExpectFound("report 7", "long", ViewState::kWaiting);
  ExpectFound("THUMBS.2", "thumbs", ViewState::kWaiting);
  // The second message has an id of its own.
  ExpectUnknown("LK_studio_media_long.2");
}

TEST_F(JobDeskFindTest, AnIdWithoutAPlaceIsFoundInWhateverLaneItsRecordIs) {
  PutRecord("long", RecordOf("report-7", JobState::kDone));
  ExpectFound("report-7", "long", ViewState::kDone);
  // The same id in another lane later: the newest is meant.
  PutRecord("bare", RecordOf("report-7", JobState::kRunning));
  ExpectFound("report-7", "bare", ViewState::kRunning);
}

TEST_F(JobDeskFindTest, AMovedJobIsSeenWhereItWent) {
  const std::string id = Submit("short");
  JobRecord moved = RecordOf(id, JobState::kMoved);
  moved.moved_to = "long";
  moved.attempts = 2;
  PutRecord("long", RecordOf(id, JobState::kDone));  // Of an earlier life there.
  PutRecord("short", moved);
  auto found = Find(id);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->lane, Lane("long"));
  EXPECT_EQ(found->state, ViewState::kWaiting);
  EXPECT_EQ(found->record->attempts, 2);
  PutRecord("long", RecordOf(id, JobState::kRunning));
  ExpectFound(id, "long", ViewState::kRunning);
}

TEST_F(JobDeskFindTest, LanesThatMoveInACircleComeToAnEnd) {
  const std::string id = Submit("short");
  JobRecord moved = RecordOf(id, JobState::kMoved);
  moved.moved_to = "short";
  PutRecord("short", moved);
  ExpectFound(id, "short", ViewState::kWaiting);
}

TEST_F(JobDeskFindTest, WithoutRecordsAJobThatWasHandedOutRuns) {
  const std::string id = Submit("bare");
  ExpectFound(id, "bare", ViewState::kWaiting);
  const std::string reply = Deliver("bare");
  ExpectFound(id, "bare", ViewState::kRunning);
  Acknowledge(reply);
  ExpectUnknown(id);
}

TEST_F(JobDeskFindTest, AJobOfAnotherPoolIsNotFoundInThisOne) {
  const std::string id = Submit("short");
  ExpectUnknown(id, "empty");
  ExpectUnknown("LK_studio_empty_short.1");
  const auto no_pool = Find(id, "nosuch");
  ASSERT_FALSE(no_pool);
  EXPECT_EQ(no_pool.error().type, ProblemType::kPoolNotFound);
}

TEST_F(JobDeskFindTest, StrangeIdsHarmNothing) {
  Submit("short");
  PutRecord("short", RecordOf("x", JobState::kDone));
  for (const std::string id : {"*", ">", "$KV.LK_jobs.>", "..", "LK_studio_media_*.1", "a\nb",
                               "\xff\xfe", "LK_studio_media_short.1.>", "short.*"}) {
    ExpectUnknown(id);
  }
  ExpectUnknown("");
  ExpectUnknown(std::string(100'000, 'x'));
  PutRecord("short", RecordOf("a.b*c>\xff", JobState::kDone));
  ExpectUnknown("a.b");
}

TEST_F(JobDeskFindTest, WithoutTheServerItSaysSo) {
  const std::string id = Submit("short");
  server_.Stop();
  const auto found = Find(id);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().type, ProblemType::kQueueUnavailable);
  EXPECT_TRUE(found.error().retry_after);
  ASSERT_TRUE(server_.Start());
  ASSERT_TRUE(desk_connection_->WaitConnected(nats::kTestDeadline));
  EXPECT_TRUE(nats::Eventually([&] { return Find(id).has_value(); }));
}

TEST_F(JobDeskFindTest, AnIdSaysItsPool) {
  EXPECT_EQ(desk_->LaneOfJob("LK_studio_media_short.17.k3x9qa2b"), Lane("short"));
  EXPECT_EQ(desk_->LaneOfJob("THUMBS.4"), Lane("thumbs"));
  for (const char* id : {"report-7", "OTHER.4", "", "LK_a_b.1"}) {
    const auto lane = desk_->LaneOfJob(id);
    ASSERT_FALSE(lane) << id;
    EXPECT_EQ(lane.error().type, ProblemType::kJobNotFound);
    EXPECT_THAT(lane.error().detail, HasSubstr("/v1/pools/"));
  }
}

TEST_F(JobDeskFindTest, EveryQuestionIsAnsweredBeforeTheDeskEnds) {
  Publish("short", {{"Nats-Msg-Id", "plain"}});
  std::atomic<int> answers{0};
  constexpr int kQuestions = 100;
  for (int n = 0; n < kQuestions; ++n) {
    desk_->Find("studio", "media", "plain-" + std::to_string(n),
                [&](const Answer<JobView>&) { ++answers; });
  }
  desk_.reset();
  EXPECT_EQ(answers, kQuestions);
}

// ---- Cancel ----

TEST_F(JobDeskFindTest, AJobThatWaitsIsCancelledForGood) {
  const std::string id = Submit("short", "thumbnail");
  const auto cancelled = Cancel(*Find(id));
  ASSERT_TRUE(cancelled) << cancelled.error().detail;
  EXPECT_EQ(cancelled->state, ViewState::kCancelled);
  EXPECT_GT(cancelled->revision, 0U);
  EXPECT_EQ(JobsIn("short"), 0);
  const auto record = Record("short", id);
  ASSERT_TRUE(record);
  EXPECT_EQ(record->state, JobState::kCancelled);
  EXPECT_EQ(record->type, "thumbnail");
  EXPECT_EQ(record->sequence, 1U);
  EXPECT_EQ(record->error, "cancelled by ana");
  EXPECT_NE(record->stored_at, WallTime{});
  // Again: nothing more happens.
  const auto again = Cancel(*Find(id));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->revision, cancelled->revision);
}

TEST_F(JobDeskFindTest, AJobThatIsParkedIsCancelledAndKeepsItsStory) {
  const std::string id = Submit("short");
  JobRecord parked = RecordOf(id, JobState::kWaiting);
  parked.stored_at = Find(id)->submitted_at;
  parked.attempts = 2;
  parked.checkpoint = "half";
  PutRecord("short", parked);
  ASSERT_TRUE(Cancel(*Find(id)));
  const auto record = Record("short", id);
  EXPECT_EQ(record->state, JobState::kCancelled);
  EXPECT_EQ(record->attempts, 2);
  EXPECT_EQ(record->checkpoint, "");
  EXPECT_EQ(JobsIn("short"), 0);
}

TEST_F(JobDeskFindTest, AJobThatHasEndedCannotBeCancelled) {
  for (const JobState state : {JobState::kDone, JobState::kDead}) {
    PutRecord("short", RecordOf("report-7", state));
    const auto cancelled = Cancel(*Find("report-7"));
    ASSERT_FALSE(cancelled);
    EXPECT_EQ(cancelled.error().type, ProblemType::kJobFinished);
    EXPECT_EQ(Record("short", "report-7")->state, state);
  }
}

TEST_F(JobDeskFindTest, TheMessageOfAStreamThatWasMadeAnewIsLeftAlone) {
  const std::string id = Submit("short");
  JobRecord old = RecordOf(id, JobState::kWaiting, 1);
  old.stored_at = WallTime(seconds(1'000'000));
  PutRecord("short", old);
  ASSERT_TRUE(Cancel(*Find(id)));
  EXPECT_EQ(JobsIn("short"), 1);
}

TEST_F(JobDeskFindTest, AJobOnItsWayToAnotherLaneIsCancelledThere) {
  const std::string id = Submit("short");
  JobRecord moved = RecordOf(id, JobState::kMoved);
  moved.moved_to = "long";
  PutRecord("short", moved);
  const auto cancelled = Cancel(*Find(id));
  ASSERT_TRUE(cancelled) << cancelled.error().detail;
  EXPECT_EQ(cancelled->lane, Lane("long"));
  EXPECT_EQ(Record("long", id)->state, JobState::kCancelled);
  EXPECT_EQ(Record("long", id)->moved_from, "short.1");
  ExpectFound(id, "long", ViewState::kCancelled);
}

TEST_F(JobDeskFindTest, PlainJobsAreCancelledLikeAnyOther) {
  Publish("short", {{"Nats-Msg-Id", "report 7"}});
  PublishTo("thumbs.resize");
  for (const char* id : {"report 7", "THUMBS.1"}) {
    const auto found = Find(id);
    ASSERT_TRUE(found) << id;
    ASSERT_TRUE(Cancel(*found)) << id;
    const auto after = Find(id);
    ASSERT_TRUE(after) << id;
    EXPECT_EQ(after->state, ViewState::kCancelled);
  }
  EXPECT_EQ(JobsIn("short"), 0);
}

TEST_F(JobDeskFindTest, WithoutRecordsOnlyAJobThatWaitsCanBeCancelled) {
  for (const char* lane : {"bare", "quick"}) {
    const std::string runs = Submit(lane);
    const std::string waits = Submit(lane);
    const auto while_waiting = *Find(runs);
    Deliver(lane);
    ASSERT_TRUE(Cancel(*Find(waits)));
    ExpectFound(waits, lane, ViewState::kCancelled);
    for (const JobView& seen : {*Find(runs), while_waiting}) {
      const auto refused = Cancel(seen);
      ASSERT_FALSE(refused);
      EXPECT_EQ(refused.error().type, ProblemType::kJobNotTracked);
    }
    EXPECT_EQ(JobsIn(lane), 1);
  }
}

TEST_F(JobDeskFindTest, TheFirstRecordOfAnAccountMakesItsBucket) {
  ASSERT_TRUE(jetstream_.DeleteStream(kRecordStream));
  const std::string id = Submit("short");
  const auto cancelled = Cancel(*Find(id));
  ASSERT_TRUE(cancelled) << cancelled.error().detail;
  EXPECT_EQ(Record("short", id)->state, JobState::kCancelled);
}

}  // namespace
}  // namespace lanekeeper::gateway
