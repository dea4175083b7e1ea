#include "operator/kubernetes/kubernetes_pool_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>

#include "operator/kubernetes/scripted_api.h"

namespace lanekeeper::kubernetes {
namespace {

using testing::ElementsAre;
using testing::StartsWith;

std::string Pool(int version, int generation, const char* lanes, const char* more = "") {
  return R"({"metadata":{"name":"media","namespace":"studio","resourceVersion":")" +
         std::to_string(version) + R"(","generation":)" + std::to_string(generation) + more +
         R"(},"spec":{"template":{"spec":{"containers":[{"name":"w","image":"i"}]}},"lanes":)" +
         lanes + "}}";
}
std::string PoolLine(const char* type, const std::string& object) {
  return R"({"type":")" + std::string(type) + R"(","object":)" + object + "}";
}

constexpr const char* kLanes = R"([{"name":"short"}])";
constexpr const char* kBroken = R"([{"name":"short","workers":{"max":0}}])";

class KubernetesPoolSourceTest : public testing::Test {
 protected:
  void Start() {
    source_.Start({.on_pool =
                       [this](auto pool) {
                         Log("pool " + ToString(pool->key) + " " +
                             std::to_string(pool->generation));
                       },
                   .on_gone = [this](const PoolKey& key) { Log("gone " + ToString(key)); },
                   .on_invalid =
                       [this](const PoolKey& key, const Error& error) {
                         Log("invalid " + ToString(key) + " " + error.message);
                       },
                   .on_synced = [this] { Log("synced"); }});
  }
  void Log(std::string line) {
    const std::lock_guard lock(mutex_);
    log_.push_back(std::move(line));
  }
  std::vector<std::string> WaitForLog(std::size_t lines) {
    Eventually([&] {
      const std::lock_guard lock(mutex_);
      return log_.size() >= lines;
    });
    source_.Stop();
    return log_;
  }

  ScriptedApi api_;
  std::mutex mutex_;
  std::vector<std::string> log_;
  KubernetesPoolSource source_{api_, ""};
};

TEST_F(KubernetesPoolSourceTest, ReportsWhatExistsThenWhatHappens) {
  api_.list_body = R"({"metadata":{"resourceVersion":"5"},"items":[)" + Pool(1, 1, kLanes) + "]}";
  api_.Play({.lines = {PoolLine("MODIFIED", Pool(6, 2, kLanes)),
                       PoolLine("DELETED", Pool(7, 2, kLanes))}});
  Start();
  EXPECT_THAT(WaitForLog(4), ElementsAre("pool studio/media 1", "synced", "pool studio/media 2",
                                         "gone studio/media"));
}

TEST_F(KubernetesPoolSourceTest, StatusAloneIsNoChange) {
  api_.Play(
      {.lines = {PoolLine("ADDED", Pool(2, 1, kLanes)), PoolLine("MODIFIED", Pool(3, 1, kLanes)),
                 PoolLine("MODIFIED", Pool(4, 1, kLanes, R"(,"deletionTimestamp":"now")"))}});
  Start();
  EXPECT_THAT(WaitForLog(3), ElementsAre("synced", "pool studio/media 1", "pool studio/media 1"));
}

TEST_F(KubernetesPoolSourceTest, UnusablePoolIsReportedOnceUntilItChanges) {
  api_.Play(
      {.lines = {PoolLine("ADDED", Pool(2, 1, kBroken)), PoolLine("MODIFIED", Pool(3, 1, kBroken)),
                 PoolLine("MODIFIED", Pool(4, 2, kLanes)),
                 PoolLine("MODIFIED", Pool(5, 3, kBroken)),
                 PoolLine("DELETED", Pool(6, 3, kBroken))}});
  Start();
  EXPECT_THAT(WaitForLog(5), ElementsAre("synced", StartsWith("invalid studio/media spec.lanes[0]"),
                                         "pool studio/media 2", StartsWith("invalid studio/media"),
                                         "gone studio/media"));
}

TEST_F(KubernetesPoolSourceTest, MayBeStartedAgain) {
  api_.list_body = R"({"metadata":{"resourceVersion":"5"},"items":[)" + Pool(1, 1, kLanes) + "]}";
  Start();
  WaitForLog(2);
  Start();
  EXPECT_THAT(WaitForLog(4),
              ElementsAre("pool studio/media 1", "synced", "pool studio/media 1", "synced"));
}

}  // namespace
}  // namespace lanekeeper::kubernetes
