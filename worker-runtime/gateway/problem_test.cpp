#include "worker-runtime/gateway/problem.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace lanekeeper::gateway {
namespace {

constexpr int kTypes = static_cast<int>(ProblemType::kWorkerSilent) + 1;

TEST(ProblemTest, EveryTypeHasANameAStatusAndATitleOfItsOwn) {
  std::set<std::string_view> names;
  std::set<std::string_view> titles;
  for (int n = 0; n < kTypes; ++n) {
    const auto type = static_cast<ProblemType>(n);
    EXPECT_TRUE(names.insert(NameOf(type)).second) << NameOf(type);
    EXPECT_TRUE(titles.insert(TitleOf(type)).second) << TitleOf(type);
    EXPECT_GE(StatusOf(type), 400);
    EXPECT_LT(StatusOf(type), 600);
  }
}

// Programs branch on these words.
TEST(ProblemTest, NamesNeverChange) {
  EXPECT_EQ(NameOf(ProblemType::kInvalidRequest), "invalid-request");
  EXPECT_EQ(NameOf(ProblemType::kJobNotTracked), "job-not-tracked");
  EXPECT_EQ(NameOf(ProblemType::kKeyReused), "key-reused");
  EXPECT_EQ(NameOf(ProblemType::kLaneFull), "lane-full");
  EXPECT_EQ(NameOf(ProblemType::kTooManyRequests), "too-many-requests");
  EXPECT_EQ(NameOf(ProblemType::kQueueUnavailable), "queue-unavailable");
  EXPECT_EQ(NameOf(ProblemType::kAuthUnavailable), "auth-unavailable");
  EXPECT_EQ(NameOf(ProblemType::kWorkerSilent), "worker-silent");
  EXPECT_EQ(StatusOf(ProblemType::kKeyReused), 422);
  EXPECT_EQ(StatusOf(ProblemType::kLaneFull), 429);
  EXPECT_EQ(StatusOf(ProblemType::kAuthUnavailable), 503);
}

}  // namespace
}  // namespace lanekeeper::gateway
