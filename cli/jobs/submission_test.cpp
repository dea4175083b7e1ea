#include "cli/jobs/submission.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/jobs/job_text.h"

namespace lanekeeper::jobs {
namespace {

using testing::HasSubstr;

const WallTime kNow{std::chrono::hours(24 * 365 * 50)};

TEST(JobFlagsTest, AreRead) {
  const auto job = ReadJobFlags({.lane = "short",
                                 .type = "t",
                                 .key = "k",
                                 .timeout = "30s",
                                 .deadline = "10m",
                                 .headers = {"a=b", "c=d=e"}},
                                kNow);
  ASSERT_TRUE(job) << job.error().message;
  EXPECT_EQ(job->lane, "short");
  EXPECT_EQ(job->idempotency_key, "k");
  EXPECT_EQ(job->timeout, std::chrono::seconds(30));
  EXPECT_EQ(job->deadline, kNow + std::chrono::minutes(10));
  EXPECT_THAT(job->headers,
              testing::ElementsAre(testing::Pair("a", "b"), testing::Pair("c", "d=e")));
}

TEST(JobFlagsTest, AnErrorNamesTheFlag) {
  for (const auto& [flags, name] : {std::pair(JobFlags{.timeout = "0s"}, "--job-timeout"),
                                    std::pair(JobFlags{.timeout = "x"}, "--job-timeout"),
                                    std::pair(JobFlags{.deadline = "tomorrow"}, "--deadline"),
                                    std::pair(JobFlags{.headers = {"x"}}, "--header"),
                                    std::pair(JobFlags{.headers = {"=x"}}, "--header")}) {
    const auto job = ReadJobFlags(flags, kNow);
    ASSERT_FALSE(job) << name;
    EXPECT_EQ(job.error().kind, ErrorKind::kInvalid);
    EXPECT_THAT(job.error().message, HasSubstr(name));
  }
}

TEST(ReadTimeTest, IsATimeOrADurationFromNow) {
  EXPECT_EQ(*ReadTime("1970-01-01T00:00:01Z", kNow, true), WallTime(std::chrono::seconds(1)));
  EXPECT_EQ(*ReadTime("1h", kNow, true), kNow + std::chrono::hours(1));
  EXPECT_EQ(*ReadTime("1h", kNow, false), kNow - std::chrono::hours(1));
  EXPECT_FALSE(ReadTime("", kNow, false));
}

TEST(ReadLinesTest, EachIsAJobAndWhatItDoesNotSayIsAsInTheFlags) {
  const auto lines = ReadLines(
      "{\"type\":\"a\",\"payload\":{\"x\":1}}\r\n"
      "\n"
      "{\"payload_base64\":\"AP8=\",\"lane\":\"long\",\"timeout\":\"5s\",\"deadline\":\"1m\","
      "\"headers\":{\"h\":\"v\"},\"idempotency_key\":\"k\"}",
      {.type = "default", .lane = "short"}, kNow);
  ASSERT_TRUE(lines) << lines.error().message;
  ASSERT_EQ(lines->size(), 2U);
  EXPECT_EQ((*lines)[0].number, 1U);
  EXPECT_EQ((*lines)[0].job.type, "a");
  EXPECT_EQ((*lines)[0].job.lane, "short");
  EXPECT_EQ((*lines)[0].job.payload, "{\"x\":1}");
  EXPECT_EQ((*lines)[1].number, 3U);
  EXPECT_EQ((*lines)[1].job.type, "default");
  EXPECT_EQ((*lines)[1].job.payload, std::string("\0\xff", 2));
  EXPECT_EQ((*lines)[1].job.idempotency_key, "k");
  EXPECT_EQ((*lines)[1].job.deadline, kNow + std::chrono::minutes(1));
}

TEST(ReadLinesTest, TheFirstThatIsWrongIsNamed) {
  for (const auto& [text, part] :
       {std::pair("", "no job"), std::pair("\n \n", "no job"), std::pair("{}\nx", "line 2: is no"),
        std::pair("[]", "line 1"), std::pair(R"({"typ":"x"})", "typ: does not exist"),
        std::pair(R"({"type":1})", "type: must be a text"),
        std::pair(R"({"payload":"","payload_base64":""})", "both given"),
        std::pair(R"({"payload_base64":"*"})", "no base64"),
        std::pair(R"({"timeout":"0s"})", "timeout: must be longer"),
        std::pair(R"({"headers":{"a":1}})", "headers: a must be a text")}) {
    const auto lines = ReadLines(text, {}, kNow);
    ASSERT_FALSE(lines) << text;
    EXPECT_THAT(lines.error().message, HasSubstr(part)) << text;
  }
}

TEST(ReadInputTest, IsBounded) {
  std::istringstream in("12345");
  EXPECT_EQ(*ReadInput("-", in, 5), "12345");
  std::istringstream large("123456");
  EXPECT_FALSE(ReadInput("-", large, 5));
  EXPECT_FALSE(ReadInput("/nonexistent/file", in, 5));
}

TEST(JobTextTest, AChangeIsALineThatCannotDriveATerminal) {
  JobStatus job{.id = "x", .state = "running", .attempts = 2, .progress = 0.4};
  job.progress_note = "page \x1b[2J 3\n";
  EXPECT_EQ(ChangeLine(job), "running  attempts 2  40 %  page \\x1b[2J 3\\x0a");
}

TEST(JobTextTest, AJobThatNeverRanSaysWhatCameOfItAllTheSame) {
  EXPECT_EQ(NoRunsText({{"state", "dead"},
                        {"error", {{"class", "unknown-type"}, {"message", "no handler for x"}}}}),
            "It has not run, or its lane keeps no records: it is dead: unknown-type: no handler "
            "for x.");
  EXPECT_EQ(NoRunsText({{"state", "waiting"}}),
            "It has not run, or its lane keeps no records: it is waiting.");
}

TEST(JobTextTest, TheEndSaysWhy) {
  JobStatus job{.id = "x", .state = "dead", .error = "disk full"};
  job.dead_reason = "attempts-used-up";
  EXPECT_EQ(EndText(job), "job x is dead: attempts-used-up: disk full");
}

TEST(JobTextTest, ARunHasItsWorkerItsTimesAndItsError) {
  const auto run = nlohmann::json::parse(
      R"({"outcome":"failed","worker":"w-1","started_at":"a","ended_at":"b","error":"no"})");
  EXPECT_EQ(RunText(2, run), "run 2  failed  worker w-1  started a  ended b\n  no");
  EXPECT_EQ(RunText(1, nlohmann::json::object()), "run 1  running");
}

}  // namespace
}  // namespace lanekeeper::jobs
