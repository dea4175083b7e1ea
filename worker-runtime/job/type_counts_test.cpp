#include "worker-runtime/job/type_counts.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace lanekeeper {
namespace {

TEST(TypeCounts, CountsEachTypeByBucket) {
  TypeCounts counts;
  for (const std::size_t bucket : {40, 12, 40, 127, 0}) counts.Count("film", bucket);
  counts.Count("", 3);
  const std::vector<TypeService> expected = {{"film", {{0, 1}, {12, 1}, {40, 2}, {127, 1}}},
                                             {"", {{3, 1}}}};
  EXPECT_EQ(counts.Most(32), expected);
}

TEST(TypeCounts, TheMostUsedComeFirstAndTheRestIsLeftOut) {
  TypeCounts counts;
  for (const char* type : {"b", "a", "c", "c", "d", "d", "d"}) counts.Count(type, 1);
  const std::vector<TypeService> expected = {{"d", {{1, 3}}}, {"c", {{1, 2}}}, {"a", {{1, 1}}}};
  EXPECT_EQ(counts.Most(3), expected);
  EXPECT_TRUE(counts.Most(0).empty());
  EXPECT_TRUE(TypeCounts().Most(3).empty());
}

TEST(TypeCounts, TypesBeyondTheLimitAreNotCountedAndThoseKnownAre) {
  TypeCounts counts;
  for (std::size_t n = 0; n < TypeCounts::kTypesMax; ++n) counts.Count(std::to_string(n), 1);
  counts.Count("one-more", 1);
  counts.Count("7", 1);
  EXPECT_EQ(counts.Most(1000).size(), TypeCounts::kTypesMax);
  EXPECT_EQ(counts.Most(1), (std::vector<TypeService>{{"7", {{1, 2}}}}));
}

}  // namespace
}  // namespace lanekeeper
