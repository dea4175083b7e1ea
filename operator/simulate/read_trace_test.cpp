#include "operator/simulate/read_trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lanekeeper::simulate {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(ReadTraceTest, ReadsItsOwnFormat) {
  const auto trace = ReadTrace(
      "arrival_seconds,service_seconds,type\n"
      "0.5,2,thumbnail\r\n"
      "\n"
      "3,1e1,transcode\n",
      {});
  ASSERT_TRUE(trace) << trace.error().message;
  EXPECT_THAT(*trace, ElementsAre(Job{milliseconds(500), seconds(2), "thumbnail"},
                                  Job{seconds(3), seconds(10), "transcode"}));
}

TEST(ReadTraceTest, ColumnsMayStandInAnyOrderAndLinesToo) {
  const auto trace = ReadTrace("service_seconds,note,arrival_seconds\n2,x,9\n1,y,4", {});
  ASSERT_TRUE(trace) << trace.error().message;
  EXPECT_THAT(*trace,
              ElementsAre(Job{seconds(4), seconds(1), ""}, Job{seconds(9), seconds(2), ""}));
}

TEST(ReadTraceTest, AzureTellsTokensNotSeconds) {
  const auto trace = ReadTrace(
      "TIMESTAMP,ContextTokens,GeneratedTokens\n"
      "2023-11-16 23:59:59.5000000,374,10\n"
      "2023-11-17 00:00:01.0000000,396,100\n",
      {.format = TraceFormat::kAzureLlm});
  ASSERT_TRUE(trace) << trace.error().message;
  EXPECT_THAT(*trace, ElementsAre(Job{seconds(0), milliseconds(500), ""},
                                  Job{milliseconds(1500), milliseconds(3200), ""}));
}

TEST(ReadTraceTest, AFasterClockBringsJobsCloserAndLeavesThemAsLong) {
  const auto trace = ReadTrace(
      "gmt_create,predict_type,predict_status,exec_time_seconds\n"
      "2024-02-28 23:59:50,TXT_2_IMG,SUCCEED,32.0\n"
      "2024-03-01 00:00:00,IMG_2_IMG,FAILED,0.0\n",
      {.format = TraceFormat::kAlibabaGenAi, .speed_up = 10});
  ASSERT_TRUE(trace) << trace.error().message;
  EXPECT_THAT(*trace, ElementsAre(Job{seconds(0), seconds(32), "TXT_2_IMG"},
                                  Job{seconds(8641), seconds(0), "IMG_2_IMG"}))
      << "a leap day lies between them";
}

struct Bad {
  const char* name;
  const char* text;
  TraceFormat format;
  const char* message;
};
void PrintTo(const Bad& row, std::ostream* out) { *out << row.name; }

class BadTraceTest : public testing::TestWithParam<Bad> {};

TEST_P(BadTraceTest, SaysWhereAndWhat) {
  const auto trace = ReadTrace(GetParam().text, {.format = GetParam().format});
  ASSERT_FALSE(trace);
  EXPECT_EQ(trace.error().kind, ErrorKind::kInvalid);
  EXPECT_THAT(trace.error().message, HasSubstr(GetParam().message));
}

constexpr auto kPlain = TraceFormat::kPlain;
INSTANTIATE_TEST_SUITE_P(
    Rows, BadTraceTest,
    testing::Values(
        Bad{"Empty", "", kPlain, "no job in the trace"},
        Bad{"OnlyAHeader", "arrival_seconds,service_seconds\n", kPlain, "no job in the trace"},
        Bad{"NoHeader", "1,2\n", kPlain,
            "line 1: the header must name the columns arrival_seconds"},
        Bad{"TooFewColumns", "arrival_seconds,service_seconds\n1,2\n3\n", kPlain,
            "line 3: has 1 columns"},
        Bad{"NoNumber", "arrival_seconds,service_seconds\n1,soon\n", kPlain,
            "line 2: service_seconds must be a number of seconds from 0 to ten years, is \"soon\""},
        Bad{"NotFinite", "arrival_seconds,service_seconds\ninf,1\n", kPlain,
            "line 2: arrival_seconds must be"},
        Bad{"BelowZero", "arrival_seconds,service_seconds\n1,-1\n", kPlain, "is \"-1\""},
        Bad{"Huge", "arrival_seconds,service_seconds\n1,1e300\n", kPlain, "is \"1e300\""},
        Bad{"NoTime", "TIMESTAMP,GeneratedTokens\nyesterday,4\n", TraceFormat::kAzureLlm,
            "line 2: TIMESTAMP must be a time like"},
        Bad{"NoSuchDay", "TIMESTAMP,GeneratedTokens\n2023-02-30 10:00:00,4\n",
            TraceFormat::kAzureLlm, "line 2: TIMESTAMP must be a time like"}),
    [](const auto& test) { return test.param.name; });

TEST(ReadTraceTest, TheClockRunsForward) {
  EXPECT_FALSE(ReadTrace("arrival_seconds,service_seconds\n1,1\n", {.speed_up = 0}));
  EXPECT_FALSE(ReadTrace("arrival_seconds,service_seconds\n1,1\n", {.speed_up = -1}));
}

}  // namespace
}  // namespace lanekeeper::simulate
