#include "worker-runtime/job/rfc3339.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace lanekeeper {
namespace {

struct Case {
  const char* name;
  const char* text;
  std::optional<std::int64_t> expected_ms;  // Since 1970; nothing = refused.
};
void PrintTo(const Case& row, std::ostream* out) { *out << row.name; }

class ParseRfc3339Test : public testing::TestWithParam<Case> {};

TEST_P(ParseRfc3339Test, ReturnsExpectedTime) {
  const auto time = ParseRfc3339(GetParam().text);
  std::optional<std::int64_t> milliseconds;
  if (time) {
    milliseconds = std::chrono::floor<std::chrono::milliseconds>(time->time_since_epoch()).count();
  }
  EXPECT_EQ(milliseconds, GetParam().expected_ms);
}

constexpr auto kRefused = std::nullopt;

INSTANTIATE_TEST_SUITE_P(
    Rows, ParseRfc3339Test,
    testing::Values(Case{"Utc", "2026-11-24T22:28:40Z", 1795559320000},
                    Case{"LowerCase", "2026-11-24t22:28:40z", 1795559320000},
                    Case{"Fraction", "2026-11-24T22:28:40.25Z", 1795559320250},
                    Case{"ManyFractionDigits", "2026-11-24T22:28:40.123456789012345Z",
                         1795559320123},
                    Case{"EastOfGreenwich", "2026-11-24T23:28:40+01:00", 1795559320000},
                    Case{"WestOfGreenwich", "2026-11-24T18:58:40-03:30", 1795559320000},
                    Case{"LeapDay", "2028-02-29T00:00:00Z", 1835395200000},
                    Case{"LeapSecond", "2016-12-31T23:59:60Z", 1483228800000},
                    Case{"FarFutureDoesNotOverflow", "9999-12-31T23:59:59Z", 7258118400000},
                    Case{"FarPastDoesNotOverflow", "0001-01-01T00:00:00Z", 0},
                    Case{"NoLeapDay", "2027-02-29T00:00:00Z", kRefused},
                    Case{"Month13", "2026-13-01T00:00:00Z", kRefused},
                    Case{"Hour24", "2026-11-24T24:00:00Z", kRefused},
                    Case{"NoOffset", "2026-11-24T22:28:40", kRefused},
                    Case{"NoTime", "2026-11-24", kRefused},
                    Case{"EmptyFraction", "2026-11-24T22:28:40.Z", kRefused},
                    Case{"TextBehind", "2026-11-24T22:28:40Z ", kRefused},
                    Case{"OffsetTooLarge", "2026-11-24T22:28:40+24:00", kRefused},
                    Case{"Words", "tomorrow", kRefused}, Case{"Nothing", "", kRefused}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace lanekeeper
