#include "worker-runtime/client/retry.h"

#include <gtest/gtest.h>

#include <ostream>

namespace lanekeeper::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kMinute{60'000};

struct Case {
  const char* name;
  TryEnd end;
  int tries;
  milliseconds left;
  std::optional<milliseconds> expected;
};

void PrintTo(const Case& row, std::ostream* out) { *out << row.name; }

class DecideRetryTest : public testing::TestWithParam<Case> {};

TEST_P(DecideRetryTest, ReturnsExpectedPause) {
  const RetryPolicy policy{.retries = 3,
                           .backoff = {.initial = milliseconds(100), .max = milliseconds(300)}};
  const Case& row = GetParam();
  EXPECT_EQ(DecideRetry(policy, row.end, row.tries, row.left, /*random=*/0), row.expected);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, DecideRetryTest,
    testing::Values(
        Case{"NoAnswerIsTriedAgain", {0, {}}, 1, kMinute, milliseconds(100)},
        Case{"PausesGrow", {503, {}}, 2, kMinute, milliseconds(200)},
        Case{"ToTheMaximum", {500, {}}, 3, kMinute, milliseconds(300)},
        Case{"TheLastTryIsTheLast", {503, {}}, 4, kMinute, std::nullopt},
        Case{"AWrongRequestStaysWrong", {400, {}}, 1, kMinute, std::nullopt},
        Case{"AConflictStaysOne", {409, {}}, 1, kMinute, std::nullopt},
        Case{"WhatIsNotImplementedStaysSo", {501, {}}, 1, kMinute, std::nullopt},
        Case{"RetryAfterIsObeyed", {429, seconds(7)}, 1, kMinute, milliseconds(7100)},
        Case{"RetryAfterBeyondTheTimeLeftIsNone", {429, seconds(7)}, 1, seconds(7), std::nullopt},
        Case{"NoTimeLeft", {0, {}}, 1, milliseconds(0), std::nullopt}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace lanekeeper::client
