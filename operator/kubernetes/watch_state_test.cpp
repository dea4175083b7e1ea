// Scripts of answers, and what the state makes of them.
#include "operator/kubernetes/watch_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <vector>

namespace lanekeeper::kubernetes {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::string Object(const std::string& name, int resource_version) {
  return R"({"metadata":{"namespace":"n","name":")" + name + R"(","resourceVersion":")" +
         std::to_string(resource_version) + R"("}})";
}

Answer Page(int resource_version, const std::vector<std::string>& objects,
            const std::string& continue_token = "") {
  std::string body = R"({"metadata":{"resourceVersion":")" + std::to_string(resource_version) +
                     R"(","continue":")" + continue_token + R"("},"items":[)";
  for (std::size_t i = 0; i < objects.size(); ++i) body += (i > 0 ? "," : "") + objects[i];
  return {200, body + "]}"};
}

std::string EventLine(const std::string& type, const std::string& object) {
  return R"({"type":")" + type + R"(","object":)" + object + "}";
}

std::string ErrorEvent(int code) {
  return EventLine(
      "ERROR", R"({"kind":"Status","code":)" + std::to_string(code) + R"(,"message":"because"})");
}

const Answer kEnded{200, ""};
const Answer kGone{410, R"({"message":"too old resource version"})"};
const Result<Answer> kNoConnection = Fail(ErrorKind::kRetryable, "connection refused");

class WatchStateTest : public testing::Test {
 protected:
  // The next step, which must be of this kind, as "delay request".
  std::string Next() {
    const WatchState::Step step = state_.NextStep();
    delay_ = step.delay;
    EXPECT_EQ(step.is_watch, step.request.query.find("watch=true") != std::string::npos);
    if (!step.is_watch) return "list " + step.request.query;
    const std::size_t version = step.request.query.find("resourceVersion=");
    return "watch " +
           step.request.query.substr(version, step.request.query.find('&', version) - version);
  }
  // Through a list to a watch.
  void Sync(int resource_version, const std::vector<std::string>& objects) {
    Next();
    state_.OnListAnswer(Page(resource_version, objects));
    Next();
  }
  std::vector<std::string> TakeLog() { return std::exchange(log_, {}); }

  std::vector<std::string> log_;
  milliseconds delay_{0};
  WatchState state_{{.resource = kWorkerPools, .page_objects = 2},
                    {.on_object =
                         [this](const nlohmann::json& object) {
                           log_.push_back(object["metadata"]["name"].get<std::string>() + "@" +
                                          object["metadata"]["resourceVersion"].get<std::string>());
                         },
                     .on_gone =
                         [this](const ObjectName& name, const std::string& version) {
                           log_.push_back(name.name + " gone@" + version);
                         },
                     .on_synced = [this] { log_.push_back("synced"); }}};
};

TEST_F(WatchStateTest, ListsPageByPageThenWatchesFromTheListsVersion) {
  EXPECT_EQ(Next(), "list limit=2");
  state_.OnListAnswer(Page(10, {Object("a", 1), Object("b", 2)}, "t1"));
  EXPECT_FALSE(state_.synced());
  EXPECT_EQ(Next(), "list limit=2&continue=t1");
  state_.OnListAnswer(Page(10, {Object("c", 3)}));
  EXPECT_TRUE(state_.synced());
  EXPECT_EQ(Next(), "watch resourceVersion=10");
  EXPECT_EQ(delay_, milliseconds(0));
  EXPECT_THAT(log_, ElementsAre("a@1", "b@2", "c@3", "synced"));
}

TEST_F(WatchStateTest, EmptyListIsSyncedToo) {
  Sync(10, {});
  EXPECT_THAT(log_, ElementsAre("synced"));
}

TEST_F(WatchStateTest, EventsAreReportedAndMoveTheVersionOn) {
  Sync(10, {Object("a", 1)});
  TakeLog();
  EXPECT_TRUE(state_.OnLine(EventLine("ADDED", Object("b", 11))));
  EXPECT_TRUE(state_.OnLine(EventLine("MODIFIED", Object("a", 12))));
  EXPECT_TRUE(state_.OnLine(EventLine("DELETED", Object("b", 13))));
  EXPECT_TRUE(state_.OnLine(EventLine("NEWFANGLED", Object("a", 14))));
  EXPECT_THAT(log_, ElementsAre("b@11", "a@12", "b gone@13"));
  state_.OnStreamEnd(kEnded, seconds(1));
  EXPECT_EQ(Next(), "watch resourceVersion=14");
  EXPECT_EQ(delay_, milliseconds(0));
}

