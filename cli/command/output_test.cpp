#include "cli/command/output.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/command/command.h"
#include "worker-runtime/base/time.h"

namespace lanekeeper::cli {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const std::vector<Column> kColumns{
    {"ID", [](const json& item) { return TextAt(item, "/id"); }},
    {"STATE", [](const json& item) { return TextAt(item, "/state"); }},
    {"TYPE", [](const json& item) { return TextAt(item, "/type"); }, /*wide=*/true}};
const json kItems = json::parse(
    R"([{"id":"1","state":"waiting","type":"a"},{"id":"long-id","state":"done","type":"b"}])");

std::string Printed(Format format, const json& items) {
  std::ostringstream out;
  PrintItems(out, format, items, kColumns, "No jobs.");
  return out.str();
}

TEST(OutputTest, ATableIsAsWideAsItsWidestCell) {
  EXPECT_EQ(Printed(Format::kTable, kItems),
            "ID       STATE\n"
            "1        waiting\n"
            "long-id  done\n");
}

TEST(OutputTest, WideHasTheColumnsThatTheTableLeavesOut) {
  EXPECT_EQ(Printed(Format::kWide, kItems),
            "ID       STATE    TYPE\n"
            "1        waiting  a\n"
            "long-id  done     b\n");
}

TEST(OutputTest, WithoutItemsATableSaysSoAndJsonIsAnEmptyArray) {
  EXPECT_EQ(Printed(Format::kTable, json::array()), "No jobs.\n");
  EXPECT_EQ(Printed(Format::kJson, json::array()), "[]\n");
  EXPECT_EQ(Printed(Format::kYaml, json::array()), "[]\n");
}

TEST(OutputTest, JsonIsTheItemsAsTheyAre) {
  EXPECT_EQ(json::parse(Printed(Format::kJson, kItems)), kItems);
}

TEST(OutputTest, TextThatYamlWouldTakeForSomethingElseIsQuoted) {
  const std::string yaml = Printed(
      Format::kYaml, json::parse(R"([{"a":"true","b":"12","c":"plain","d":"x: y","e":12,"f":null,
                                      "g":true,"h":"","i":[],"j":{}}])"));
  EXPECT_EQ(yaml,
            "- a: \"true\"\n  b: \"12\"\n  c: plain\n  d: \"x: y\"\n  e: 12\n  f: null\n"
            "  g: true\n  h: \"\"\n  i: []\n  j: {}\n");
}

