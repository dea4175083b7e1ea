#include "worker-runtime/base/duration.h"

#include <gtest/gtest.h>

namespace lanekeeper {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

TEST(ParseDurationTest, ReadsWhatPeopleWrite) {
  EXPECT_EQ(ParseDuration("30s").value(), seconds(30));
  EXPECT_EQ(ParseDuration("500ms").value(), milliseconds(500));
  EXPECT_EQ(ParseDuration("5m").value(), minutes(5));
  EXPECT_EQ(ParseDuration("6h").value(), hours(6));
  EXPECT_EQ(ParseDuration("1h30m").value(), minutes(90));
  EXPECT_EQ(ParseDuration("0s").value(), milliseconds(0));
  EXPECT_EQ(ParseDuration("87600h").value(), hours(87600));
}

TEST(ParseDurationTest, RefusesEverythingElseAndQuotesIt) {
  for (const char* bad :
       {"", "s", "30", "-5s", "+5s", "1.5s", "5 s", " 5s", "5s ", "5d", "5S", "1h30", "87601h",
        "87600h1ms", "99999999999999999999s", "9223372036854775807h"}) {
    const auto parsed = ParseDuration(bad);
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().kind, ErrorKind::kInvalid);
    EXPECT_EQ(parsed.error().message.rfind("\"" + std::string(bad) + "\"", 0), 0U)
        << parsed.error().message;
  }
}

TEST(FormatDurationTest, IsReadBackToTheSame) {
  EXPECT_EQ(FormatDuration(milliseconds(0)), "0s");
  EXPECT_EQ(FormatDuration(minutes(90)), "1h30m");
  EXPECT_EQ(FormatDuration(milliseconds(61'005)), "1m1s5ms");
  EXPECT_EQ(FormatDuration(milliseconds(-1500)), "-1s500ms");
  for (const std::int64_t count : {1, 999, 1000, 59'999, 3'600'000, 86'399'999}) {
    EXPECT_EQ(ParseDuration(FormatDuration(milliseconds(count))).value(), milliseconds(count));
  }
}

}  // namespace
}  // namespace lanekeeper
