#include "cli/dead/dead_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

namespace lanekeeper::dead {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

json Letter() {
  return json::parse(R"({"sequence":17,"lane":"gpu","job_id":"j-1","type":"film",
    "payload_bytes":120,"complete":true,"reason":"rejected","error_class":"BadInput",
    "message":"no such film","output":["line 1","line 2"],"attempts":3,"crashes":0,
    "died_at":"2026-11-26T02:31:40Z","worker":"w-1","job_stream":"s","job_sequence":3,
    "replays":0,"fingerprint":"5d1f","headers":[{"name":"tenant","value":"acme"}]})");
}

TEST(DeadText, ALetterIsALineAndWideOnesHaveItsJobToo) {
  std::ostringstream narrow;
  cli::PrintItems(narrow, cli::Format::kTable, json::array({Letter()}), LetterColumns(), "");
  EXPECT_THAT(narrow.str(), HasSubstr("17   gpu   film  rejected"));
  EXPECT_THAT(narrow.str(), Not(HasSubstr("j-1")));
  std::ostringstream wide;
  cli::PrintItems(wide, cli::Format::kWide, json::array({Letter()}), LetterColumns(), "");
  EXPECT_THAT(wide.str(), HasSubstr("j-1"));
}

TEST(DeadText, OneIsShownWithHeadersAndItsLastOutput) {
  std::ostringstream out;
  cli::PrintOne(out, cli::Format::kTable, Letter(), LetterFields(Letter()));
  EXPECT_THAT(out.str(), HasSubstr("Error:        no such film\n"));
  EXPECT_THAT(out.str(), HasSubstr("120 bytes\n"));
  EXPECT_THAT(out.str(), HasSubstr("  tenant: acme\n"));
  EXPECT_THAT(out.str(), HasSubstr("  line 1\n  line 2\n"));
  EXPECT_THAT(out.str(), Not(HasSubstr("First started")));
}

TEST(DeadText, ABytesPayloadIsOneByte) {
  json letter = Letter();
  letter["payload_bytes"] = 1;
  std::ostringstream out;
  cli::PrintOne(out, cli::Format::kTable, letter, LetterFields(letter));
  EXPECT_THAT(out.str(), HasSubstr(" 1 byte\n"));
}

TEST(DeadText, ASequenceIsANumberFromOneAndAllElseMayBeTheIdOfAJob) {
  EXPECT_EQ(SequenceOf("17"), 17u);
  for (const char* text : {"", "0", "-1", "17x", "LK_a_b_c.17.abc", "99999999999999999999"}) {
    EXPECT_FALSE(SequenceOf(text)) << text;
  }
}

TEST(DeadText, WhatSeveralCallsCameToIsOneSentence) {
  Progress progress;
  Add(progress, json::parse(R"({"done":400,"kept":1,"kept_why":"the lane is full",
                               "complete":false})"));
  EXPECT_FALSE(progress.complete);
  Add(progress, json::parse(R"({"done":12,"kept":2,"kept_why":"the lane is full",
                               "complete":true})"));
  EXPECT_EQ(ProgressText(progress, "sent again"),
            "412 dead letters were sent again; 2 are still there: the lane is full.");
  EXPECT_EQ(ProgressText({.done = 1, .complete = true}, "discarded"),
            "1 dead letter was discarded.");
  EXPECT_EQ(ProgressText({.done = 3, .ended_by = "NATS is away"}, "discarded"),
            "3 dead letters were discarded; then it ended: NATS is away. Say it again to go on.");
}

}  // namespace
}  // namespace lanekeeper::dead