TEST_F(WatchStateTest, BookmarkMovesTheVersionAndReportsNothing) {
  Sync(10, {});
  TakeLog();
  EXPECT_TRUE(state_.OnLine(EventLine("BOOKMARK", R"({"metadata":{"resourceVersion":"99"}})")));
  EXPECT_THAT(log_, IsEmpty());
  state_.OnStreamEnd(kEnded, seconds(60));
  EXPECT_EQ(Next(), "watch resourceVersion=99");
}

TEST_F(WatchStateTest, ObjectsOfTheListAreNotReportedAgainByTheWatch) {
  Sync(10, {Object("a", 1)});
  TakeLog();
  state_.OnLine(EventLine("ADDED", Object("a", 1)));
  EXPECT_THAT(log_, IsEmpty());
}

TEST_F(WatchStateTest, DeletionOfTheUnknownIsNotReported) {
  Sync(10, {});
  TakeLog();
  EXPECT_TRUE(state_.OnLine(EventLine("DELETED", Object("ghost", 11))));
  EXPECT_THAT(log_, IsEmpty());
}

TEST_F(WatchStateTest, GoneAsAnAnswerLeadsToAList) {
  Sync(10, {});
  state_.OnStreamEnd(kGone, seconds(0));
  EXPECT_EQ(Next(), "list limit=2");
  EXPECT_LE(delay_, milliseconds(100));
}

TEST_F(WatchStateTest, GoneInMidStreamLeadsToAList) {
  Sync(10, {});
  EXPECT_TRUE(state_.OnLine(EventLine("ADDED", Object("a", 11))));
  EXPECT_FALSE(state_.OnLine(ErrorEvent(410)));
  state_.OnStreamEnd(kEnded, seconds(1));
  EXPECT_EQ(Next(), "list limit=2");
}

TEST_F(WatchStateTest, ListAfterAGapReportsOnlyWhatChangedAndWhatVanished) {
  Sync(10, {Object("kept", 1), Object("changed", 2), Object("vanished", 3)});
  TakeLog();
  state_.OnStreamEnd(kGone, seconds(0));
  Next();
  state_.OnListAnswer(Page(50, {Object("kept", 1), Object("changed", 40)}, "t"));
  EXPECT_THAT(TakeLog(), ElementsAre("changed@40"));  // Vanished? Not before the last page.
  Next();
  state_.OnListAnswer(Page(50, {Object("new", 41)}));
  EXPECT_THAT(log_, ElementsAre("new@41", "vanished gone@50"));
  EXPECT_EQ(Next(), "watch resourceVersion=50");
}

TEST_F(WatchStateTest, ListThatGrewTooOldBetweenPagesStartsOver) {
  Next();
  state_.OnListAnswer(Page(10, {Object("a", 1)}, "t1"));
  Next();
  state_.OnListAnswer(kGone);
  EXPECT_EQ(Next(), "list limit=2");
  state_.OnListAnswer(Page(20, {Object("b", 15)}));
  // What was seen in the first attempt does not count as seen.
  EXPECT_THAT(log_, ElementsAre("a@1", "b@15", "a gone@20", "synced"));
}

TEST_F(WatchStateTest, ServerErrorInMidStreamGoesOnFromTheLastVersion) {
  for (const int code : {429, 500}) {
    Sync(10, {});
    EXPECT_TRUE(state_.OnLine(EventLine("ADDED", Object("a", 20))));
    EXPECT_FALSE(state_.OnLine(ErrorEvent(code)));
    state_.OnStreamEnd(kEnded, seconds(1));
    EXPECT_EQ(Next(), "watch resourceVersion=20");
    EXPECT_EQ(delay_, milliseconds(100));
    state_.OnStreamEnd(kGone, seconds(0));  // Back to a list for the next code.
  }
}

TEST_F(WatchStateTest, BrokenLineEndsTheStreamAndKeepsTheVersion) {
  Sync(10, {});
  for (const char* line : {"{\"type\":\"ADDED\",\"obj", "[]", "{}", "{\"type\":\"ADDED\"}", "7",
                           "{\"type\":1,\"object\":{}}"}) {
    EXPECT_TRUE(state_.OnLine(EventLine("BOOKMARK", R"({"metadata":{"resourceVersion":"11"}})")));
    EXPECT_FALSE(state_.OnLine(line)) << line;
    state_.OnStreamEnd(kEnded, seconds(1));
    EXPECT_EQ(Next(), "watch resourceVersion=11");
    EXPECT_EQ(delay_, milliseconds(100));
  }
}

