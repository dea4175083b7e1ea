#include "worker-runtime/gateway/find_pool.h"

#include <gtest/gtest.h>

#include <string>

#include "worker-runtime/gateway/testing/fake_pools.h"

namespace lanekeeper::gateway {
namespace {

PoolBrief StudioMedia() { return {.pool_namespace = "studio", .pool = "media", .lanes = {}}; }

TEST(FindPoolTest, APoolIsFoundByItsName) {
  FakePools pools;
  pools.Put(StudioMedia());
  const auto found = FindPool(pools, "studio", "media");
  ASSERT_TRUE(found);
  EXPECT_EQ((*found)->pool, "media");
  const auto other = FindPool(pools, "other", "media");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().type, ProblemType::kPoolNotFound);
}

// Found by the chaos of the gateway: for some milliseconds after a restart every pool was 404, and
// clients took that for the last word.
TEST(FindPoolTest, WhileThePoolsAreBeingReadNoneIsSaidNotToExist) {
  FakePools pools;
  pools.SetReady(false);
  const auto early = FindPool(pools, "studio", "media");
  ASSERT_FALSE(early);
  EXPECT_EQ(early.error().type, ProblemType::kQueueUnavailable);
  EXPECT_TRUE(early.error().retry_after);
  pools.Put(StudioMedia());
  EXPECT_TRUE(FindPool(pools, "studio", "media")) << "one that was read already is known";
}

TEST(FindPoolTest, AStrangersNameIsNotRepeatedAtAnyLength) {
  const auto found = FindPool(FakePools(), "studio", std::string(5000, 'x'));
  ASSERT_FALSE(found);
  EXPECT_LT(found.error().detail.size(), 400U);
}

}  // namespace
}  // namespace lanekeeper::gateway
