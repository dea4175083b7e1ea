#include "worker-runtime/handlers/lines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace lanekeeper::handlers {
namespace {

using testing::ElementsAre;

std::vector<std::string> Split(LineSplitter::LongLines long_lines,
                               const std::vector<std::string>& chunks) {
  std::vector<std::string> lines;
  LineSplitter splitter(4, long_lines,
                        [&lines](std::string_view line) { lines.emplace_back(line); });
  for (const std::string& chunk : chunks) splitter.Append(chunk);
  splitter.Finish();
  return lines;
}

TEST(LineSplitterTest, JoinsWhatCameInPieces) {
  EXPECT_THAT(Split(LineSplitter::LongLines::kInPieces, {"a", "b\nc", "\n\nd"}),
              ElementsAre("ab", "c", "", "d"));
}

TEST(LineSplitterTest, ALineOfTheLimitIsOneLine) {
  for (const auto mode : {LineSplitter::LongLines::kInPieces, LineSplitter::LongLines::kCut}) {
    EXPECT_THAT(Split(mode, {"abcd", "\nx\n"}), ElementsAre("abcd", "x"));
  }
}

TEST(LineSplitterTest, ALongLineComesInPiecesOrCut) {
  EXPECT_THAT(Split(LineSplitter::LongLines::kInPieces, {"abcdefg", "hij\nx\n"}),
              ElementsAre("abcd", "efgh", "ij", "x"));
  EXPECT_THAT(Split(LineSplitter::LongLines::kCut, {"abcdefg", "hij\nx\n"}),
              ElementsAre("abcd", "x"));
}

TEST(LastLinesTest, KeepsTheLastAndBoundsEach) {
  LastLines last;
  for (int n = 0; n < 50; ++n) last.Add(std::to_string(n));
  last.Add("");
  last.Add(std::string(10000, 'x'));
  ASSERT_EQ(last.lines().size(), kLastLinesMax);
  EXPECT_EQ(last.lines().front(), "41");
  EXPECT_EQ(last.lines().back(), std::string(kLastLineBytesMax, 'x'));
  EXPECT_EQ(LastOf(last.lines()), ": " + last.lines().back());
  EXPECT_EQ(LastOf({}), "");
}

}  // namespace
}  // namespace lanekeeper::handlers
