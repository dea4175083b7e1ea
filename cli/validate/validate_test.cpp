#include "cli/validate/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

namespace lanekeeper::validate {
namespace {

using cli::Exit;
using testing::AllOf;
using testing::HasSubstr;

constexpr const char* kGood =
    "apiVersion: lanekeeper.dev/v1alpha1\nkind: WorkerPool\nmetadata: {name: good}\nspec:\n"
    "  template: {spec: {containers: [{name: w, image: i}]}}\n  lanes: [{name: a, class: Short}]\n";
constexpr const char* kBad =
    "---\napiVersion: lanekeeper.dev/v1alpha1\nkind: WorkerPool\nmetadata: {name: bad}\nspec:\n"
    "  template: {spec: {containers: [{name: w, image: i}]}}\n"
    "  lanes: [{name: a, workers: {min: 5, max: 3, slots: 0}, qeue: {}}]\n";

Exit Check(const std::string& yaml, std::string& said, cli::Format format = cli::Format::kTable,
           std::vector<std::string> files = {"-"}) {
  std::istringstream in(yaml);
  std::ostringstream out;
  const Exit status = Validate({.files = std::move(files), .format = format}, in, out);
  said = out.str();
  return status;
}

TEST(ValidateTest, NamesEveryPoolAndEveryFieldThatIsWrong) {
  std::string said;
  EXPECT_EQ(Check(kGood, said), Exit::kOk);
  EXPECT_EQ(said, "default/good: good, 1 lane\n");
  EXPECT_EQ(Check(std::string(kGood) + kBad, said), Exit::kFailed);
  EXPECT_THAT(
      said,
      AllOf(HasSubstr("default/good: good"),
            HasSubstr("\ndefault/bad: spec.lanes[0].workers.min: "),
            HasSubstr("\ndefault/bad: spec.lanes[0].workers.slots: "),
            HasSubstr("\ndefault/bad: spec.lanes[0].qeue: unknown field; did you mean queue?")));
}

TEST(ValidateTest, TheVerdictCanBeReadByPrograms) {
  std::string said;
  EXPECT_EQ(Check(std::string(kGood) + kBad, said, cli::Format::kJson), Exit::kFailed);
  const auto items = nlohmann::json::parse(said);
  ASSERT_EQ(items.size(), 2U);
  EXPECT_EQ(items[0]["pool"], "default/good");
  EXPECT_EQ(items[0]["good"], true);
  EXPECT_EQ(items[0]["lanes"], 1);
  EXPECT_EQ(items[1]["good"], false);
  EXPECT_EQ(items[1]["problems"].size(), 3U);
}

TEST(ValidateTest, FilesWithoutAPoolAreNoMistakeAmongOthers) {
  std::string said;
  const std::string good = "crds/testdata/good/minimal.yaml";
  const std::string other = "charts/lanekeeper/Chart.yaml";
  EXPECT_EQ(Check("", said, cli::Format::kTable, {good, other}), Exit::kOk);
  EXPECT_THAT(said, AllOf(HasSubstr(good + ": "), HasSubstr(other + ": no document")));
  EXPECT_EQ(Check("", said, cli::Format::kTable, {good, "/nonexistent.yaml"}), Exit::kUsage);
}

TEST(ValidateTest, NothingToCheckIsNotGood) {
  std::string said;
  EXPECT_EQ(Check("kind: Pod", said), Exit::kUsage);
  EXPECT_THAT(said, HasSubstr("no document with \"kind: WorkerPool\""));
  EXPECT_EQ(Check("a: [", said), Exit::kUsage);
  EXPECT_EQ(Check("", said, cli::Format::kTable, {"/nonexistent.yaml"}), Exit::kUsage);
  EXPECT_EQ(said, "/nonexistent.yaml: cannot be read\n");
  EXPECT_EQ(Check("", said, cli::Format::kTable, {"/tmp"}), Exit::kUsage);
  EXPECT_THAT(said, HasSubstr("/tmp: cannot be read\n"));
  EXPECT_EQ(Check(std::string(4U << 20U, ' '), said), Exit::kUsage);
  EXPECT_THAT(said, HasSubstr("longer than"));
}

}  // namespace
}  // namespace lanekeeper::validate
