#include "worker-runtime/base/result.h"

#include <gtest/gtest.h>

namespace lanekeeper {
namespace {

Result<int> Half(int number) {
  if (number % 2 != 0) return Fail(ErrorKind::kInvalid, "odd");
  return number / 2;
}

Result<int> Quarter(int number) {
  Result<int> half = Half(number);
  if (!half) return Wrap(std::move(half).error(), "halving once");
  Result<int> quarter = Half(*half);
  if (!quarter) return Wrap(std::move(quarter).error(), "halving twice");
  return quarter;
}

TEST(ResultTest, HoldsAValueOrAnError) {
  EXPECT_EQ(Quarter(8).value(), 2);
  EXPECT_EQ(Quarter(6).error(), (Error{ErrorKind::kInvalid, "halving twice: odd"}));
  EXPECT_EQ(Quarter(3).error(), (Error{ErrorKind::kInvalid, "halving once: odd"}));
}

TEST(ResultTest, EveryKindHasAName) {
  EXPECT_EQ(ToString(ErrorKind::kRetryable), "retryable");
  EXPECT_EQ(ToString(ErrorKind::kNotFound), "not found");
  EXPECT_EQ(ToString(ErrorKind::kInvalid), "invalid");
  EXPECT_EQ(ToString(ErrorKind::kForbidden), "forbidden");
}

}  // namespace
}  // namespace lanekeeper
