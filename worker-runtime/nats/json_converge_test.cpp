#include "worker-runtime/nats/json_converge.h"

#include <gtest/gtest.h>

namespace lanekeeper::nats {
namespace {

struct Case {
  const char* name;  // The claim this row proves.
  const char* existing;
  const char* desired;
  const char* merged;  // Empty: nothing to write.
};

void PrintTo(const Case& row, std::ostream* out) { *out << row.name; }

class MergeDesiredTest : public testing::TestWithParam<Case> {};

TEST_P(MergeDesiredTest, WritesOnlyWhatDiffers) {
  const auto merged = MergeDesired(GetParam().existing, GetParam().desired);
  ASSERT_TRUE(merged.has_value()) << merged.error().message;
  EXPECT_EQ(merged->value_or(""), GetParam().merged);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, MergeDesiredTest,
    testing::Values(
        Case{"EqualIsNoWrite", R"({"a":1,"b":"x"})", R"({"a":1})", ""},
        Case{"DifferentNumberIsReplaced", R"({"a":1,"b":"x"})", R"({"a":2})", R"({"a":2,"b":"x"})"},
        Case{"UnknownFieldsStay", R"({"a":1,"allow_msg_ttl":true,"x":{"y":[1]}})", R"({"a":2})",
             R"({"a":2,"allow_msg_ttl":true,"x":{"y":[1]}})"},
        Case{"ObjectsAreMerged", R"({"metadata":{"_nats.ver":"2.15.2","k":"1"}})",
             R"({"metadata":{"k":"2"}})", R"({"metadata":{"_nats.ver":"2.15.2","k":"2"}})"},
        Case{"ObjectsThatAgreeAreNoWrite", R"({"metadata":{"_nats.ver":"2.15.2","k":"1"}})",
             R"({"metadata":{"k":"1"}})", ""},
        Case{"ArraysAreReplaced", R"({"s":["a","b"]})", R"({"s":["a"]})", R"({"s":["a"]})"},
        Case{"MissingFieldIsAdded", R"({"a":1})", R"({"b":2})", R"({"a":1,"b":2})"},
        Case{"MissingDefaultsAreEqual", R"({"a":1})",
             R"({"f":false,"z":0,"m":-1,"t":"","l":[],"o":{}})", ""},
        Case{"NoLimitInTwoSpellings", R"({"max_bytes":-1})", R"({"max_bytes":0})", ""},
        Case{"DefaultReplacesASetValue", R"({"backoff":[1,2]})", R"({"backoff":[]})",
             R"({"backoff":[]})"},
        Case{"FalseReplacesTrue", R"({"deny":true})", R"({"deny":false})", R"({"deny":false})"},
        Case{"OneAndOnePointZeroAreEqual", R"({"a":1.0})", R"({"a":1})", ""},
        Case{"ObjectOverNullIsWritten", R"({"a":null})", R"({"a":{"b":1}})", R"({"a":{"b":1}})"}),
    [](const auto& test) { return test.param.name; });

TEST(MergeDesiredTest, RefusesWhatIsNoObject) {
  for (const char* text : {"", "[]", "3", "{", "{\"a\":1}x"}) {
    EXPECT_EQ(MergeDesired(text, "{}").error().kind, ErrorKind::kInvalid) << text;
    EXPECT_EQ(MergeDesired("{}", text).error().kind, ErrorKind::kInvalid) << text;
  }
}

}  // namespace
}  // namespace lanekeeper::nats
