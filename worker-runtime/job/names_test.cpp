#include "worker-runtime/job/names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace lanekeeper {
namespace {

const LaneKey kKey{"studio", "media", "short"};

TEST(NamesTest, AreThoseOfTheQueueContract) {
  EXPECT_EQ(JobStreamName(kKey), "LK_studio_media_short");
  EXPECT_EQ(JobSubject(kKey), "lk.jobs.studio.media.short");
  EXPECT_EQ(DeadStreamName("studio", "media"), "LK_studio_media_DEAD");
  EXPECT_EQ(DeadSubject(kKey), "lk.dead.studio.media.short");
  EXPECT_EQ(DeadSubjectFilter("studio", "media"), "lk.dead.studio.media.*");
  EXPECT_EQ(WorkerReportSubject(kKey, "w-1"), "lk.v1.worker.studio.media.short.w-1");
  EXPECT_EQ(WorkerControlSubject(kKey, "w-1"), "lk.v1.control.studio.media.short.w-1");
  EXPECT_EQ(WakeSubject(kKey), "lk.v1.wake.studio.media.short");
  EXPECT_EQ(LedgerSubject(kKey), "lk.ledger.studio.media.short");
  EXPECT_EQ(ToString(kKey), "studio/media/short");
  EXPECT_EQ(RecordKey(kKey, "order-1"), "studio.media.short.order-1");
  EXPECT_EQ(RecordSubject(kKey, "order-1"), "$KV.LK_jobs.studio.media.short.order-1");
  EXPECT_EQ(RecordSubjectFilter(kKey), "$KV.LK_jobs.studio.media.short.*");
}

// An id is one token of a subject, whatever it looks like, and no two ids share a key.
TEST(NamesTest, AnyIdIsOneTokenOfItsKey) {
  EXPECT_EQ(RecordKey(kKey, "a.b *>="), "studio.media.short.a=2Eb=20=2A=3E=3D");
  EXPECT_EQ(RecordKey(kKey, "\xc3\xa4"), "studio.media.short.=C3=A4");
}

// "DEAD" is no lane of anybody: labels are lower case.
TEST(NamesTest, TheDeadLetterStreamIsNeverALanesStream) {
  EXPECT_FALSE(CheckLaneKey({"studio", "media", "DEAD"}));
}

struct KeyCase {
  const char* name;
  LaneKey key;
  const char* problem;  // What the message has to name; empty = valid.
};
void PrintTo(const KeyCase& row, std::ostream* out) { *out << row.name; }

class CheckLaneKeyTest : public testing::TestWithParam<KeyCase> {};

TEST_P(CheckLaneKeyTest, SaysWhichPartIsWrong) {
  const Result<void> checked = CheckLaneKey(GetParam().key);
  EXPECT_EQ(checked.has_value(), std::string(GetParam().problem).empty());
  if (!checked) {
    EXPECT_EQ(checked.error().kind, ErrorKind::kInvalid);
    EXPECT_THAT(checked.error().message, testing::StartsWith(GetParam().problem));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Rows, CheckLaneKeyTest,
    testing::Values(KeyCase{"PlainNames", {"studio", "media", "short"}, ""},
                    KeyCase{"DigitsAndDashes", {"s-1", "0", "a--b"}, ""},
                    KeyCase{"LongestLabel", {std::string(63, 'a'), "b", "c"}, ""},
                    KeyCase{"TooLong", {std::string(64, 'a'), "b", "c"}, "namespace"},
                    KeyCase{"EmptyPool", {"a", "", "c"}, "pool"},
                    KeyCase{"UnderscoreWouldMakeStreamNamesAmbiguous", {"a", "b_c", "d"}, "pool"},
                    KeyCase{"DotWouldMakeSubjectsAmbiguous", {"a", "b", "c.d"}, "lane"},
                    KeyCase{"WildcardIsNoLane", {"a", "b", "*"}, "lane"},
                    KeyCase{"UpperCase", {"a", "b", "Short"}, "lane"},
                    KeyCase{"EndsWithDash", {"a", "b-", "c"}, "pool"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(LaneKeyFromSubjectTest, ReadsTheThreeTokensBehindThePrefix) {
  EXPECT_EQ(LaneKeyFromSubject("lk.v1.wake.studio.media.short", 3), kKey);
  EXPECT_EQ(LaneKeyFromSubject("lk.v1.worker.studio.media.short.w-1", 3), kKey);
  EXPECT_EQ(LaneKeyFromSubject(DeadSubject(kKey), 2), kKey);
}

TEST(LaneKeyFromSubjectTest, IsNothingForShortOrInvalidSubjects) {
  EXPECT_EQ(LaneKeyFromSubject("", 0), std::nullopt);
  EXPECT_EQ(LaneKeyFromSubject("lk.v1.wake.studio.media", 3), std::nullopt);
  EXPECT_EQ(LaneKeyFromSubject("lk.v1.wake.studio.media.", 3), std::nullopt);
  EXPECT_EQ(LaneKeyFromSubject("lk.v1.wake.studio..short", 3), std::nullopt);
  EXPECT_EQ(LaneKeyFromSubject("lk.v1.wake.studio.media.BAD", 3), std::nullopt);
}

TEST(WorkerNameTokenTest, IsAlwaysOneSubjectToken) {
  EXPECT_EQ(WorkerNameToken("media-short-7d4f_x"), "media-short-7d4f_x");
  EXPECT_EQ(WorkerNameToken("host.example.com"), "host-example-com");
  EXPECT_EQ(WorkerNameToken("a b>*"), "a-b--");
  EXPECT_EQ(WorkerNameToken(""), "-");
}

}  // namespace
}  // namespace lanekeeper
