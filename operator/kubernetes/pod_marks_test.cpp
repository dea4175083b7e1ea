#include "operator/kubernetes/pod_marks.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace lanekeeper::kubernetes {
namespace {

using nlohmann::json;

constexpr const char* kKarpenter = "karpenter.sh/do-not-disrupt";
constexpr const char* kAutoscaler = "cluster-autoscaler.kubernetes.io/safe-to-evict";

// What MarkPatch says of the annotations; null without a patch.
json PatchOf(const json& annotations, const WorkerMarks& wanted) {
  const json pod = {{"metadata", {{"annotations", annotations}}}};
  const std::optional<std::string> patch = MarkPatch("u-1", ReadMarks(pod), wanted);
  if (!patch) return nullptr;
  const json body = json::parse(*patch);
  EXPECT_EQ(body["metadata"]["uid"], "u-1");
  EXPECT_EQ(body.size() + body["metadata"].size(), 3u) << "nothing but uid and annotations";
  return body["metadata"]["annotations"];
}

// `annotations` after the patch to `wanted`.
json After(json annotations, const WorkerMarks& wanted) {
  const json patch = PatchOf(annotations, wanted);
  if (!patch.is_null()) annotations.merge_patch(patch);
  return annotations;
}

const WorkerMarks kNone{};
const WorkerMarks kFirst{.first_to_go = true};
const WorkerMarks kShielded{.shielded = true};
const WorkerMarks kBoth{.first_to_go = true, .shielded = true};

TEST(MarkPatch, SetsBothMarksAndTakesThemAway) {
  const json marked = After(json::object(), kBoth);
  EXPECT_EQ(marked, (json{{kAnnotationDeletionCost, "-1000"},
                          {kKarpenter, "true"},
                          {kAutoscaler, "false"},
                          {kAnnotationShield, std::string(kKarpenter) + "," + kAutoscaler}}));
  EXPECT_EQ(ReadMarks({{"metadata", {{"annotations", marked}}}}).marks, kBoth);
  EXPECT_EQ(After(marked, kNone), json::object());
}

TEST(MarkPatch, NamesOnlyWhatChanges) {
  EXPECT_EQ(PatchOf(json::object(), kNone), nullptr);
  EXPECT_EQ(PatchOf(json::object(), kFirst), (json{{kAnnotationDeletionCost, "-1000"}}));
  const json marked = After(json::object(), kBoth);
  EXPECT_EQ(PatchOf(marked, kBoth), nullptr);
  EXPECT_EQ(PatchOf(marked, kShielded), (json{{kAnnotationDeletionCost, nullptr}}));
}

TEST(MarkPatch, ShieldOfTheTemplateStaysAsItIs) {
  const json theirs = {{kKarpenter, "true"}, {"team", "a"}};
  const json marked = After(theirs, kShielded);
  EXPECT_EQ(marked[kAutoscaler], "false");
  EXPECT_EQ(marked[kAnnotationShield], kAutoscaler);
  EXPECT_EQ(After(marked, kNone), theirs);
}

TEST(MarkPatch, TemplateThatDecidedOnBothIsNotOverruled) {
  const json theirs = {{kKarpenter, "false"}, {kAutoscaler, "true"}};
  json marked = After(theirs, kShielded);
  // Noted as shielded all the same, so that nobody asks for it over and over.
  EXPECT_EQ(PatchOf(marked, kShielded), nullptr);
  EXPECT_EQ(After(marked, kNone), theirs);
  marked.erase(kAnnotationShield);
  EXPECT_EQ(marked, theirs);
}

TEST(MarkPatch, ShieldSomebodyTookAwayByHandIsNoMoreOurs) {
  json marked = After(json::object(), kShielded);
  marked.erase(kKarpenter);
  EXPECT_EQ(After(marked, kNone), json::object());
}

TEST(ReadMarks, AnyCostBelowZeroIsFirstToGo) {
  const auto first = [](const json& cost) {
    return ReadMarks({{"metadata", {{"annotations", {{kAnnotationDeletionCost, cost}}}}}})
        .marks.first_to_go;
  };
  EXPECT_TRUE(first("-1000"));
  EXPECT_TRUE(first("-1"));
  EXPECT_FALSE(first("0"));
  EXPECT_FALSE(first("100"));
  EXPECT_FALSE(first("cheap"));
  EXPECT_FALSE(first(-1000)) << "an annotation is a string";
}

TEST(ReadMarks, SurvivesAnything) {
  for (const char* text :
       {"null", "[]", "{}", R"({"metadata":7})", R"({"metadata":{"annotations":[]}})",
        R"({"metadata":{"annotations":{"lanekeeper.dev/shield":7}}})"}) {
    EXPECT_EQ(ReadMarks(json::parse(text)), PodMarks()) << text;
  }
}

}  // namespace
}  // namespace lanekeeper::kubernetes
