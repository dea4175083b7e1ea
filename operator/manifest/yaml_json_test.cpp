#include "operator/manifest/yaml_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lanekeeper {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json One(const std::string& yaml) {
  const auto objects = ReadYaml(yaml);
  if (!objects) return "refused: " + objects.error().message;
  return objects->empty() ? json() : objects->front().value;
}

// As kubectl 1.34 sends them, seen in what an API server makes of them.
TEST(YamlJsonTest, PlainScalarsAreReadAsKubectlReadsThem) {
  EXPECT_EQ(One("[8.0, 1e3, 0777, 0x1f, 0b11, 1_000, +5, -5, 08, .5, 1.25]"),
            json::parse("[8, 1000, 511, 31, 3, 1000, 5, -5, 8, 0.5, 1.25]"));
  EXPECT_EQ(One("[yes, Off, y, TRUE, n, on]"),
            json::parse("[true, false, true, true, false, true]"));
  EXPECT_EQ(One("[~, null, NULL, ]"), json::parse("[null, null, null]"));
  EXPECT_EQ(One("[1.2.3, 30s, 2026-11-26, .inf, nan, -, +, 0x, 1:30, '5', \"yes\", !!str 7]"),
            json::parse(R"(["1.2.3", "30s", "2026-11-26", ".inf", "nan", "-", "+", "0x", "1:30",
                            "5", "yes", "7"])"));
  EXPECT_EQ(One("a: 99999999999999999999").at("a").get<double>(), 1e20);
}

TEST(YamlJsonTest, AliasesAndMergeKeysAreFollowed) {
  EXPECT_EQ(One("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}\nc: *x"),
            json::parse(R"({"a":{"p":1,"q":2},"b":{"p":1,"q":3},"c":{"p":1,"q":2}})"));
  EXPECT_EQ(One("a: &x {p: 1}\nb: &y {p: 2, q: 2}\nc: {<<: [*x, *y]}").at("c"),
            json::parse(R"({"p":1,"q":2})"));
}

TEST(YamlJsonTest, ListsAreTakenApartAndEmptyDocumentsPassedOver) {
  const auto objects = ReadYaml(
      "---\n---\nkind: List\nitems: [{kind: A}, {kind: B}]\n---\nkind: WorkerPoolList\n"
      "items:\n- kind: C\n---\nkind: List\n");
  ASSERT_TRUE(objects);
  ASSERT_EQ(objects->size(), 4U);
  EXPECT_EQ((*objects)[1].value.at("kind"), "B");
  EXPECT_EQ((*objects)[2].value.at("kind"), "C");
  EXPECT_EQ((*objects)[3].value.at("kind"), "List");
}

TEST(YamlJsonTest, TheOrderOfFieldsIsKeptWhereItIsAskedFor) {
  const auto objects = ReadYamlInOrder("b: 1\na: 2\n");
  ASSERT_TRUE(objects);
  EXPECT_EQ(objects->front().value.dump(), R"({"b":1,"a":2})");
}

TEST(YamlJsonTest, ATemplateIsNamedAsWhatItIs) {
  EXPECT_THAT(One("a: {{ .Values.x }}").get<std::string>(), HasSubstr("render it first"));
}

TEST(YamlJsonTest, WhatWouldTakeTimeOrMemoryIsRefused) {
  std::string bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n";
  for (char c = 'b'; c <= 'p'; ++c) {
    bomb += std::string(1, c) + ": &" + c + " [";
    for (int i = 0; i < 10; ++i)
      bomb += std::string(i == 0 ? "*" : ", *") + static_cast<char>(c - 1);
    bomb += "]\n";
  }
  EXPECT_THAT(One(bomb).get<std::string>(), HasSubstr("aliases followed"));
  EXPECT_THAT(One(std::string(100'000, '[')).get<std::string>(), HasSubstr("brackets open"));
  EXPECT_THAT(One(std::string(100'000, '{')).get<std::string>(), HasSubstr("brackets open"));
  std::string nested;
  for (int i = 0; i < 100; ++i) nested += std::string(static_cast<std::size_t>(i), ' ') + "a:\n";
  EXPECT_THAT(One(nested).get<std::string>(), HasSubstr("nested too deeply"));
  EXPECT_THAT(One(std::string(kManifestBytesMax + 1, ' ')).get<std::string>(),
              HasSubstr("longer than"));
  std::string wide;
  for (int i = 0; i < 5000; ++i) wide += "k" + std::to_string(i) + ": 1\n";
  EXPECT_THAT(One(wide).get<std::string>(), HasSubstr("fields"));
  EXPECT_THAT(One("a: &x [*x]").get<std::string>(), HasSubstr("refused"));
}

TEST(YamlJsonTest, WhatIsNoYamlIsRefusedWithItsPlace) {
  for (const char* text : {"a: [", "a: *nobody", "\t- x", "a: b: c", "{a: 1"}) {
    EXPECT_THAT(One(text).get<std::string>(), HasSubstr("not YAML")) << text;
  }
}

}  // namespace
}  // namespace lanekeeper
