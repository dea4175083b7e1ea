#include "operator/manifest/yaml_text.h"

#include <gtest/gtest.h>

#include "operator/manifest/yaml_json.h"

namespace lanekeeper {
namespace {

using nlohmann::ordered_json;

TEST(YamlTextTest, LooksAsAPersonWouldWriteIt) {
  const auto value = ordered_json::parse(
      R"({"kind":"Pod","metadata":{"name":"a","labels":{}},"spec":{"containers":[{"name":"w",
          "image":"example.com/w:1.2","args":["-c","a b",["x"]],"cpu":"500m","on":1}],"none":[],
          "version":"1.0","yes":"no","grace":30,"script":"set -e\n  run it\n","window":"5m"}})");
  EXPECT_EQ(WriteYaml(value), R"(kind: Pod
metadata:
  name: a
  labels: {}
spec:
  containers:
  - name: w
    image: example.com/w:1.2
    args:
    - "-c"
    - a b
    -
      - x
    cpu: 500m
    "on": 1
  none: []
  version: "1.0"
  "yes": "no"
  grace: 30
  script: |
    set -e
      run it
  window: 5m
)");
}

TEST(YamlTextTest, EverythingIsReadBackAsItWas) {
  const char* const texts[] = {"",
                               " ",
                               "a: b",
                               "a:",
                               "#x",
                               "a #x",
                               "- a",
                               "1",
                               "1.5",
                               "1e3",
                               "0x1f",
                               "1_0",
                               "0b1",
                               "~",
                               "null",
                               "Null",
                               "TRUE",
                               "n",
                               "Off",
                               "<<",
                               "=",
                               "*a",
                               "&a",
                               "!a",
                               "|",
                               ">",
                               "%a",
                               "@a",
                               "`a`",
                               "'a'",
                               "\"a\"",
                               "a\nb",
                               "a\nb\n",
                               "a\n\nb",
                               "a\n\n",
                               "\na",
                               " a\nb",
                               "a\n b\n",
                               "a\tb\nc",
                               "{a}",
                               "[a]",
                               "a, b",
                               "2026-11-26",
                               "12:30",
                               "30s",
                               "512Mi",
                               "5e",
                               "7K",
                               "a\\b",
                               "\xC3\xA4",
                               "a\x01",
                               "a ",
                               "a  b",
                               "-",
                               "--- ",
                               "...",
                               "$(X)/y",
                               "http://a:1/b?c=d&e",
                               "a\r\nb",
                               "# a\nb",
                               "a:\nb",
                               "a\nb: c",
                               "\xC2\x9B"
                               "2J",
                               "\x7F"};
  ordered_json list = ordered_json::array();
  ordered_json object;
  for (const char* text : texts) {
    list.push_back(text);
    object[text] = text;
    list.push_back({{"x", {{"y", text}}}});
  }
  const auto value = ordered_json{{"list", list},
                                  {"object", object},
                                  {"other", {nullptr, true, -1, 1.5, ordered_json::array()}}};
  const auto read = ReadYamlInOrder(WriteYaml(value));
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->size(), 1U);
  EXPECT_EQ(read->front().value.dump(1), value.dump(1));
}

TEST(YamlTextTest, NothingInItDrivesATerminal) {
  EXPECT_EQ(WriteYaml(ordered_json{{"a",
                                    "\x1B[2J\x7F\xC2\x9B"
                                    "2J\xC2\xA7\xC3\x9B"}}),
            "a: \"\\u001b[2J\\u007f\\u009b2J\xC2\xA7\xC3\x9B\"\n");
}

}  // namespace
}  // namespace lanekeeper
