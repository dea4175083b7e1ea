#include "worker-runtime/nats/job_record_json.h"

#include <gtest/gtest.h>

#include <string>

namespace lanekeeper::nats {
namespace {

using std::chrono::nanoseconds;

WallTime At(std::int64_t nanos) { return WallTime(nanoseconds(1'764'100'000'123'456'789 + nanos)); }

JobRecord FullRecord() {
  return {
      .id = "report \"7\"",
      .type = "report",
      .state = JobState::kDead,
      .sequence = 18'000'000'000'000'000'000U,
      .stored_at = At(0),
      .moved_from = "short.17",
      .attempts = 3,
      .crashes = 1,
      .interruptions = 2,
      .runs = 6,
      .worker = "media-short-x",
      .instance = "a1b2",
      .first_started_at = At(1),
      .started_at = At(2),
      .ended_at = At(3),
      .progress = 0.4,
      .progress_note = "page 12 \xe2\x82\xac",
      .checkpoint = std::string("\0\xff", 2),
      .result = "https://example.com/out.png",
      .error = "disk \"full\"\n",
      .error_class = "io",
      .dead_reason = "attempts-used-up",
      .moved_to = "long",
      .history = {{JobState::kDone, "", 1, 0, At(4)}, {JobState::kDead, "rejected", 2, 1, At(5)}},
      .past_runs = {{At(6), At(7), "failed", "media-short-x", "disk \"full\""},
                    {At(8), At(9), "interrupted", "media-short-y", ""}}};
}

TEST(JobRecordJson, ReadsBackEverythingItWrote) {
  const JobRecord record = FullRecord();
  const auto read = ReadJobRecord(WriteJobRecord(record));
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(*read, record);
}

TEST(JobRecordJson, LeavesOutWhatIsEmpty) {
  EXPECT_EQ(WriteJobRecord({.id = "a", .state = JobState::kRunning, .sequence = 7, .runs = 1}),
            R"({"v":1,"id":"a","state":"running","sequence":7,"runs":1})");
}

struct BadCase {
  const char* text;
  const char* field;
};

TEST(JobRecordJson, NamesTheFieldThatIsWrong) {
  for (const BadCase& row :
       {BadCase{"", "not a JSON object"}, BadCase{"[1]", "not a JSON object"},
        BadCase{R"({"state":"done"})", "id"}, BadCase{R"({"id":"a"})", "state"},
        BadCase{R"({"id":"a","state":"flying"})", "state"},
        BadCase{R"({"id":"a","state":"done","attempts":-1})", "attempts"},
        BadCase{R"({"id":"a","state":"done","runs":"1"})", "runs"},
        BadCase{R"({"id":"a","state":"done","stored":"now"})", "stored"},
        BadCase{R"({"id":"a","state":"done","progress":2})", "progress"},
        BadCase{R"({"id":"a","state":"done","result_base64":"!"})", "result_base64"},
        BadCase{R"({"id":"a","state":"done","history":[{"state":"x"}]})", "history.state"},
        BadCase{R"({"id":"a","state":"done","history":[1]})", "history"},
        BadCase{R"({"id":"a","state":"done","past_runs":{}})", "past_runs"},
        BadCase{R"({"id":"a","state":"done","past_runs":[{"ended":"x"}]})", "past_runs.ended"}}) {
    const auto read = ReadJobRecord(row.text);
    ASSERT_FALSE(read.has_value()) << row.text;
    EXPECT_EQ(read.error().message, std::string("job record: ") + row.field);
  }
}

}  // namespace
}  // namespace lanekeeper::nats
