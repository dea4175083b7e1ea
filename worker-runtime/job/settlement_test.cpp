#include "worker-runtime/job/settlement.h"

#include <gtest/gtest.h>

#include <string>

namespace lanekeeper {
namespace {

using std::chrono::milliseconds;
using std::chrono::system_clock;

const SettlementPolicy kPolicy{
    .attempts_max = 5, .backoff = {.initial = milliseconds(1000), .max = milliseconds(6000)}};

struct Case {
  const char* name;
  int delivery;
  Outcome outcome;
  Settlement expected;
};
void PrintTo(const Case& row, std::ostream* out) { *out << row.name; }

class DecideSettlementTest : public testing::TestWithParam<Case> {};

TEST_P(DecideSettlementTest, ReturnsExpectedSettlement) {
  EXPECT_EQ(DecideSettlement(kPolicy, GetParam().delivery, GetParam().outcome),
            GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, DecideSettlementTest,
    testing::Values(
        Case{"SuccessIsAcknowledged", 1, Done{}, Ack{}},
        Case{"LateSuccessIsASuccess", 9, Done{}, Ack{}},
        Case{"FirstFailureWaitsTheInitialBackoff", 1, Failed{"x"}, RetryAfter{milliseconds(1000)}},
        Case{"BackoffDoubles", 2, Failed{"x"}, RetryAfter{milliseconds(2000)}},
        Case{"BackoffStopsAtItsMaximum", 4, Failed{"x"}, RetryAfter{milliseconds(6000)}},
        Case{"LastAttemptFailed", 5, Failed{"x"}, DeadLetter{"attempts-used-up", "x"}},
        Case{"FailureInTheHeadroomIsFinal", 6, Failed{"x"}, DeadLetter{"attempts-used-up", "x"}},
        Case{"RejectionIsFinalAtOnce", 1, Rejected{"no"}, DeadLetter{"rejected", "no"}},
        Case{"RejectionIsFinalLateToo", 8, Rejected{"no"}, DeadLetter{"rejected", "no"}},
        Case{"InterruptionGoesBackAtOnce", 1, Interrupted{}, RetryAfter{milliseconds(0)}},
        Case{"InterruptionNeverKills", 8, Interrupted{}, RetryAfter{milliseconds(0)}}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(DecideSettlementTest, OneAttemptMeansOneRun) {
  const SettlementPolicy once{.attempts_max = 1};
  EXPECT_EQ(DecideSettlement(once, 1, Failed{"x"}),
            (Settlement{DeadLetter{"attempts-used-up", "x"}}));
}

const system_clock::time_point kNow{std::chrono::seconds(1'000'000)};

TEST(DecideReceiptTest, RunsAJobInsideAttemptsAndHeadroom) {
  EXPECT_EQ(DecideReceipt(kPolicy, 1, std::nullopt, kNow), std::nullopt);
  EXPECT_EQ(DecideReceipt(kPolicy, 5, std::nullopt, kNow), std::nullopt);
  EXPECT_EQ(DecideReceipt(kPolicy, 5 + kDeliveryHeadroom, std::nullopt, kNow), std::nullopt);
}

TEST(DecideReceiptTest, RefusesAJobThatNobodyLivedToSettle) {
  const auto letter = DecideReceipt(kPolicy, 5 + kDeliveryHeadroom + 1, std::nullopt, kNow);
  ASSERT_TRUE(letter);
  EXPECT_EQ(letter->reason, "worker-deaths");
  EXPECT_EQ(letter->message, "started 8 times and never settled: its workers died or gave it back");
}

TEST(DecideReceiptTest, RefusesAJobAfterItsDeadline) {
  EXPECT_EQ(DecideReceipt(kPolicy, 1, kNow + milliseconds(1), kNow), std::nullopt);
  const auto letter = DecideReceipt(kPolicy, 1, kNow, kNow);
  ASSERT_TRUE(letter);
  EXPECT_EQ(letter->reason, "deadline-passed");
}

TEST(DecideReceiptTest, DeathsAreMoreTellingThanTheDeadline) {
  const auto letter = DecideReceipt(kPolicy, 9, kNow - milliseconds(1), kNow);
  ASSERT_TRUE(letter);
  EXPECT_EQ(letter->reason, "worker-deaths");
}

}  // namespace
}  // namespace lanekeeper
