#include "worker-runtime/job/codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "worker-runtime/job/rfc3339.h"

namespace lanekeeper {
namespace {

using testing::HasSubstr;

JobMessage Message(Headers headers = {}, std::string payload = "body") {
  return {.stream = "LK_a_b_c",
          .sequence = 7,
          .delivery = 3,
          .payload = std::move(payload),
          .headers = std::move(headers)};
}

TEST(DecodeHeadTest, APlainMessageIsAValidJob) {
  const Result<JobHead> head = DecodeHead(Message());
  ASSERT_TRUE(head);
  EXPECT_EQ(*head, (JobHead{.id = "LK_a_b_c.7"}));
}

TEST(DecodeHeadTest, ReadsEveryHeaderOfTheContract) {
  const std::string trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const Result<JobHead> head = DecodeHead(Message({{"Nats-Msg-Id", "order-1"},
                                                   {"lk-type", "thumbnail/v2:large_x.y-z"},
                                                   {"Lk-Deadline", "2026-11-24T22:28:40Z"},
                                                   {"traceparent", trace},
                                                   {"X-Other", "kept"}}));
  ASSERT_TRUE(head) << head.error().message;
  EXPECT_EQ(head->id, "order-1");
  EXPECT_EQ(head->type, "thumbnail/v2:large_x.y-z");
  EXPECT_EQ(head->deadline, ParseRfc3339("2026-11-24T22:28:40Z"));
  EXPECT_EQ(head->traceparent, trace);
}

struct BadCase {
  const char* name;
  Headers headers;
  const char* problem;
};
void PrintTo(const BadCase& row, std::ostream* out) { *out << row.name; }

class DecodeHeadRefusesTest : public testing::TestWithParam<BadCase> {};

TEST_P(DecodeHeadRefusesTest, AndNamesTheHeader) {
  const Result<JobHead> head = DecodeHead(Message(GetParam().headers));
  ASSERT_FALSE(head);
  EXPECT_EQ(head.error().kind, ErrorKind::kInvalid);
  EXPECT_THAT(head.error().message, HasSubstr(GetParam().problem));
}

INSTANTIATE_TEST_SUITE_P(
    Rows, DecodeHeadRefusesTest,
    testing::Values(BadCase{"LongId", {{"Nats-Msg-Id", std::string(257, 'x')}}, "257 bytes"},
                    BadCase{"IdWithTab", {{"Nats-Msg-Id", "a\tb"}}, "control character"},
                    BadCase{"IdWithDelete", {{"Nats-Msg-Id", "a\x7f"}}, "control character"},
                    BadCase{"TypeWithSpace", {{"Lk-Type", "a b"}}, "Lk-Type \"a b\""},
                    BadCase{"TypeWithBytes", {{"Lk-Type", "\xc3\xa4"}}, "Lk-Type"},
                    BadCase{"LongType", {{"Lk-Type", std::string(129, 't')}}, "Lk-Type"},
                    BadCase{"DeadlineInWords", {{"Lk-Deadline", "soon"}}, "Lk-Deadline \"soon\""},
                    BadCase{"EmptyDeadline", {{"Lk-Deadline", ""}}, "Lk-Deadline"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(DecodeHeadTest, TakesTheLongestIdAndType) {
  EXPECT_TRUE(DecodeHead(
      Message({{"Nats-Msg-Id", std::string(256, 'x')}, {"Lk-Type", std::string(128, 't')}})));
}

TEST(DecodeHeadTest, AnEmptyIdIsNoId) {
  EXPECT_EQ(DecodeHead(Message({{"Nats-Msg-Id", ""}}))->id, "LK_a_b_c.7");
}

TEST(DecodeHeadTest, IgnoresAMalformedTraceparent) {
  for (const char* bad : {"", "00-x", "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                          "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x"}) {
    EXPECT_EQ(DecodeHead(Message({{"traceparent", bad}}))->traceparent, "") << bad;
  }
}

const DeadLetter kLetter{.reason = "rejected",
                         .message = "line one",
                         .error_class = "io",
                         .output = {"a \"b\"", "c\n\xff"},
                         .attempts = 3,
                         .crashes = 1,
                         .first_started_at = WallTime(std::chrono::seconds(1767225600))};
const DeadOrigin kOrigin{"worker-1", "2026-11-24T22:28:40Z"};
constexpr std::size_t kLarge = 1 << 20;

TEST(EncodeDeadLetterTest, CarriesPayloadHeadersAndTheReason) {
  const auto dead = EncodeDeadLetter(
      Message({{"Nats-Msg-Id", "order-1"}, {"Lk-Type", "x"}, {"X-Own", "1"}, {"X-Own", "2"}}),
      kLetter, kOrigin, kLarge);
  ASSERT_EQ(dead.size(), 1U);
  EXPECT_EQ(dead[0].payload, "body");
  EXPECT_EQ(dead[0].headers, (Headers{{"Lk-Type", "x"},
                                      {"X-Own", "1"},
                                      {"X-Own", "2"},
                                      {"Nats-Msg-Id", "LK_a_b_c.7.0.dead"},
                                      {"Lk-Dead-Reason", "rejected"},
                                      {"Lk-Dead-Message", "line one"},
                                      {"Lk-Dead-Error-Class", "io"},
                                      {"Lk-Dead-Output", R"(["a \"b\"","c??"])"},
                                      {"Lk-Dead-Attempts", "3"},
                                      {"Lk-Dead-Crashes", "1"},
                                      {"Lk-Dead-First-Time", "2026-01-01T00:00:00Z"},
                                      {"Lk-Dead-Time", "2026-11-24T22:28:40Z"},
                                      {"Lk-Dead-Worker", "worker-1"},
                                      {"Lk-Dead-Stream", "LK_a_b_c"},
                                      {"Lk-Dead-Sequence", "7"},
                                      {"Lk-Dead-Job-Id", "order-1"}}));
}

// A Nats-TTL or Nats-Expected-* of the first publish would make the second one fail or vanish.
TEST(EncodeDeadLetterTest, DoesNotRepeatOrdersToTheServer) {
  const auto dead = EncodeDeadLetter(
      Message({{"Nats-TTL", "1s"}, {"nats-expected-stream", "LK_a_b_c"}, {"Nats-Rollup", "sub"}}),
      kLetter, kOrigin, kLarge);
  EXPECT_EQ(FindHeader(dead[0].headers, "Nats-TTL"), std::nullopt);
  EXPECT_EQ(FindHeader(dead[0].headers, "Nats-Expected-Stream"), std::nullopt);
  EXPECT_EQ(FindHeader(dead[0].headers, "Nats-Rollup"), std::nullopt);
}

TEST(EncodeDeadLetterTest, ASecondDeathReplacesTheFirst) {
  const auto dead =
      EncodeDeadLetter(Message({{"Lk-Dead-Reason", "crashes-used-up"}, {"Lk-Dead-Part", "1/2"}}),
                       kLetter, kOrigin, kLarge);
  EXPECT_EQ(FindHeader(dead[0].headers, "Lk-Dead-Reason"), "rejected");
  EXPECT_EQ(FindHeader(dead[0].headers, "Lk-Dead-Part"), std::nullopt);
}

TEST(EncodeDeadLetterTest, AnUndecodableIdTravelsButIdentifiesNothing) {
  const std::string id(300, 'x');
  const auto dead = EncodeDeadLetter(Message({{"Nats-Msg-Id", id}}), kLetter, kOrigin, kLarge);
  EXPECT_EQ(FindHeader(dead[0].headers, "Nats-Msg-Id"), "LK_a_b_c.7.0.dead");
  EXPECT_EQ(FindHeader(dead[0].headers, "Lk-Dead-Job-Id"), id);
}

TEST(EncodeDeadLetterTest, KeepsAHugeMessageToOneBoundedLine) {
  const auto dead = EncodeDeadLetter(
      Message(), {.reason = "rejected", .message = std::string(100'000, 'w')}, kOrigin, kLarge);
  EXPECT_EQ(FindHeader(dead[0].headers, "Lk-Dead-Message")->size(), kDeadMessageBytesMax);
}

std::size_t WireBytes(const OutMessage& message) {
  std::size_t bytes = 12 + message.payload.size();
  for (const auto& [name, value] : message.headers) bytes += name.size() + value.size() + 4;
  return bytes;
}

TEST(EncodeDeadLetterTest, LosesNothingOfAJobThatOurHeadersMakeTooLarge) {
  constexpr std::size_t limit = 4096;
  for (std::size_t size = limit - 600; size <= limit; ++size) {
    const std::string payload = std::string(size - 1, 'p') + "!";
    const auto dead = EncodeDeadLetter(Message({}, payload), kLetter, kOrigin, limit);
    ASSERT_GE(dead.size(), 1U);
    std::string whole;
    for (const OutMessage& part : dead) {
      EXPECT_LE(WireBytes(part), limit) << size;
      whole += part.payload;
    }
    EXPECT_EQ(whole, payload);
    if (dead.size() == 2) {
      EXPECT_EQ(FindHeader(dead[0].headers, "Nats-Msg-Id"), "LK_a_b_c.7.0.dead");
      EXPECT_EQ(FindHeader(dead[1].headers, "Nats-Msg-Id"), "LK_a_b_c.7.0.dead.2");
      EXPECT_EQ(FindHeader(dead[0].headers, "Lk-Dead-Part"), "1/2");
      EXPECT_EQ(FindHeader(dead[1].headers, "Lk-Dead-Part"), "2/2");
      EXPECT_EQ(FindHeader(dead[1].headers, "Lk-Dead-Job-Id"), "LK_a_b_c.7");
    }
  }
  EXPECT_EQ(EncodeDeadLetter(Message({}, std::string(limit, 'p')), kLetter, kOrigin, limit).size(),
            2U);
}

TEST(EncodeDeadLetterTest, IsEmptyWhenTheHeadersAloneLeaveNoRoom) {
  EXPECT_TRUE(
      EncodeDeadLetter(Message({{"X", std::string(4000, 'x')}}), kLetter, kOrigin, 4096).empty());
}

// A header is one line; of much output the end is what matters.
TEST(EncodeDeadLetterTest, KeepsTheLastLinesOfMuchOutput) {
  const DeadLetter letter{.reason = "rejected",
                          .output = {std::string(2000, 'a'), std::string(1000, 'b'), "last"}};
  const auto dead = EncodeDeadLetter(Message(), letter, kOrigin, kLarge);
  EXPECT_EQ(FindHeader(dead[0].headers, "Lk-Dead-Output"),
            "[\"" + std::string(1000, 'b') + "\",\"last\"]");
}

TEST(EncodeDeadLetterTest, FurtherLinesOfTheMessageAreOutputUnlessThereIsSome) {
  DeadLetter letter{.reason = "rejected", .message = "what\n\nat a()\nat b()\n"};
  auto dead = EncodeDeadLetter(Message(), letter, kOrigin, kLarge);
  EXPECT_EQ(FindHeader(dead[0].headers, "Lk-Dead-Message"), "what");
  EXPECT_EQ(FindHeader(dead[0].headers, "Lk-Dead-Output"), "[\"at a()\",\"at b()\"]");
  letter.output = {"own"};
  dead = EncodeDeadLetter(Message(), letter, kOrigin, kLarge);
  EXPECT_EQ(FindHeader(dead[0].headers, "Lk-Dead-Output"), R"(["own"])");
}

// Bug: "<job id>.dead.<sequence>" was the same for one id in two lanes, whose dead letters share a
// stream: the second was taken for a duplicate, and its job was gone.
TEST(EncodeDeadLetterTest, TheSameIdInTwoLanesAreTwoDeadLetters) {
  JobMessage first = Message({{"Nats-Msg-Id", "a"}});
  JobMessage second = first;
  second.stream = "LK_a_b_long";
  JobMessage anew = first;
  anew.stored_at += std::chrono::nanoseconds(1);
  const auto id = [](const JobMessage& message) {
    const auto dead = EncodeDeadLetter(message, kLetter, kOrigin, kLarge);
    return std::string(*FindHeader(dead[0].headers, "Nats-Msg-Id"));
  };
  EXPECT_NE(id(first), id(second));
  EXPECT_NE(id(first), id(anew));
}

TEST(EncodeMoveTest, KeepsTheJobAndSaysWhereItCameFrom) {
  const OutMessage moved = EncodeMove(
      Message({{"Nats-Msg-Id", "order-1"}, {"Lk-Type", "x"}, {"Nats-TTL", "1s"}}), "short");
  EXPECT_EQ(moved.payload, "body");
  EXPECT_EQ(moved.headers, (Headers{{"Lk-Type", "x"},
                                    {"Nats-Msg-Id", "LK_a_b_c.7.0.moved"},
                                    {"Lk-Job-Id", "order-1"},
                                    {"Lk-Moved-From", "short.7"}}));
}

// Bug: whatever began like one of ours was left behind.
TEST(EncodeMoveTest, LeavesOnlyOurOwnHeadersBehind) {
  const OutMessage moved =
      EncodeMove(Message({{"lk-job-id", "a"}, {"Lk-Job-Identity", "kept"}}), "short");
  EXPECT_EQ(FindHeader(moved.headers, "Lk-Job-Identity"), "kept");
  EXPECT_EQ(FindHeader(moved.headers, "Lk-Job-Id"), "a");
}

TEST(DecodeHeadTest, AnIdOfItsOwnGoesBeforeTheServers) {
  const auto head = DecodeHead(Message({{"Nats-Msg-Id", "x.replay.7"}, {"Lk-Job-Id", "order-1"}}));
  EXPECT_EQ(head->id, "order-1");
  EXPECT_EQ(DecodeHead(Message({{"Lk-Job-Id", "a\x01"}})).error().message,
            "Lk-Job-Id has a control character in it");
}

struct StarCase {
  const char* name;
  const char* header;
  const char* id;
};
void PrintTo(const StarCase& row, std::ostream* out) { *out << row.name; }

class StarIdTest : public testing::TestWithParam<StarCase> {};

TEST_P(StarIdTest, IsTheSameInHeadMoveAndDeadLetter) {
  const auto& [name, header, id] = GetParam();
  const JobMessage message = Message({{"Nats-Msg-Id", "k3x9qa2bxx"}, {"lk-job-id", header}});
  EXPECT_EQ(JobIdOf(message), id);
  EXPECT_EQ(DecodeHead(message)->id, id);
  EXPECT_EQ(FindHeader(EncodeMove(message, "short").headers, "Lk-Job-Id"), id);
  const auto dead = EncodeDeadLetter(message, kLetter, kOrigin, kLarge);
  EXPECT_EQ(FindHeader(dead[0].headers, "Lk-Dead-Job-Id"), id);
  // Whoever publishes the letter by hand keeps the id.
  EXPECT_EQ(FindHeader(dead[0].headers, "Lk-Job-Id"), id);
}

INSTANTIATE_TEST_SUITE_P(Rows, StarIdTest,
                         testing::Values(StarCase{"AStarIsThePlace", "*.k3x9qa2b",
                                                  "LK_a_b_c.7.k3x9qa2b"},
                                         StarCase{"AlsoAlone", "*", "LK_a_b_c.7"},
                                         StarCase{"OnlyTheFirst", "**", "LK_a_b_c.7*"},
                                         StarCase{"OnlyInFront", "a*", "a*"}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(DecodeHeadTest, AnIdThatIsTooLongWithItsPlaceIsRefused) {
  const auto head = DecodeHead(Message({{"Lk-Job-Id", "*" + std::string(250, 'x')}}));
  ASSERT_FALSE(head);
  EXPECT_THAT(head.error().message, HasSubstr("Lk-Job-Id has 260 bytes"));
}

// A star is our word in our header. Ids of producers that were there before mean what they say.
TEST(DecodeHeadTest, AStarInTheServersIdIsAStar) {
  EXPECT_EQ(DecodeHead(Message({{"Nats-Msg-Id", "*.a"}}))->id, "*.a");
}

TEST(DecodeHeadTest, ReadsATimeoutOfTheJob) {
  EXPECT_EQ(DecodeHead(Message({{"Lk-Timeout", "90s"}}))->timeout, std::chrono::seconds(90));
  EXPECT_EQ(DecodeHead(Message())->timeout, std::nullopt);
  for (const char* bad : {"", "90", "-1s", "0s", "soon"}) {
    EXPECT_EQ(DecodeHead(Message({{"Lk-Timeout", bad}})).error().message,
              "Lk-Timeout \"" + std::string(bad) + "\" is not a duration like 90s");
  }
}

}  // namespace
}  // namespace lanekeeper