TEST_F(WatchStateTest, FailuresWaitLongerAndLongerAndNeverOverThirtySeconds) {
  std::vector<milliseconds> delays;
  for (int i = 0; i < 12; ++i) {
    Next();
    delays.push_back(delay_);
    state_.OnListAnswer(kNoConnection);
  }
  EXPECT_THAT(delays, ElementsAre(milliseconds(0), milliseconds(100), milliseconds(200),
                                  milliseconds(400), milliseconds(800), milliseconds(1600),
                                  milliseconds(3200), milliseconds(6400), milliseconds(12800),
                                  milliseconds(25600), milliseconds(30000), milliseconds(30000)));
  EXPECT_EQ(state_.last_error().message, "connection refused");
}

TEST_F(WatchStateTest, RecoveryForgetsTheFailures) {
  Sync(10, {});
  state_.OnStreamEnd(kNoConnection, seconds(0));
  state_.OnStreamEnd(kNoConnection, seconds(0));
  EXPECT_EQ(state_.failures(), 2);
  Next();
  state_.OnLine(EventLine("BOOKMARK", R"({"metadata":{"resourceVersion":"11"}})"));
  EXPECT_EQ(state_.failures(), 0);
}

TEST_F(WatchStateTest, WatchThatKeepsFailingIsListedAgain) {
  // E.g. after the server was restored from a backup: it does not know a version that new.
  Sync(1000, {});
  for (int i = 1; i < WatchState::kWatchFailuresMax; ++i) {
    state_.OnStreamEnd(Answer{504, R"({"message":"Too large resource version"})"}, seconds(0));
    EXPECT_EQ(Next(), "watch resourceVersion=1000");
  }
  state_.OnStreamEnd(Answer{504, R"({"message":"Too large resource version"})"}, seconds(0));
  EXPECT_EQ(Next(), "list limit=2");
}

TEST_F(WatchStateTest, WatchThatEndsAtOnceIsNotRepeatedInALoop) {
  Sync(10, {});
  state_.OnStreamEnd(kEnded, milliseconds(3));
  Next();
  EXPECT_EQ(delay_, milliseconds(100));
  state_.OnStreamEnd(kEnded, milliseconds(3));
  Next();
  EXPECT_EQ(delay_, milliseconds(200));
  state_.OnStreamEnd(kEnded, seconds(120));  // A quiet one that ran its time is a good one.
  Next();
  EXPECT_EQ(delay_, milliseconds(0));
}

TEST_F(WatchStateTest, WatchesWithoutEvenABookmarkLeadToAList) {
  Sync(1000, {});
  state_.OnStreamEnd(kEnded, seconds(120));
  EXPECT_EQ(Next(), "watch resourceVersion=1000");
  state_.OnLine(EventLine("BOOKMARK", R"({"metadata":{"resourceVersion":"1000"}})"));
  state_.OnStreamEnd(kEnded, seconds(120));
  EXPECT_EQ(Next(), "watch resourceVersion=1000");
  state_.OnStreamEnd(kEnded, seconds(120));
  EXPECT_EQ(Next(), "watch resourceVersion=1000");
  state_.OnStreamEnd(kEnded, seconds(120));
  EXPECT_EQ(Next(), "list limit=2");
  EXPECT_EQ(delay_, milliseconds(0));
}

TEST_F(WatchStateTest, ServersWishToWaitIsObeyedWithinReason) {
  Next();
  state_.OnListAnswer(Answer{429, "{}", seconds(3)});
  Next();
  EXPECT_EQ(delay_, seconds(4));  // Less a quarter of jitter is 3.
  state_.OnListAnswer(Answer{429, "{}", seconds(3600)});
  Next();
  EXPECT_EQ(delay_, seconds(30));
}

TEST_F(WatchStateTest, ForbiddenListIsTriedAgainAndSaysWhy) {
  Next();
  state_.OnListAnswer(Answer{403, R"({"message":"workerpools is forbidden"})"});
  EXPECT_EQ(state_.last_error(), (Error{ErrorKind::kForbidden, "403 workerpools is forbidden"}));
  EXPECT_EQ(Next(), "list limit=2");
}

TEST_F(WatchStateTest, UnreadableListIsAFailure) {
  for (const char* body : {"", "nonsense", "[]", "{}", R"({"metadata":{"resourceVersion":1}})"}) {
    Next();
    state_.OnListAnswer(Answer{200, body});
    EXPECT_EQ(state_.last_error().message, "unreadable answer to a list") << body;
    EXPECT_FALSE(state_.synced());
  }
}

}  // namespace
}  // namespace lanekeeper::kubernetes
