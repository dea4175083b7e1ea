#include "operator/local/file_pool_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <deque>
#include <filesystem>
#include <fstream>

namespace lanekeeper {
namespace {

using testing::HasSubstr;

std::string PoolText(const std::string& name, const std::string& lane_extra = "") {
  return "kind: WorkerPool\nmetadata: {name: " + name +
         "}\nspec:\n  template: {spec: {containers: [{name: w, image: i, command: [sh]}]}}\n"
         "  lanes: [{name: short, class: Short" +
         lane_extra + "}]\n---\n";
}

class FilePoolSourceTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / "lanekeeper-source-XXXXXX";
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
    path_ = folder_ + "/pool.yaml";
  }
  void TearDown() override {
    source_.reset();
    std::filesystem::remove_all(folder_);
  }
  // At once: whoever reads it, however long this takes, sees no half of it.
  void Write(const std::string& text) {
    std::ofstream(path_ + ".new", std::ios::trunc) << text;
    std::filesystem::rename(path_ + ".new", path_);
  }
  void Start() {
    source_ = std::make_unique<FilePoolSource>(path_);
    source_->Start({.on_pool =
                        [this](std::shared_ptr<const WorkerPool> pool) {
                          const std::string what = pool->deleting ? "deleting " : "pool ";
                          const std::string text = what + pool->key.name;
                          const std::lock_guard lock(mutex_);
                          last_ = std::move(pool);
                          Push(text);
                        },
                    .on_gone =
                        [this](const PoolKey& key) {
                          const std::lock_guard lock(mutex_);
                          Push("gone " + key.name);
                        },
                    .on_invalid =
                        [this](const PoolKey& key, const Error& error) {
                          const std::lock_guard lock(mutex_);
                          Push("invalid " + key.name + ": " + error.message);
                        },
                    .on_synced =
                        [this] {
                          const std::lock_guard lock(mutex_);
                          Push("synced");
                        }});
  }
  std::string Next() {
    std::unique_lock lock(mutex_);
    if (!heard_.wait_for(lock, std::chrono::seconds(60), [&] { return !news_.empty(); })) {
      return "nothing";
    }
    std::string next = news_.front();
    news_.pop_front();
    return next;
  }
  void Push(std::string text) {
    news_.push_back(std::move(text));
    heard_.notify_all();
  }

  std::string folder_;
  std::string path_;
  std::mutex mutex_;
  std::condition_variable heard_;
  std::deque<std::string> news_;
  std::shared_ptr<const WorkerPool> last_;
  std::unique_ptr<FilePoolSource> source_;
};

TEST_F(FilePoolSourceTest, EveryPoolIsReportedAndAChangeIsANewGeneration) {
  Write(PoolText("a") + PoolText("b"));
  Start();
  EXPECT_EQ(Next(), "pool a");
  EXPECT_EQ(Next(), "pool b");
  EXPECT_EQ(Next(), "synced");
  const std::int64_t generation = last_->generation;
  EXPECT_TRUE(last_->has_finalizer);
  Write(PoolText("a") + PoolText("b", ", workers: {max: 3}"));
  EXPECT_EQ(Next(), "pool b");  // And nothing of a.
  EXPECT_EQ(last_->lanes.front().workers.max, 3);
  EXPECT_GT(last_->generation, generation);
}

TEST_F(FilePoolSourceTest, ABrokenFileLeavesThePoolsAndACorrectedOneGoesOn) {
  Write(PoolText("a"));
  Start();
  EXPECT_EQ(Next(), "pool a");
  EXPECT_EQ(Next(), "synced");
  Write("kind: [");
  EXPECT_THAT(Next(), HasSubstr("invalid a: " + path_ + ": not YAML"));
  Write("");
  EXPECT_THAT(Next(), HasSubstr("no document with"));
  std::filesystem::remove(path_);
  EXPECT_THAT(Next(), HasSubstr("cannot be read"));
  Write(PoolText("a"));
  EXPECT_EQ(Next(), "pool a");
}

TEST_F(FilePoolSourceTest, ABrokenPoolIsInvalidAndTheOtherIsNot) {
  Write(PoolText("a") + PoolText("b", ", workers: {min: 5, max: 3}"));
  Start();
  EXPECT_EQ(Next(), "pool a");
  EXPECT_THAT(Next(), HasSubstr("invalid b: spec.lanes[0].workers"));
  EXPECT_EQ(Next(), "synced");
}

TEST_F(FilePoolSourceTest, APoolThatLeftTheFileIsDeletedFirstAndGoneWhenItWasLetGo) {
  Write(PoolText("a") + PoolText("b"));
  Start();
  EXPECT_EQ(Next(), "pool a");
  EXPECT_EQ(Next(), "pool b");
  EXPECT_EQ(Next(), "synced");
  Write(PoolText("b"));
  EXPECT_EQ(Next(), "deleting a");
  source_->LetGo({"default", "a"});
  EXPECT_EQ(Next(), "gone a");
  Write(PoolText("a") + PoolText("b"));
  EXPECT_EQ(Next(), "pool a");
  source_->LetGo({"default", "a"});  // Late: it is back.
  Write(PoolText("a", ", workers: {max: 2}") + PoolText("b"));
  EXPECT_EQ(Next(), "pool a");
}

}  // namespace
}  // namespace lanekeeper
