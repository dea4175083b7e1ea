#include "worker-runtime/handlers/http_answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>

#include "worker-runtime/handlers/job_lines.h"

namespace lanekeeper::handlers {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::Pair;

// Sun, 06 Nov 1994 08:49:37 GMT.
const WallTime kNow{seconds(784111777)};

struct Case {
  const char* name;
  HttpAnswer answer;
  Outcome expected;
};
void PrintTo(const Case& row, std::ostream* out) { *out << row.name; }

class OutcomeOfAnswerTest : public testing::TestWithParam<Case> {};

TEST_P(OutcomeOfAnswerTest, FollowsTheContract) {
  EXPECT_EQ(OutcomeOfAnswer(GetParam().answer, kNow), GetParam().expected);
}

Failed FailedWith(int status, std::optional<milliseconds> retry_after = std::nullopt) {
  const std::string number = std::to_string(status);
  return {"answered " + number, "http " + number, {}, retry_after};
}
Rejected RejectedWith(int status) {
  const std::string number = std::to_string(status);
  return {"answered " + number, "http " + number};
}

INSTANTIATE_TEST_SUITE_P(
    Rows, OutcomeOfAnswerTest,
    testing::Values(
        Case{"OkIsDoneWithItsBody", {200, "", "s3://thumbs/1"}, Done{"s3://thumbs/1"}},
        Case{"NoContentIsDone", {204}, Done{}},
        Case{"ARedirectIsNotFollowed", {302}, FailedWith(302)},
        Case{"BadRequestIsRejected",
             {400, "", "no width\nin line 3"},
             Rejected{"answered 400: in line 3", "http 400", {"no width", "in line 3"}}},
        Case{"NotFoundIsRejected", {404}, RejectedWith(404)},
        Case{"RequestTimeoutIsFailed", {408}, FailedWith(408)},
        Case{"ConflictIsFailed", {409}, FailedWith(409)},
        Case{"UnprocessableIsRejected", {422}, RejectedWith(422)},
        Case{"TooEarlyIsFailed", {425}, FailedWith(425)},
        Case{"TooManyWaitsAsTold", {429, "120"}, FailedWith(429, seconds(120))},
        Case{"ServerErrorIsFailed", {500}, FailedWith(500)},
        Case{"UnavailableWaitsUntilTheDate",
             {503, "Sun, 06 Nov 1994 08:51:37 GMT"},
             FailedWith(503, seconds(120))},
        Case{"ADateInThePastIsNow",
             {503, "Sun, 06 Nov 1994 08:00:00 GMT"},
             FailedWith(503, seconds(0))},
        Case{"NonsenseIsNoDelay", {503, "soon"}, FailedWith(503)},
        Case{"NegativeIsNoDelay", {503, "-5"}, FailedWith(503)},
        Case{"AnImpossibleDateIsNoDelay", {503, "Sun, 31 Feb 1994 08:51:37 GMT"}, FailedWith(503)},
        Case{"ALongDelayIsBounded", {503, "4000000000"}, FailedWith(503, kRetryAfterMax)},
        Case{"AFarDateIsBounded",
             {503, "Sun, 06 Nov 9994 08:51:37 GMT"},
             FailedWith(503, kRetryAfterMax)}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(HttpHeadersOfTest, SayWhatTheJobIsAbout) {
  const Job job({.headers = {{"X-Tenant", "a"}, {"Content-Type", "image/png"}}},
                {.id = "order-1", .type = "thumbnail", .traceparent = "00-1"},
                {.attempt = 2, .attempts_max = 5, .run = 3, .fence = 81, .timeout = seconds(30)});
  EXPECT_THAT(HttpHeadersOf(job),
              ElementsAre(Pair("Lk-Job-Id", "order-1"), Pair("Lk-Job-Type", "thumbnail"),
                          Pair("Lk-Job-Attempt", "2"), Pair("Lk-Job-Attempts", "5"),
                          Pair("Lk-Job-Run", "3"), Pair("Lk-Job-Fence", "81"),
                          Pair("Lk-Job-Timeout-Ms", "30000"), Pair("Content-Type", "image/png"),
                          Pair("traceparent", "00-1"), Pair("Lk-Header-X-Tenant", "a"),
                          Pair("Lk-Header-Content-Type", "image/png")));
}

TEST(HttpHeadersOfTest, WhatHttpCannotCarryIsLeftOut) {
  Headers headers{{"X-Tenant", "first"},
                  {"x-tenant", "second"},
                  {"Bad Name", "x"},
                  {"L\xc3\xa4nge", "x"},
                  {"Split", "x\r\nLk-Job-Id: other"},
                  {"Long", std::string(kHttpHeaderValueBytesMax + 1, 'x')},
                  {"Content-Type", "x\r\ny"}};
  EXPECT_THAT(HttpHeadersOf(Job({.headers = headers}, {})),
              AllOf(Contains(Pair("Lk-Header-X-Tenant", "first")),
                    Contains(Pair("Content-Type", "application/octet-stream"))));
  EXPECT_EQ(HttpHeadersOf(Job({.headers = headers}, {})).size(), 9U);
  for (int n = 0; n < 500; ++n) headers.emplace_back("H" + std::to_string(n), "x");
  EXPECT_EQ(HttpHeadersOf(Job({.headers = headers}, {})).size(), 8 + kHttpHeadersMax);
}

}  // namespace
}  // namespace lanekeeper::handlers
