#include "operator/manifest/schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lanekeeper {
namespace {

using nlohmann::json;
using testing::IsEmpty;

struct Case {
  const char* name;  // The claim this row proves.
  const char* schema;
  const char* value;
  const char* problem;  // "<field>: <clause>"; empty when the value is good.
};

void PrintTo(const Case& row, std::ostream* out) { *out << row.name; }

class SchemaTest : public testing::TestWithParam<Case> {};

TEST_P(SchemaTest, SaysWhatIsWrong) {
  const Case& row = GetParam();
  const auto problems = CheckSchema(json::parse(row.schema), json::parse(row.value), "x");
  std::string said;
  for (const FieldProblem& one : problems) {
    said += (said.empty() ? "" : "; ") + one.field + ": " + one.problem;
  }
  EXPECT_EQ(said, row.problem);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, SchemaTest,
    testing::Values(
        Case{"TypeIsHeld", R"({"type":"string"})", "5", "x: must be a string, is a whole number"},
        Case{"WholeNumberIsNoFraction", R"({"type":"integer"})", "1.5",
             "x: must be a whole number, is a number"},
        Case{"WholeNumberIsANumber", R"({"type":"number"})", "1", ""},
        Case{"NullIsAsGoodAsMissing", R"({"type":"string"})", "null", ""},
        Case{"NullDoesNotSatisfyRequired", R"({"type":"object","required":["a"],"properties":{
             "a":{"type":"string"}}})",
             R"({"a":null})", "x.a: is missing"},
        Case{"MinimumIsAllowed", R"({"type":"integer","minimum":1})", "1", ""},
        Case{"BelowTheMinimum", R"({"type":"integer","minimum":1})", "0",
             "x: must be at least 1, is 0"},
        Case{"AboveTheMaximum", R"({"type":"integer","maximum":9})", "10",
             "x: must be at most 9, is 10"},
        Case{"HugeNumberIsCompared", R"({"type":"integer","maximum":9})", "18446744073709551615",
             "x: must be at most 9, is 18446744073709551615"},
        Case{"EnumNamesTheChoices", R"({"type":"string","enum":["A","B"]})", "\"a\"",
             "x: \"a\" is not one of A, B"},
        Case{"LengthIsCountedInCharactersNotBytes", R"({"type":"string","maxLength":2})",
             "\"\xC3\xA4\xC3\xB6\"", ""},
        Case{"TooLong", R"({"type":"string","maxLength":2})", "\"abc\"",
             "x: must have at most 2 characters, has 3"},
        Case{"Empty", R"({"type":"string","minLength":1})", "\"\"", "x: must not be empty"},
        Case{"PatternIsHeld", R"({"type":"string","pattern":"^[a-z]+$"})", "\"A\"",
             "x: must match ^[a-z]+$, is \"A\""},
        Case{"UnknownFieldNamesTheNearest",
             R"({"type":"object","properties":{"maxDepth":{},"storage":{}}})", R"({"maxdepht":1})",
             "x.maxdepht: unknown field; did you mean maxDepth?"},
        Case{"UnknownFieldIsFoundFurtherDown",
             R"({"type":"object","properties":{"jobs":{"type":"object","properties":
             {"timeout":{"type":"string"}}}}})",
             R"({"timeout":"1s"})", "x.timeout: unknown field; did you mean jobs.timeout?"},
        Case{"UnknownFieldOfNobody", R"({"type":"object","properties":{"a":{}}})",
             R"({"zzzzzzzz":1})", "x.zzzzzzzz: unknown field"},
        Case{"UnknownFieldsMayBePreserved",
             R"({"type":"object","properties":{},"x-kubernetes-preserve-unknown-fields":true})",
             R"({"a":{"b":[1]}})", ""},
        Case{"EveryValueOfAMapIsChecked",
             R"({"type":"object","additionalProperties":{"type":"string"},"maxProperties":2})",
             R"({"a":"b","c":5})", "x.c: must be a string, is a whole number"},
        Case{"AMapHasALimit", R"({"type":"object","additionalProperties":{},"maxProperties":1})",
             R"({"a":1,"b":2})", "x: must have at most 1 fields, has 2"},
        Case{"IntOrString", R"({"x-kubernetes-int-or-string":true})", "0.5",
             "x: must be a string or a whole number, is a number"},
        Case{"ListsHaveBounds", R"({"type":"array","minItems":1})", "[]",
             "x: must have at least 1 entries, has 0"},
        Case{"EntriesAreChecked", R"({"type":"array","items":{"type":"integer"}})", R"([1,"b"])",
             "x[1]: must be a whole number, is a string"},
        Case{"KeysOfAListAreUnique",
             R"({"type":"array","x-kubernetes-list-map-keys":["name"],"items":{"type":"object",
             "properties":{"name":{"type":"string"}}}})",
             R"([{"name":"a"},{"name":"b"},{"name":"a"}])",
             "x[2]: has the same name as another entry: \"a\""}),
    [](const auto& test) { return test.param.name; });

TEST(SchemaLimitTest, ProblemsAreCountedToALimit) {
  json list = json::array();
  for (int i = 0; i < 1000; ++i) list.push_back("x");
  const json schema = {{"type", "array"}, {"items", {{"type", "integer"}}}};
  EXPECT_EQ(CheckSchema(schema, list, "x").size(), kFieldProblemsMax);
}

TEST(SchemaLimitTest, ALongTextDoesNotTakeTheStack) {
  const json schema = {{"type", "string"}, {"pattern", "^(a|b)*$"}};
  EXPECT_THAT(CheckSchema(schema, std::string(2'000'000, 'a'), "x"), IsEmpty());
}

}  // namespace
}  // namespace lanekeeper
