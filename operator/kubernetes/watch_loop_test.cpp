#include "operator/kubernetes/watch_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>

#include "operator/kubernetes/scripted_api.h"

namespace lanekeeper::kubernetes {
namespace {

using testing::HasSubstr;

std::string Added(const std::string& name, int version) {
  return R"({"type":"ADDED","object":{"metadata":{"name":")" + name + R"(","resourceVersion":")" +
         std::to_string(version) + R"("}}})";
}

class WatchLoopTest : public testing::Test {
 protected:
  ScriptedApi api_;
  std::atomic<int> objects_{0};
  std::atomic<int> gone_{0};
  std::atomic<int> synced_{0};
  WatchLoop loop_{api_,
                  {.resource = kWorkerPools},
                  {.on_object = [this](const nlohmann::json&) { ++objects_; },
                   .on_gone = [this](const ObjectName&, const std::string&) { ++gone_; },
                   .on_synced = [this] { ++synced_; }}};
};

TEST_F(WatchLoopTest, ListsThenWatches) {
  api_.Play({.lines = {Added("a", 2), Added("b", 3)}});
  loop_.Start();
  EXPECT_TRUE(Eventually([&] { return objects_ == 2; }));
  EXPECT_EQ(synced_, 1);
  EXPECT_TRUE(loop_.synced());
  EXPECT_THAT(api_.requests()[1].query, HasSubstr("resourceVersion=1&"));
}

TEST_F(WatchLoopTest, WatchesAgainFromWhereItEnded) {
  api_.Play({.lines = {Added("a", 7)}, .end = Answer{200, ""}});
  loop_.Start();
  ASSERT_TRUE(api_.WaitForRequests(3));
  EXPECT_THAT(api_.requests()[2].query, HasSubstr("resourceVersion=7&"));
}

TEST_F(WatchLoopTest, LostConnectionIsTakenUpAgain) {
  api_.Play({.lines = {Added("a", 7)}, .end = Fail(ErrorKind::kRetryable, "connection reset")});
  api_.Play({.lines = {Added("b", 8)}});
  loop_.Start();
  EXPECT_TRUE(Eventually([&] { return objects_ == 2; }));
  EXPECT_EQ(gone_, 0);
}

TEST_F(WatchLoopTest, GoneLeadsToAListThatFindsWhatVanished) {
  api_.Play({.lines = {Added("a", 7), R"({"type":"ERROR","object":{"code":410}})"}});
  loop_.Start();
  EXPECT_TRUE(Eventually([&] { return gone_ == 1; }));
  EXPECT_EQ(synced_, 1);
}

TEST_F(WatchLoopTest, RelistEndsAWatchThatHasGoneSilent) {
  loop_.Start();
  ASSERT_TRUE(api_.WaitForRequests(2));  // A list, and a watch that says nothing any more.
  ASSERT_TRUE(Eventually([&] { return loop_.synced(); }));
  loop_.Relist();
  ASSERT_TRUE(api_.WaitForRequests(4));
  EXPECT_EQ(api_.requests()[2].query.find("watch=true"), std::string::npos);
  EXPECT_TRUE(Eventually([&] { return loop_.synced(); }));
  EXPECT_EQ(synced_, 2);
}

TEST_F(WatchLoopTest, RelistDoesNotWaitForABackoff) {
  std::atomic<bool> works{false};
  api_.list_body.clear();
  api_.respond = [&](const Request&) {
    return works ? Answer{200, R"({"metadata":{"resourceVersion":"1"},"items":[]})"}
                 : Answer{503, R"({"message":"later"})", std::chrono::seconds(30)};
  };
  loop_.Start();
  ASSERT_TRUE(api_.WaitForRequests(1));
  works = true;
  loop_.Relist();
  // The backoff takes half a minute, less a quarter.
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  EXPECT_TRUE(Eventually([&] { return loop_.synced() || std::chrono::steady_clock::now() > end; }));
  EXPECT_TRUE(loop_.synced());
}

TEST_F(WatchLoopTest, StopsWithAnOpenWatch) {
  loop_.Start();
  ASSERT_TRUE(api_.WaitForRequests(2));
  loop_.Stop();  // The watch would stay open for ever.
}

TEST_F(WatchLoopTest, StopsAtOnceInABackoff) {
  api_.list_body.clear();
  api_.respond = [](const Request&) { return Answer{503, "{}", std::chrono::seconds(30)}; };
  loop_.Start();
  ASSERT_TRUE(api_.WaitForRequests(1));
  const auto begin = std::chrono::steady_clock::now();
  loop_.Stop();
  // The backoff takes half a minute, less a quarter.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
  EXPECT_EQ(synced_, 0);
}

TEST_F(WatchLoopTest, StartAndStopMayBeRepeated) {
  loop_.Stop();
  loop_.Start();
  loop_.Start();
  loop_.Stop();
  loop_.Stop();
}

}  // namespace
}  // namespace lanekeeper::kubernetes