TEST(OutputTest, NothingInACellCanDriveATerminal) {
  const std::string printed =
      Printed(Format::kTable, json::parse(R"([{"id":"\u001b[2Jx\n","state":"\u009bc"}])"));
  EXPECT_THAT(printed, HasSubstr("\\x1b[2Jx\\x0a"));
  EXPECT_THAT(printed, HasSubstr("\\xc2\\x9bc"));
  EXPECT_THAT(printed, Not(HasSubstr("\x1b")));
}

TEST(OutputTest, BytesThatAreNoTextAreShownAsSuchAndLettersStay) {
  EXPECT_EQ(Printable("Grüße 日本"), "Grüße 日本");
  EXPECT_EQ(Printable("a\xff\xc3z"), "a\\xff\\xc3z");
  EXPECT_EQ(Printable(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(Printable("\xe6\x97"), "\\xe6\\x97");  // Cut off.
}

TEST(OutputTest, ColumnsLineUpBehindLettersOfSeveralBytes) {
  EXPECT_EQ(Printed(Format::kTable, json::parse(R"([{"id":"ü","state":"s"}])")),
            "ID  STATE\nü   s\n");
}

TEST(OutputTest, FieldsAreTitledAndLinesIndentedBelow) {
  std::ostringstream out;
  PrintOne(out, Format::kTable, json::object(),
           {{"Id", "7"}, {"State", "done"}, {"Gone", ""}, {"Output", "one\ntwo\x1b\n"}});
  EXPECT_EQ(out.str(), "Id:      7\nState:   done\nOutput:\n  one\n  two\\x1b\n");
}

TEST(OutputTest, WhatIsNotThereIsADash) {
  const json item = json::parse(R"({"a":{"b":3},"n":null,"e":"","t":true})");
  EXPECT_EQ(TextAt(item, "/a/b"), "3");
  EXPECT_EQ(TextAt(item, "/a/x"), "-");
  EXPECT_EQ(TextAt(item, "/n"), "-");
  EXPECT_EQ(TextAt(item, "/e"), "-");
  EXPECT_EQ(TextAt(item, "/a"), "-");
  EXPECT_EQ(TextAt(item, "/t"), "true");
  EXPECT_EQ(AgeAt(item, "/a/b"), "-");
}

TEST(OutputTest, ACellWithoutTextIsADash) {
  EXPECT_EQ(Printed(Format::kWide, json::parse(R"([{"id":"1","state":"dead"}])")),
            "ID  STATE  TYPE\n1   dead   -\n");
  std::ostringstream out;
  PrintItems(out, Format::kTable, json::parse("[{}]"),
             {{"ERROR", [](const json&) { return std::string(); }}}, "");
  EXPECT_EQ(out.str(), "ERROR\n-\n");
}

TEST(OutputTest, AgesAreShort) {
  const json item{
      {"at", FormatRfc3339(std::chrono::system_clock::now() - std::chrono::minutes(5))}};
  EXPECT_EQ(AgeAt(item, "/at"), "5m");
  EXPECT_EQ(SecondsText(-3), "0s");
  EXPECT_EQ(SecondsText(119), "119s");
  EXPECT_EQ(SecondsText(3'600), "60m");
  EXPECT_EQ(SecondsText(3 * 3'600), "3h");
  EXPECT_EQ(SecondsText(3 * 86'400), "3d");
}

TEST(OutputTest, AnUnknownFormatIsRefused) {
  CLI::App app("", "x");
  Format format = Format::kTable;
  AddOutputFlag(app, format);
  app.parse("-o yaml");
  EXPECT_EQ(format, Format::kYaml);
  EXPECT_THROW(app.parse("-o xml"), CLI::ParseError);
  EXPECT_THROW(app.parse("-o 2"), CLI::ParseError);
  EXPECT_THAT(app.help(), AllOf(HasSubstr("--output FORMAT "), Not(HasSubstr("{"))));
}

// What a person sees on standard error after these words.
std::string Refused(std::vector<std::string> words) {
  CLI::App app("", "lanekeeper");
  app.require_subcommand(1);
  CLI::App* jobs = app.add_subcommand("jobs", "");
  std::string id;
  jobs->add_subcommand("show", "")->add_option("id", id)->required();
  std::reverse(words.begin(), words.end());  // As CLI11 takes them.
  testing::internal::CaptureStderr();
  try {
    app.parse(words);
    ADD_FAILURE() << "taken";
  } catch (const CLI::ParseError& error) {
    EXPECT_EQ(EndParse(app, error), Exit::kUsage);
  }
  return testing::internal::GetCapturedStderr();
}

TEST(CommandTest, WordsThatAreNotUnderstoodAreNamedWithTheHelpThatTellsMore) {
  EXPECT_EQ(Refused({"job"}), "lanekeeper: there is no command 'job'; see `lanekeeper --help`\n");
  EXPECT_EQ(Refused({}), "lanekeeper: a command is missing; see `lanekeeper --help`\n");
  EXPECT_EQ(Refused({"jobs", "show"}),
            "lanekeeper: id is required; see `lanekeeper jobs show --help`\n");
  EXPECT_THAT(Refused({"jobs", "show", "7", "--colour"}),
              AllOf(HasSubstr("--colour"), HasSubstr("`lanekeeper jobs show --help`")));
}

TEST(CommandTest, HelpThatWasAskedForIsNoMistake) {
  CLI::App app("", "lanekeeper");
  testing::internal::CaptureStdout();
  try {
    app.parse("--help");
    ADD_FAILURE() << "taken";
  } catch (const CLI::ParseError& error) {
    EXPECT_EQ(EndParse(app, error), Exit::kOk);
  }
  EXPECT_THAT(testing::internal::GetCapturedStdout(), HasSubstr("Usage: lanekeeper"));
}

TEST(CommandTest, EveryKindOfErrorHasAStatusOfItsOwn) {
  EXPECT_EQ(ExitOf(Error{ErrorKind::kInvalid, ""}), Exit::kUsage);
  EXPECT_EQ(ExitOf(Error{ErrorKind::kNotFound, ""}), Exit::kNotFound);
  EXPECT_EQ(ExitOf(Error{ErrorKind::kForbidden, ""}), Exit::kForbidden);
  EXPECT_EQ(ExitOf(Error{ErrorKind::kRetryable, ""}), Exit::kUnreachable);
}

}  // namespace
}  // namespace lanekeeper::cli
