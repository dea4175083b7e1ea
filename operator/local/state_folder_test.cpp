#include "operator/local/state_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "operator/local/output_log.h"
#include "operator/local/status_files.h"

namespace lanekeeper {
namespace {

using testing::HasSubstr;

class StateFolderTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / "lanekeeper-state-XXXXXX";
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string folder_;
};

TEST_F(StateFolderTest, OneAtATimeHasIt) {
  {
    const Result<StateFolder> first = StateFolder::Open(folder_ + "/a/b");
    ASSERT_TRUE(first) << first.error().message;
    EXPECT_TRUE(std::filesystem::is_directory(first->logs()));
    const Result<StateFolder> second = StateFolder::Open(folder_ + "/a/b");
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind, ErrorKind::kForbidden);
    EXPECT_THAT(second.error().message,
                HasSubstr("process " + std::to_string(getpid()) + " uses the folder"));
    EXPECT_THAT(second.error().message, HasSubstr("--state"));
  }
  EXPECT_TRUE(StateFolder::Open(folder_ + "/a/b"));
}

TEST_F(StateFolderTest, AFileInItsPlaceIsRefused) {
  std::ofstream(folder_ + "/file") << "x";
  const Result<StateFolder> opened = StateFolder::Open(folder_ + "/file");
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().message, HasSubstr("give another one with --state"));
}

TEST_F(StateFolderTest, AFolderIsNoFileToRead) {
  EXPECT_EQ(ReadWholeFile(folder_), std::nullopt);
  EXPECT_EQ(ReadWholeFile(folder_ + "/none"), std::nullopt);
}

TEST_F(StateFolderTest, AnUnreadableStatusIsNone) {
  std::ofstream(folder_ + "/studio.media.json") << "{\"observedGen";
  EXPECT_EQ(StatusFiles(folder_).Read({"studio", "media"}), PoolStatus());
}

TEST_F(StateFolderTest, ALogKeepsItsNewerHalf) {
  const std::string path = folder_ + "/w.log";
  OutputLog log(path);
  const std::string line(1023, 'x');
  for (int n = 0; n < 3000; ++n) {
    log.Write(std::to_string(n) + " " + line + "\n");
    ASSERT_LE(std::filesystem::file_size(path), kOutputBytesMax);
  }
  const std::string kept = *ReadWholeFile(path);
  EXPECT_GE(kept.size(), kOutputBytesMax / 2 - 2048);
  EXPECT_TRUE(kept.ends_with("2999 " + line + "\n"));
  EXPECT_THAT(kept.substr(0, 5), testing::MatchesRegex("[0-9]+ x*"));  // Whole lines.
}

TEST_F(StateFolderTest, ALogGoesOnWhereItEnded) {
  const std::string path = folder_ + "/w.log";
  OutputLog(path).Write("one\n");
  OutputLog(path).Write("two\n");
  EXPECT_EQ(ReadWholeFile(path), "one\ntwo\n");
}

TEST_F(StateFolderTest, OldLogsGoButNotThoseInUse) {
  const auto now = std::filesystem::file_time_type::clock::now();
  for (int n = 0; n < 5; ++n) {
    const std::string path = folder_ + "/w" + std::to_string(n) + ".log";
    std::ofstream(path) << n;
    std::filesystem::last_write_time(path, now - std::chrono::hours(10 - n));
  }
  RemoveOldLogs(folder_, 3, {folder_ + "/w0.log"});
  for (const int kept : {0, 3, 4}) {
    EXPECT_TRUE(std::filesystem::exists(folder_ + "/w" + std::to_string(kept) + ".log"));
  }
  for (const int gone : {1, 2}) {
    EXPECT_FALSE(std::filesystem::exists(folder_ + "/w" + std::to_string(gone) + ".log"));
  }
}

}  // namespace
}  // namespace lanekeeper
