#include "worker-runtime/base/log.h"

#include <gtest/gtest.h>

#include <string>

namespace lanekeeper::log {
namespace {

TEST(LogFormatTest, WritesPairs) {
  EXPECT_EQ(Format("runner", "started", {{"slots", 8}, {"lane", "a/b/c"}, {"ok", true}}),
            "runner started slots=8 lane=a/b/c ok=true");
  EXPECT_EQ(Format("runner", "started", {}), "runner started");
}

// A payload or an error from outside cannot look like a line of ours.
TEST(LogFormatTest, AValueNeverForgesASecondLineOrPair) {
  EXPECT_EQ(Format("a", "b", {{"x", "1\n2026 error forged y=2"}}),
            "a b x=\"1\\n2026 error forged y=2\"");
  EXPECT_EQ(Format("a", "b", {{"x", "say \"hi\" \\"}}), "a b x=\"say \\\"hi\\\" \\\\\"");
  EXPECT_EQ(Format("a", "b", {{"x", "tab\there"}}), "a b x=\"tab\\x09here\"");
  EXPECT_EQ(Format("a", "b", {{"x", "\x1b[31m"}}), "a b x=\"\\x1b[31m\"");
  EXPECT_EQ(Format("a", "b", {{"x", ""}}), "a b x=\"\"");
  EXPECT_EQ(Format("a", "b", {{"x", "two words"}}), "a b x=\"two words\"");
  EXPECT_EQ(Format("a", "b", {{"x", "k=v"}}), "a b x=\"k=v\"");
}

TEST(LogFormatTest, LeavesUtf8Alone) {
  EXPECT_EQ(Format("a", "b", {{"x", "L\xc3\xa4nge"}}), "a b x=L\xc3\xa4nge");
}

TEST(LogLevelTest, KnowsFourWords) {
  EXPECT_TRUE(SetLevel("debug"));
  EXPECT_TRUE(SetLevel("warning"));
  EXPECT_TRUE(SetLevel("error"));
  EXPECT_FALSE(SetLevel("loud"));
  EXPECT_FALSE(SetLevel(""));
  EXPECT_TRUE(SetLevel("info"));
}

TEST(LogWriteTest, WritesFromItsLevelOn) {
  SetLevel(Level::kWarning);
  testing::internal::CaptureStderr();
  Info("test", "hidden");
  Warning("test", "shown", {{"n", 1}});
  SetLevel(Level::kInfo);
  const std::string written = testing::internal::GetCapturedStderr();
  EXPECT_EQ(written.find("hidden"), std::string::npos);
  EXPECT_NE(written.find("Z warning test shown n=1\n"), std::string::npos) << written;
}

}  // namespace
}  // namespace lanekeeper::log
