#include "cli/up/lane_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lanekeeper::up {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

LaneRow Row(const std::string& lane, std::int64_t waiting) {
  LaneRow row{.key = {"studio", "media", lane}};
  row.status.waiting = waiting;
  row.status.running = 2;
  row.status.workers_ready = 1;
  row.status.workers_desired = 3;
  row.status.predicted_wait_seconds = 45;
  row.status.oldest_wait_seconds = 9;
  row.status.decision_message = "Scaled from 1 to 3 workers.";
  return row;
}

TEST(LaneTableTest, ColumnsAreAlignedAndNumbersStandAtTheRight) {
  EXPECT_THAT(
      LaneTable({Row("short", 12), Row("gpu", 1000)}, 120, 10),
      ElementsAre("LANE                WAITING  RUNNING  PARKED  WORKERS  DEAD  WAIT  OLDEST  "
                  "LAST DECISION",
                  "studio/media/short       12        2       0      1/3     0   45s      9s  "
                  "Scaled from 1 to 3 workers.",
                  "studio/media/gpu       1000        2       0      1/3     0   45s      9s  "
                  "Scaled from 1 to 3 workers."));
}

TEST(LaneTableTest, NeverWiderOrHigherThanTheTerminal) {
  const std::vector<LaneRow> rows{Row("a", 1), Row("b", 1), Row("c", 1), Row("d", 1)};
  for (int columns = 0; columns < 100; columns += 7) {
    for (int lines = 0; lines < 8; ++lines) {
      const std::vector<std::string> table = LaneTable(rows, columns, lines);
      EXPECT_LE(table.size(), static_cast<std::size_t>(lines));
      for (const std::string& line : table) {
        EXPECT_LE(line.size(), static_cast<std::size_t>(columns));
      }
    }
  }
  EXPECT_EQ(LaneTable(rows, 80, 4).back(), "and 2 more lanes");
  EXPECT_THAT(LaneTable(rows, 80, 5), SizeIs(5));
}

TEST(LaneTableTest, CutsNoCharacterInTwo) {
  LaneRow row = Row("a", 1);
  row.status.decision_message = "0 → 3";
  for (int columns = 60; columns < 90; ++columns) {
    const std::string line = LaneTable({row}, columns, 5)[1];
    EXPECT_TRUE(line.find("\xE2") == std::string::npos || line.find("→") != std::string::npos);
  }
}

TEST(LaneTableTest, ADoubtThatIsOverIsNoLongerShown) {
  LaneRow row = Row("a", 1);
  row.status.decision_reason = "HeldByDoubt";
  row.status.decision_message = "Kept 0 workers: the stream does not exist.";
  row.doubt = "ConsumerMissing";
  EXPECT_TRUE(
      LaneLine(row).ends_with("(ConsumerMissing) Kept 0 workers: the stream does not exist."));
  row.doubt.clear();
  EXPECT_TRUE(LaneLine(row).ends_with("The queue answers.")) << LaneLine(row);
}

TEST(LaneTableTest, SaysThatThereIsNoneYet) {
  EXPECT_THAT(LaneTable({}, 80, 5), ElementsAre("No lane yet."));
}

TEST(LaneTableTest, ALineHasTheSameNumbers) {
  LaneRow row = Row("short", 12);
  EXPECT_EQ(LaneLine(row),
            "studio/media/short  waiting 12  running 2  parked 0  workers 1/3  dead 0  wait 45s  "
            "Scaled from 1 to 3 workers.");
  row.doubt = "Disconnected";
  EXPECT_THAT(LaneLine(row), testing::HasSubstr("(Disconnected) Scaled"));
  row.doubt.clear();
  row.status.release = "1 of 2 released";
  EXPECT_THAT(LaneLine(row), testing::EndsWith("1 of 2 released"));
}

TEST(LaneTableTest, AWaitIsShortAndOneThatIsNotKnownIsADash) {
  LaneRow row{.key = {"studio", "media", "short"}, .status = {}, .doubt = {}};
  row.status.predicted_wait_seconds = 7200;
  EXPECT_THAT(LaneLine(row), testing::EndsWith("wait 2h"));
  row.status.predicted_wait_seconds = -1;
  EXPECT_THAT(LaneLine(row), testing::EndsWith("wait -"));
}

}  // namespace
}  // namespace lanekeeper::up
