#include "cli/validate/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace lanekeeper::validate {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr const char* kGood =
    "kind: WorkerPool\nmetadata: {name: good}\nspec:\n"
    "  template: {spec: {containers: [{name: w, image: i}]}}\n  lanes: [{name: a, class: Short}]\n";

int Check(const std::string& yaml, std::string& said) {
  std::istringstream in(yaml);
  std::ostringstream out;
  const int status = Validate("-", in, out);
  said = out.str();
  return status;
}

TEST(ValidateTest, NamesEveryPoolAndEveryFieldThatIsWrong) {
  std::string said;
  EXPECT_EQ(Check(kGood, said), 0);
  EXPECT_EQ(said, "default/good: good, 1 lane\n");
  EXPECT_EQ(Check(std::string(kGood) +
                      "---\nkind: WorkerPool\nmetadata: {name: bad}\nspec:\n"
                      "  template: {spec: {containers: [{name: w, image: i}]}}\n"
                      "  lanes: [{name: a, class: Short, workers: {min: 5, max: 3, slots: 0}}]\n",
                  said),
            1);
  EXPECT_THAT(said, AllOf(HasSubstr("default/good: good"),
                          HasSubstr("default/bad: spec.lanes[0].workers"), HasSubstr("slots")));
}

TEST(ValidateTest, NothingToCheckIsNotGood) {
  std::string said;
  EXPECT_EQ(Check("kind: Pod", said), 2);
  EXPECT_THAT(said, HasSubstr("no document with \"kind: WorkerPool\""));
  EXPECT_EQ(Check("a: [", said), 2);
  std::istringstream in;
  std::ostringstream out;
  EXPECT_EQ(Validate("/nonexistent.yaml", in, out), 2);
  EXPECT_EQ(out.str(), "/nonexistent.yaml: cannot be read\n");
  EXPECT_EQ(Validate("/tmp", in, out), 2);
  EXPECT_THAT(out.str(), HasSubstr("/tmp: cannot be read\n"));
}

}  // namespace
}  // namespace lanekeeper::validate
