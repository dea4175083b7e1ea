#include "worker-runtime/client/event_stream.h"

#include <gtest/gtest.h>

namespace lanekeeper::client {
namespace {

std::vector<StreamEvent> ReadWhole(std::string_view text) {
  EventStream stream(1000);
  return stream.Add(text).value();
}

TEST(EventStreamTest, EventsHaveTypeIdAndData) {
  EXPECT_EQ(ReadWhole("event: job\nid: 4\ndata: {}\n\nevent: end\ndata: x\n\n"),
            (std::vector<StreamEvent>{{"4", "job", "{}"}, {"4", "end", "x"}}));
}

TEST(EventStreamTest, TheStandardsOddCasesHold) {
  // Several data lines, no space after the colon, unknown fields, comments, a field without colon.
  EXPECT_EQ(ReadWhole("data:a\ndata: b\nretry: 5\n: c\nother\n\n"),
            (std::vector<StreamEvent>{{"", "message", "a\nb"}}));
  EXPECT_EQ(ReadWhole("data\n\n"), (std::vector<StreamEvent>{{"", "message", ""}}));
  EXPECT_EQ(ReadWhole("\xEF\xBB\xBF"
                      "data: a\n\n"),
            (std::vector<StreamEvent>{{"", "message", "a"}}));
  EXPECT_EQ(ReadWhole("id: 1\nevent: job\n\n"), std::vector<StreamEvent>{});
  EXPECT_EQ(ReadWhole("data: not complete\n"), std::vector<StreamEvent>{});
}

TEST(EventStreamTest, AnyLineEndAndAnyPiecesWillDo) {
  constexpr std::string_view kText = "id: 1\r\ndata: a\r\r\ndata: b\n\r\n";
  const std::vector<StreamEvent> expected{{"1", "message", "a"}, {"1", "message", "b"}};
  EXPECT_EQ(ReadWhole(kText), expected);
  EventStream stream(1000);
  std::vector<StreamEvent> events;
  for (const char byte : kText) {
    const auto complete = stream.Add({&byte, 1});
    for (const StreamEvent& event : complete.value()) events.push_back(event);
  }
  EXPECT_EQ(events, expected);
}

TEST(EventStreamTest, AnEventThatIsTooLargeIsRefused) {
  EventStream line(100);
  EXPECT_FALSE(line.Add("data: " + std::string(200, 'x')));
  EventStream lines(100);
  std::string many;
  for (int n = 0; n < 50; ++n) many += "data: xxx\n";
  EXPECT_FALSE(lines.Add(many));
}

}  // namespace
}  // namespace lanekeeper::client
