#include "operator/manifest/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lanekeeper {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kPool = R"(
apiVersion: v1
kind: Namespace
metadata: {name: studio}
---
apiVersion: lanekeeper.dev/v1alpha1
kind: WorkerPool
metadata: {name: media, namespace: studio}
spec:
  template:
    spec:
      containers:
      - {name: worker, image: "example.com/worker:1"}
  lanes:
  - {name: short, class: Long, workers: {max: 5}, scaling: {targetWait: 1s}}
  - {name: long, class: Long, workers: {max: 3}}
)";

TEST(ManifestTest, FindsThePoolAmongTheDocuments) {
  const Result<WorkerPool> pool = ReadPool(kPool);
  ASSERT_TRUE(pool) << pool.error().message;
  ASSERT_EQ(pool->lanes.size(), 2U);
  EXPECT_EQ(pool->lanes[0].name, "short");
  EXPECT_EQ(pool->lanes[0].scaling.target_wait, std::chrono::seconds(1));
}

TEST(ManifestTest, SaysWhatIsWrong) {
  EXPECT_THAT(ReadPool("a: [").error().message, HasSubstr("not YAML"));
  EXPECT_THAT(ReadPool("kind: Pod").error().message, HasSubstr("kind: WorkerPool"));
  EXPECT_THAT(ReadPool(std::string(200, '[')).error().message, HasSubstr("YAML"));
}

TEST(ManifestTest, EveryPoolIsReadAndABrokenOneDoesNotHideTheOthers) {
  const std::string second =
      "\n---\nkind: WorkerPool\nmetadata: {name: broken}\nspec: {lanes: []}\n";
  const Result<Manifest> manifest = ReadManifest(kPool + second);
  ASSERT_TRUE(manifest) << manifest.error().message;
  ASSERT_EQ(manifest->pools.size(), 2U);
  EXPECT_EQ(manifest->pools[0].key, (PoolKey{"studio", "media"}));
  EXPECT_TRUE(manifest->pools[0].pool);
  EXPECT_EQ(manifest->pools[1].key, (PoolKey{"default", "broken"}));
  ASSERT_FALSE(manifest->pools[1].pool);
  EXPECT_THAT(manifest->pools[1].pool.error().message, HasSubstr("spec."));
  EXPECT_THAT(manifest->passed_over, ElementsAre("Namespace"));
}

TEST(ManifestTest, TwoPoolsOfOneNameAreRefused) {
  const Result<Manifest> manifest = ReadManifest(std::string(kPool) + "\n---\n" + kPool);
  ASSERT_FALSE(manifest);
  EXPECT_THAT(manifest.error().message, HasSubstr("studio/media"));
}

}  // namespace
}  // namespace lanekeeper
