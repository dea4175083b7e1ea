#include "cli/remote/lane_name.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

namespace lanekeeper::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;

const json kPools = json::parse(R"({"pools":[
  {"namespace":"studio","pool":"media","lanes":["short","long"]},
  {"namespace":"studio","pool":"mail","lanes":["bulk"]},
  {"namespace":"other","pool":"mail","lanes":["bulk"]},
  {"namespace":"mail","pool":"bulk","lanes":["x"]}]})");
const json kOnePool =
    json::parse(R"({"pools":[{"namespace":"studio","pool":"media","lanes":["short"]}]})");

struct Case {
  const char* name;
  const char* text;
  bool with_lane;
  const json* pools;
  const char* expected;  // "ns/pool/lane", or "kind: a part of the message".
};
void PrintTo(const Case& row, std::ostream* out) { *out << row.name; }

class LaneNameTest : public testing::TestWithParam<Case> {};

TEST_P(LaneNameTest, IsRead) {
  const auto read = ReadLaneName(GetParam().text, GetParam().with_lane, *GetParam().pools);
  if (read) {
    EXPECT_EQ(read->pool_namespace + "/" + read->pool + "/" + read->lane, GetParam().expected);
  } else {
    EXPECT_THAT(std::string(ToString(read.error().kind)) + ": " + read.error().message,
                HasSubstr(GetParam().expected));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Rows, LaneNameTest,
    testing::Values(
        Case{"BothNames", "studio/media", false, &kPools, "studio/media/"},
        Case{"AllNames", "studio/media/long", true, &kPools, "studio/media/long"},
        Case{"TheOnlyPoolOfThatName", "media", false, &kPools, "studio/media/"},
        Case{"TheOnlyPoolOfThatNameAndALane", "media/short", true, &kPools, "studio/media/short"},
        Case{"ANamespaceAndAPoolWhereALaneMayStand", "studio/media", true, &kPools,
             "studio/media/"},
        Case{"NothingIsTheOnlyPool", "", false, &kOnePool, "studio/media/"},
        Case{"OnlyALaneIsThatOfTheOnlyPool", "/short", true, &kOnePool, "studio/media/short"},
        Case{"NothingOfMany", "", false, &kPools, "which pool? name one of studio/media"},
        Case{"ANameThatTwoHave", "mail", false, &kPools, "studio/mail, other/mail"},
        Case{"ALaneThatTwoHave", "studio/mail/bulk", true, &kPools, "studio/mail/bulk"},
        Case{"TwoReadings", "mail/bulk", true, &kPools, "mail/bulk"},
        Case{"NoSuchPool", "nope", false, &kPools, "there are studio/media"},
        Case{"NoSuchLane", "media/nope", true, &kPools, "it has short, long"},
        Case{"NoPools", "", false, &kPools, "name one of"},
        Case{"TooManyParts", "a/b/c", false, &kPools, "must be [NAMESPACE/]POOL"},
        Case{"AGap", "studio//short", true, &kPools, "must be [NAMESPACE/]POOL[/LANE]"},
        Case{"AnEnd", "studio/", false, &kPools, "must be"}),
    [](const auto& test) { return test.param.name; });

TEST(LaneNameTest, AnAnswerWithoutPoolsIsNone) {
  const auto read = ReadLaneName("", false, json::parse(R"({"pools":[]})"));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind, ErrorKind::kNotFound);
  EXPECT_THAT(read.error().message, HasSubstr("there are no pools"));
  EXPECT_FALSE(ReadLaneName("x", false, json()));
}

}  // namespace
}  // namespace lanekeeper::cli
