#include "worker-runtime/handlers/job_lines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "worker-runtime/handlers/testing/fake_job_context.h"
#include "worker-runtime/job/job_record.h"

namespace lanekeeper::handlers {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;

struct GoodCase {
  const char* name;
  const char* line;
  JobLine expected;
};
void PrintTo(const GoodCase& row, std::ostream* out) { *out << row.name; }

class ReadJobLineTest : public testing::TestWithParam<GoodCase> {};

TEST_P(ReadJobLineTest, IsUnderstood) {
  const auto line = ReadJobLine(GetParam().line);
  ASSERT_TRUE(line) << line.error().message;
  EXPECT_EQ(*line, GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, ReadJobLineTest,
    testing::Values(
        GoodCase{"Ready", R"({"ready":true})", {.ready = true}},
        GoodCase{
            "Progress", R"({"progress":0.4,"note":"page 12"})", {.progress = {{0.4, "page 12"}}}},
        GoodCase{"ProgressWithoutNote", R"({"progress":1})", {.progress = {{1, ""}}}},
        GoodCase{"Checkpoint", R"({"checkpoint":"text"})", {.checkpoint = "text"}},
        GoodCase{"EmptyCheckpoint", R"({"checkpoint":""})", {.checkpoint = ""}},
        GoodCase{"CheckpointInBase64",
                 R"({"checkpoint_base64":"AAEC"})",
                 {.checkpoint = std::string("\0\1\2", 3)}},
        GoodCase{"Result", R"({"result":"text"})", {.result = "text"}},
        GoodCase{"SeveralAtOnce",
                 R"({"progress":0.5,"checkpoint":"c"})",
                 {.progress = {{0.5, ""}}, .checkpoint = "c"}},
        GoodCase{"Done", R"({"outcome":"done","result":"r"})", {.result = "r", .outcome = Done{}}},
        GoodCase{
            "Failed",
            R"({"outcome":"failed","why":"away","error_class":"IOError","retry_after_ms":1500})",
            {.outcome = Failed{"away", "IOError", {}, milliseconds(1500)}}},
        GoodCase{"FailedWithoutMore", R"({"outcome":"failed"})", {.outcome = Failed{}}},
        GoodCase{"RetryAfterIsBounded",
                 R"({"outcome":"failed","retry_after_ms":18446744073709551615})",
                 {.outcome = Failed{"", "", {}, kRetryAfterMax}}},
        GoodCase{"Rejected", R"({"outcome":"rejected","why":"bad"})", {.outcome = Rejected{"bad"}}},
        GoodCase{"Interrupted", R"({"outcome":"interrupted"})", {.outcome = Interrupted{}}},
        GoodCase{
            "FieldsOfLaterVersionsArePassedOver", R"({"result":"r","colour":7})", {.result = "r"}}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(ReadJobLineTest, AProblemIsNamed) {
  const std::pair<const char*, const char*> rows[] = {
      {"nonsense", "no JSON object"},
      {"[1]", "no JSON object"},
      {"", "no JSON object"},
      {R"({"colour":7})", "without \"progress\""},
      {R"({"ready":false})", "without \"progress\""},
      {R"({"progress":"0.4"})", "\"progress\" is not a number"},
      {R"({"progress":0.4,"note":7})", "\"note\" is not a string"},
      {R"({"checkpoint":7})", "\"checkpoint\" is not a string"},
      {R"({"checkpoint_base64":"*"})", "\"checkpoint_base64\" is not base64"},
      {R"({"outcome":"fine"})", "\"outcome\" is not done, failed, rejected or interrupted"},
      {R"({"outcome":7})", "\"outcome\" is not a string"},
      {R"({"outcome":"failed","retry_after_ms":-1})", "\"retry_after_ms\" is not a number"},
  };
  for (const auto& [line, problem] : rows) {
    const auto read = ReadJobLine(line);
    ASSERT_FALSE(read) << line;
    EXPECT_EQ(read.error().kind, ErrorKind::kInvalid);
    EXPECT_THAT(read.error().message, HasSubstr(problem));
  }
  const auto long_line = ReadJobLine(R"({"result":")" + std::string(kJobLineBytesMax, 'x') + "\"}");
  ASSERT_FALSE(long_line);
  EXPECT_THAT(long_line.error().message, HasSubstr("more than 524288 bytes"));
}

TEST(ReadJobLineTest, TheLargestCheckpointFitsIntoALine) {
  const std::string base64(kCheckpointBytesMax / 3 * 4 + 4, 'A');
  EXPECT_TRUE(ReadJobLine(R"({"checkpoint_base64":")" + base64 + "\"}"));
}

TEST(ReadJobLineTest, WhatGoesIntoARecordIsBounded) {
  const auto line = ReadJobLine(R"({"outcome":"failed","why":")" + std::string(100000, 'x') +
                                R"(","error_class":")" + std::string(100000, 'x') + "\"}");
  ASSERT_TRUE(line);
  const auto& failed = std::get<Failed>(*line->outcome);
  EXPECT_EQ(failed.why.size(), kWhyBytesMax);
  EXPECT_EQ(failed.error_class.size(), kErrorClassBytesMax);
}

TEST(ApplyTest, GivesTheJobProgressAndCheckpoint) {
  FakeJobContext context;
  Job job({}, {}, {}, &context);
  EXPECT_EQ(Apply({.progress = {{0.5, "half"}}}, job), "");
  EXPECT_EQ(Apply({.checkpoint = "c"}, job), "{\"stored\":true}\n");
  EXPECT_THAT(context.progress, ElementsAre(std::pair<double, std::string>(0.5, "half")));
  EXPECT_EQ(job.checkpoint(), "c");
  context.checkpoint_answer = Fail(ErrorKind::kRetryable, "timeout");
  EXPECT_EQ(Apply({.checkpoint = "d"}, job), "{\"error\":\"timeout\",\"stored\":false}\n");
}

TEST(JobStartLineTest, SaysEverythingAboutTheJob) {
  const Job job({.payload = "text", .headers = {{"X-Tenant", "a"}, {"X-Tenant", "b"}}},
                {.id = "j-1", .type = "t", .traceparent = "00-1"},
                {.attempt = 2,
                 .attempts_max = 5,
                 .run = 3,
                 .fence = 81,
                 .checkpoint = std::string("\xff\0", 2),
                 .timeout = milliseconds(30000)});
  const std::string line = JobStartLine(job, {"studio", "media", "short"});
  EXPECT_EQ(line.back(), '\n');
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  const auto expected = nlohmann::json::parse(R"({"job":{
      "id":"j-1","type":"t","attempt":2,"attempts_max":5,"run":3,"fence":81,"timeout_ms":30000,
      "lane":"short","pool":"media","namespace":"studio","headers":{"X-Tenant":"a"},
      "traceparent":"00-1","payload":"text","checkpoint_base64":"/wA="}})");
  EXPECT_EQ(nlohmann::json::parse(line), expected);
}

TEST(JobStartLineTest, NoBytesOfAJobBreakTheLine) {
  const Job job({.payload = "\xff\n", .headers = {{"L\xff", "\n\xfe"}}}, {.id = "\xc3"});
  const std::string line = JobStartLine(job, {});
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  EXPECT_EQ(nlohmann::json::parse(line)["job"]["payload_base64"], "/wo=");
}

}  // namespace
}  // namespace lanekeeper::handlers
