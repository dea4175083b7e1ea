#include "operator/kubernetes/line_splitter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace lanekeeper::kubernetes {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class LineSplitterTest : public testing::Test {
 protected:
  Result<bool> Add(std::string_view bytes) {
    return splitter_.Add(bytes, [this](std::string_view line) {
      lines_.emplace_back(line);
      return line != "stop";
    });
  }
  LineSplitter splitter_{8};
  std::vector<std::string> lines_;
};

TEST_F(LineSplitterTest, LinesMayComeInAnyPieces) {
  EXPECT_EQ(Add("a"), true);
  EXPECT_EQ(Add("b\ncd\n\ne"), true);
  EXPECT_THAT(lines_, ElementsAre("ab", "cd"));
  EXPECT_EQ(Add("f\r\n"), true);
  EXPECT_THAT(lines_, ElementsAre("ab", "cd", "ef"));
}

TEST_F(LineSplitterTest, HalfALineIsNoLine) {
  EXPECT_EQ(Add("half"), true);
  EXPECT_THAT(lines_, IsEmpty());
}

TEST_F(LineSplitterTest, StopsWhereItIsTold) {
  EXPECT_EQ(Add("a\nstop\nb\n"), false);
  EXPECT_THAT(lines_, ElementsAre("a", "stop"));
}

TEST_F(LineSplitterTest, LongestLinePassesAndOneByteMoreDoesNot) {
  EXPECT_EQ(Add("12345678\n"), true);
  EXPECT_THAT(lines_, ElementsAre("12345678"));
  EXPECT_FALSE(Add("123456789\n"));
}

TEST_F(LineSplitterTest, LongLineInPiecesIsRefusedBeforeItIsKept) {
  EXPECT_EQ(Add("12345"), true);
  const Result<bool> added = Add("6789");
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error(), (Error{ErrorKind::kRetryable, "a line is longer than 8 bytes"}));
}

}  // namespace
}  // namespace lanekeeper::kubernetes
