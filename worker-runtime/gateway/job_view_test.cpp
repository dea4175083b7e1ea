#include "worker-runtime/gateway/job_view.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace lanekeeper::gateway {
namespace {

using nlohmann::json;

const LaneKey kLane{"studio", "media", "short"};
const WallTime kThen{std::chrono::seconds(1'767'225'600)};

// ---- Places ----

TEST(PlaceOfJobIdTest, IdsOfTheGatewayAndOfMessagesWithoutOneSayIt) {
  EXPECT_EQ(PlaceOfJobId("LK_studio_media_short.17.k3x9qa2b"),
            (JobPlace{"LK_studio_media_short", 17}));
  EXPECT_EQ(PlaceOfJobId("THUMBS.18446744073709551615"),
            (JobPlace{"THUMBS", 18446744073709551615U}));
}

TEST(PlaceOfJobIdTest, OtherIdsDoNot) {
  for (const char* id : {"", ".", ".17", "report", "report.", "report.x", "report.0", "report.017",
                         "report.-1", "report.18446744073709551616", "report.7.", "report.7.a.b",
                         "report.7.a b", "report.7 ", "report.7.*", "report.7x"}) {
    EXPECT_FALSE(PlaceOfJobId(id)) << id;
  }
}

TEST(LaneOfStreamTest, TheNameOfALanesStreamIsTheLane) {
  EXPECT_EQ(LaneOfStream(JobStreamName(kLane)), kLane);
  EXPECT_EQ(LaneOfStream("LK_a-b_c_d-1"), (LaneKey{"a-b", "c", "d-1"}));
}

TEST(LaneOfStreamTest, OtherStreamsAreNone) {
  for (const char* stream : {"", "LK", "LK_", "LK_a_b", "LK_a_b_", "LK__b_c", "LK_a_b_c_d",
                             "LK_a_b_DEAD", "LK_LEDGER", "lk_a_b_c", "LK_a_b_*", "THUMBS"}) {
    EXPECT_FALSE(LaneOfStream(stream)) << stream;
  }
}

// ---- States ----

TEST(ViewStateTest, NamesAreReadAsTheyAreWritten) {
  for (const auto state :
       {ViewState::kWaiting, ViewState::kRunning, ViewState::kParked, ViewState::kDone,
        ViewState::kDead, ViewState::kMoved, ViewState::kCancelled}) {
    EXPECT_EQ(ViewStateFromName(NameOf(state)), state);
  }
  EXPECT_FALSE(ViewStateFromName("flying"));
  EXPECT_FALSE(ViewStateFromName(""));
}

TEST(ViewStateTest, AMovedJobHasNotEnded) {
  EXPECT_TRUE(Ended(ViewState::kDone));
  EXPECT_TRUE(Ended(ViewState::kDead));
  EXPECT_TRUE(Ended(ViewState::kCancelled));
  EXPECT_FALSE(Ended(ViewState::kMoved));
  EXPECT_FALSE(Ended(ViewState::kParked));
}

TEST(ViewOfRecordTest, AJobThatWaitsForAnotherAttemptIsParked) {
  const JobView view =
      ViewOfRecord(kLane, {.id = "a", .type = "t", .state = JobState::kWaiting, .sequence = 7}, 9);
  EXPECT_EQ(view.state, ViewState::kParked);
  EXPECT_EQ(view.sequence, 7U);
  EXPECT_EQ(view.revision, 9U);
  EXPECT_EQ(view.type, "t");
  EXPECT_FALSE(Over(view));
}

// ---- JSON ----

json Written(const JobView& view) { return json::parse(WriteJobView(view)); }
json WrittenRecord(JobRecord record) {
  record.id = "a";
  return Written(ViewOfRecord(kLane, std::move(record), 3));
}

TEST(WriteJobViewTest, AWaitingJobSaysWhenItsTurnComes) {
  const JobView view{.id = "LK_studio_media_short.17.k3x9qa2b",
                     .lane = kLane,
                     .type = "thumbnail",
                     .sequence = 17,
                     .submitted_at = kThen,
                     .position = 4,
                     .eta = std::chrono::seconds(9)};
  EXPECT_EQ(Written(view), json::parse(R"({
      "id": "LK_studio_media_short.17.k3x9qa2b", "namespace": "studio", "pool": "media",
      "lane": "short", "type": "thumbnail", "state": "waiting",
      "submitted_at": "2026-01-01T00:00:00.000000Z", "position": 4, "eta_seconds": 9,
      "links": {"self": "/v1/jobs/LK_studio_media_short.17.k3x9qa2b",
                "events": "/v1/jobs/LK_studio_media_short.17.k3x9qa2b/events"}})"));
}

TEST(WriteJobViewTest, AnIdThatDoesNotSayItsPoolIsLinkedThroughIt) {
  EXPECT_EQ(Written({.id = "a b/../c", .lane = kLane})["links"]["self"],
            "/v1/pools/studio/media/jobs/a%20b%2F..%2Fc");
  // Of another pool, or made up by a producer.
  EXPECT_EQ(Written({.id = "LK_a_b_c.1", .lane = kLane})["links"]["self"],
            "/v1/pools/studio/media/jobs/LK_a_b_c.1");
}

TEST(WriteJobViewTest, EveryRunIsThereOnce) {
  JobRecord record{.state = JobState::kDone,
                   .worker = "w-2",
                   .started_at = kThen + std::chrono::seconds(5),
                   .ended_at = kThen + std::chrono::seconds(6),
                   .past_runs = {{kThen, kThen + std::chrono::seconds(1), "failed", "w-1", "no"}}};
  EXPECT_EQ(WrittenRecord(record)["runs"], json::parse(R"([
      {"started_at": "2026-01-01T00:00:00.000000Z", "ended_at": "2026-01-01T00:00:01.000000Z",
       "outcome": "failed", "worker": "w-1", "error": "no"},
      {"started_at": "2026-01-01T00:00:05.000000Z", "ended_at": "2026-01-01T00:00:06.000000Z",
       "outcome": "done", "worker": "w-2"}])"));
  record.state = JobState::kWaiting;
  record.past_runs[0].started_at = record.started_at;
  EXPECT_EQ(WrittenRecord(record)["runs"].size(), 1U);
}

TEST(WriteJobViewTest, ARunThatGoesOnHasNoEnd) {
  const json runs =
      WrittenRecord({.state = JobState::kRunning, .worker = "w", .started_at = kThen})["runs"];
  EXPECT_EQ(runs, json::parse(R"([{"started_at": "2026-01-01T00:00:00.000000Z",
                                   "worker": "w"}])"));
}

TEST(WriteJobViewTest, AJobThatNoHandlerSawHasNoRun) {
  EXPECT_FALSE(
      WrittenRecord({.state = JobState::kDead, .started_at = kThen, .dead_reason = "unknown-type"})
          .contains("runs"));
  EXPECT_FALSE(WrittenRecord({.state = JobState::kCancelled}).contains("runs"));
}

TEST(WriteJobViewTest, ADeadJobSaysWhy) {
  const json view = WrittenRecord({.state = JobState::kDead,
                                   .attempts = 5,
                                   .error = "disk \"full\"",
                                   .error_class = "io",
                                   .dead_reason = "attempts-used-up",
                                   .history = {{JobState::kDone, "", 1, 0, kThen}}});
  EXPECT_EQ(view["attempts"], 5);
  EXPECT_EQ(view["error"], json::parse(R"({"class": "io", "message": "disk \"full\""})"));
  EXPECT_EQ(view["dead"]["reason"], "attempts-used-up");
  EXPECT_EQ(view["history"][0]["state"], "done");
  EXPECT_EQ(view["revision"], 3);
}

TEST(WriteJobViewTest, PayloadsAndCheckpointsAreNeverShown) {
  const std::string text =
      WriteJobView(ViewOfRecord(kLane, {.id = "a", .checkpoint = "secret"}, 1));
  EXPECT_EQ(text.find("secret"), std::string::npos);
}

struct ResultCase {
  std::string result;
  const char* name;
  const char* value;  // JSON.
};

TEST(WriteJobViewTest, AResultIsShownAsWhatItIs) {
  for (const ResultCase& row :
       {ResultCase{R"({"a":[1,2]})", "result", R"({"a":[1,2]})"},
        ResultCase{"https://x/y.png", "result", R"("https://x/y.png")"},
        ResultCase{"{\"a\":", "result", R"("{\"a\":")"}, ResultCase{"42", "result", "42"},
        ResultCase{"two\nlines", "result", R"("two\nlines")"},
        ResultCase{"\xff\x01", "result_base64", R"("/wE=")"}}) {
    const json view = WrittenRecord({.state = JobState::kDone, .result = row.result});
    EXPECT_EQ(view[row.name], json::parse(row.value)) << row.result;
  }
}

// An event stream has one line a message, and other readers' numbers are not ours to round.
TEST(WriteJobViewTest, AJsonResultKeepsItsNumbersAndFitsIntoOneLine) {
  const std::string text =
      WriteJobView(ViewOfRecord(kLane,
                                {.id = "a",
                                 .state = JobState::kDone,
                                 .result = "{\n\"a\":1.10,\r\n\"b\":12345678901234567890123}"},
                                1));
  EXPECT_NE(text.find("\"a\":1.10,"), std::string::npos);
  EXPECT_NE(text.find("12345678901234567890123"), std::string::npos);
  EXPECT_EQ(text.find_first_of("\r\n"), std::string::npos);
}

TEST(WriteJobViewTest, BrokenTextIsReplacedAndNotThrown) {
  const json view = WrittenRecord({.progress = 0.4, .progress_note = "\xff", .error = "\xc3"});
  EXPECT_EQ(view["progress"]["fraction"], 0.4);
  EXPECT_EQ(view["error"]["message"], "\xef\xbf\xbd");
}

TEST(WriteJobViewTest, AJobThatIsGoneSaysSo) {
  EXPECT_EQ(Written({.id = "a", .lane = kLane, .gone = true})["gone"], true);
}

}  // namespace
}  // namespace lanekeeper::gateway
