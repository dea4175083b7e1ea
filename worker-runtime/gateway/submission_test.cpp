#include "worker-runtime/gateway/submission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>
#include <set>
#include <string>

#include "worker-runtime/gateway/sha256.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/job/rfc3339.h"

namespace lanekeeper::gateway {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;

constexpr const char* kTrace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

TEST(ParseSubmissionTest, ReadsEveryField) {
  const auto submission = ParseSubmission(R"({"type": "thumbnail/v2", "lane": "short",
      "payload": {"b": [1, 2.50, -0, 1e400, 12345678901234567890123, "\u00e4\"\n"], "a": null},
      "deadline": "2026-11-24T22:28:40Z", "timeout": "90s", "idempotency_key": "order 1",
      "headers": {"X-Own": " v ", "tracestate": ""}})");
  ASSERT_FALSE(submission);  // 1e400.
  const auto read = ParseSubmission(R"({"type": "thumbnail/v2", "lane": "short",
      "payload": {"b": [1, 2.50, -0, 12345678901234567890123, "\u00e4\"\n\u0001/"], "a": null},
      "deadline": "2026-11-24T22:28:40Z", "timeout": "90s", "idempotency_key": "order 1",
      "headers": {"X-Own": " v ", "tracestate": ""}})");
  ASSERT_TRUE(read) << read.error().detail;
  EXPECT_EQ(*read,
            (Submission{.lane = "short",
                        .type = "thumbnail/v2",
                        .payload = "{\"b\":[1,2.50,-0,12345678901234567890123,\"\xc3\xa4\\\"\\n"
                                   "\\u0001/\"],\"a\":null}",
                        .deadline = ParseRfc3339("2026-11-24T22:28:40Z"),
                        .timeout = std::chrono::seconds(90),
                        .headers = {{"X-Own", "v"}, {"tracestate", ""}},
                        .idempotency_key = "order 1"}));
}

TEST(ParseSubmissionTest, AnEmptyObjectIsAnEmptyJob) {
  EXPECT_EQ(*ParseSubmission("{}"), Submission{});
  EXPECT_EQ(*ParseSubmission(" {\n} "), Submission{});
}

struct PayloadCase {
  const char* name;
  const char* json;
  const char* payload;
};
void PrintTo(const PayloadCase& row, std::ostream* out) { *out << row.name; }

class PayloadTest : public testing::TestWithParam<PayloadCase> {};

TEST_P(PayloadTest, TravelsAsItWasWritten) {
  const auto read = ParseSubmission(std::string(R"({"payload":)") + GetParam().json + "}");
  ASSERT_TRUE(read) << read.error().detail;
  EXPECT_EQ(read->payload, GetParam().payload);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, PayloadTest,
    testing::Values(
        PayloadCase{"Null", "null", "null"}, PayloadCase{"True", "true", "true"},
        PayloadCase{"False", "false", "false"}, PayloadCase{"Zero", "0", "0"},
        PayloadCase{"MinusZero", "-0", "-0"}, PayloadCase{"Negative", "-17", "-17"},
        PayloadCase{"LargestUnsigned", "18446744073709551615", "18446744073709551615"},
        PayloadCase{"SmallestSigned", "-9223372036854775808", "-9223372036854775808"},
        PayloadCase{"TooLargeForAnInteger", "-92233720368547758080", "-92233720368547758080"},
        PayloadCase{"Digits", "0.1000000000000000055511151231257827",
                    "0.1000000000000000055511151231257827"},
        PayloadCase{"Exponent", "1E+02", "1E+02"},
        PayloadCase{"TooSmallForADouble", "1e-400", "1e-400"},
        PayloadCase{"Text", R"("a")", R"("a")"},
        PayloadCase{"NulInText", R"("\u0000")", R"("\u0000")"},
        PayloadCase{"PairOfSurrogates", R"("\ud83d\ude00")", "\"\xf0\x9f\x98\x80\""},
        PayloadCase{"EmptyArray", " [ ] ", "[]"}, PayloadCase{"EmptyObject", "{}", "{}"},
        PayloadCase{"Nested", R"([ {"a" : [ [ ] , { } , 1 ] , "b" : 2 } , 3 ])",
                    R"([{"a":[[],{},1],"b":2},3])"},
        PayloadCase{"FieldsOfOursInside", R"({"headers":{"x":1},"payload":{"type":[]}})",
                    R"({"headers":{"x":1},"payload":{"type":[]}})"},
        PayloadCase{"TheSameKeyTwice", R"({"a":1,"a":2})", R"({"a":1,"a":2})"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(ParseSubmissionTest, BytesComeAsBase64) {
  EXPECT_EQ(ParseSubmission(R"({"payload_base64":"AP8K"})")->payload, std::string("\0\xff\n", 3));
  EXPECT_EQ(ParseSubmission(R"({"payload_base64":"YQ=="})")->payload, "a");
  EXPECT_EQ(ParseSubmission(R"({"payload_base64":"YQ"})")->payload, "a");
  EXPECT_EQ(ParseSubmission(R"({"payload_base64":""})")->payload, "");
}

TEST(ParseSubmissionTest, DepthHasALimit) {
  const auto nested = [](std::size_t depth) {
    return R"({"payload":)" + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  EXPECT_TRUE(ParseSubmission(nested(127)));
  const auto deep = ParseSubmission(nested(128));
  ASSERT_FALSE(deep);
  EXPECT_THAT(deep.error().detail, HasSubstr("128 arrays and objects"));
  EXPECT_FALSE(ParseSubmission(nested(1'000'000)));  // And no stack overflow.
}

struct BadCase {
  const char* name;
  std::string json;
  const char* detail;  // Part of it.
};
void PrintTo(const BadCase& row, std::ostream* out) { *out << row.name; }

class ParseSubmissionRefusesTest : public testing::TestWithParam<BadCase> {};

TEST_P(ParseSubmissionRefusesTest, AndNamesTheField) {
  const auto read = ParseSubmission(GetParam().json);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().type, ProblemType::kInvalidRequest);
  EXPECT_THAT(read.error().detail, HasSubstr(GetParam().detail));
  EXPECT_LT(read.error().detail.size(), 400U);
}

std::string WithHeader(const std::string& header) { return R"({"headers":{)" + header + "}}"; }

std::string ManyHeaders(int count) {
  std::string text;
  for (int n = 0; n < count; ++n) {
    text += (n > 0 ? "," : "") + ("\"x" + std::to_string(n)) + R"(":"")";
  }
  return WithHeader(text);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, ParseSubmissionRefusesTest,
    testing::Values(
        BadCase{"Nothing", "", "not valid JSON"}, BadCase{"Words", "hello", "not valid JSON"},
        BadCase{"Half", R"({"type":"a")", "not valid JSON"},
        BadCase{"Trailing", "{} {}", "not valid JSON"}, BadCase{"Array", "[]", "not a JSON object"},
        BadCase{"Number", "7", "not a JSON object"},
        BadCase{"Text", R"("{}")", "not a JSON object"},
        BadCase{"BrokenUtf8", "{\"payload\":\"\xff\"}", "not valid JSON"},
        BadCase{"LoneSurrogate", R"({"payload":"\ud83d"})", "not valid JSON"},
        BadCase{"NumberOverflow", R"({"payload":1e400})", "too large for a double"},
        BadCase{"UnknownField", R"({"priority":1})", "\"priority\" does not exist"},
        BadCase{"FieldInOtherCase", R"({"Type":"a"})", "\"Type\" does not exist"},
        BadCase{"HugeUnknownField", "{\"" + std::string(100'000, 'x') + "\":1}", "does not exist"},
        BadCase{"FieldTwice", R"({"type":"a","type":"b"})", "\"type\" is given twice"},
        BadCase{"TypeIsANumber", R"({"type":1})", "\"type\" is not a string"},
        BadCase{"TypeIsAnArray", R"({"type":["a"]})", "\"type\" is not a string"},
        BadCase{"TypeIsAnObject", R"({"type":{"a":"b"}})", "\"type\" is not a string"},
        BadCase{"TypeIsNull", R"({"type":null})", "\"type\" is not a string"},
        BadCase{"TypeWithASpace", R"({"type":"a b"})", "type \"a b\""},
        BadCase{"TypeWithALineBreak", R"({"type":"a\r\nNats-Rollup: all"})", "type \"a"},
        BadCase{"LongType", R"({"type":")" + std::string(129, 't') + "\"}", "type"},
        BadCase{"LaneWithADot", R"({"lane":"a.b"})", "lane \"a.b\""},
        BadCase{"LaneWithAStar", R"({"lane":"*"})", "lane \"*\""},
        BadCase{"DeadlineInWords", R"({"deadline":"soon"})", "deadline \"soon\""},
        BadCase{"Timeout0", R"({"timeout":"0s"})", "timeout \"0s\""},
        BadCase{"TimeoutIsANumber", R"({"timeout":90})", "\"timeout\" is not a string"},
        BadCase{"BothPayloads", R"({"payload":1,"payload_base64":"YQ=="})", "payload_base64"},
        BadCase{"NoBase64", R"({"payload_base64":"a!"})", "payload_base64 is not base64"},
        BadCase{"CutBase64", R"({"payload_base64":"YWJjZ"})", "payload_base64"},
        BadCase{"Base64WithMoreBehind", R"({"payload_base64":"YQ==YQ=="})", "payload_base64"},
        BadCase{"Base64IsANumber", R"({"payload_base64":1})", "\"payload_base64\" is not a string"},
        BadCase{"EmptyKey", R"({"idempotency_key":""})", "idempotency_key"},
        BadCase{"KeyWithALineBreak", R"({"idempotency_key":"a\nb"})", "idempotency_key"},
        BadCase{"LongKey", R"({"idempotency_key":")" + std::string(256, 'k') + "\"}",
                "idempotency_key"},
        BadCase{"HeadersAreText", R"({"headers":"a"})", "\"headers\" is not an object"},
        BadCase{"HeadersAreAnArray", R"({"headers":["a"]})", "\"headers\" is not an object"},
        BadCase{"HeaderIsANumber", WithHeader(R"("x":1)"), "\"x\" is not a string"},
        BadCase{"HeaderIsAnObject", WithHeader(R"("x":{"y":"z"})"), "\"x\" is not a string"},
        BadCase{"HeaderIsAnArray", WithHeader(R"("x":[])"), "\"x\" is not a string"},
        BadCase{"HeaderWithoutAName", WithHeader(R"("":"v")"), "not a header name"},
        BadCase{"HeaderNameWithAColon", WithHeader(R"("a:b":"v")"), "not a header name"},
        BadCase{"HeaderNameWithALine", WithHeader(R"("a\r\nNats-Rollup":"all")"),
                "not a header name"},
        BadCase{"HeaderValueWithALine", WithHeader(R"("a":"v\r\nNats-Rollup: all")"),
                "control characters"},
        BadCase{"HeaderValueWithNul", WithHeader(R"("a":"v\u0000")"), "control characters"},
        BadCase{"HeaderToTheServer", WithHeader(R"("nats-rollup":"all")"), "reserved"},
        BadCase{"HeaderToTheWorker", WithHeader(R"("LK-JOB-ID":"x")"), "reserved"},
        BadCase{"HeaderTraceparent", WithHeader(R"("Traceparent":"x")"), "reserved"},
        BadCase{"HeaderStatus", WithHeader(R"("Status":"503")"), "reserved"},
        BadCase{"HeaderTwice", WithHeader(R"("a":"1","A":"2")"), "given twice"},
        BadCase{"ManyHeaders", ManyHeaders(33), "more than 32"},
        BadCase{"LargeHeaders", WithHeader(R"("a":")" + std::string(4096, 'v') + "\""),
                "more than 4096 bytes"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(ParseSubmissionTest, TakesAsManyHeadersAsAreAllowed) {
  EXPECT_EQ(ParseSubmission(ManyHeaders(32))->headers.size(), 32U);
}

TEST(SubmissionFromHeadersTest, ReadsOursAndTakesTheBodyAsItIs) {
  const auto read = SubmissionFromHeaders({{"Host", "x"},
                                           {"Authorization", "Bearer secret"},
                                           {"lk-type", "thumbnail"},
                                           {"Lk-Lane", "short"},
                                           {"Lk-Deadline", "2026-11-24T22:28:40Z"},
                                           {"Lk-Timeout", "5m"},
                                           {"Lk-Header-Content-Type", "image/png"},
                                           {"traceparent", kTrace},
                                           {"Idempotency-Key", "\"a b\""}},
                                          std::string("\0\xff", 2));
  ASSERT_TRUE(read) << read.error().detail;
  EXPECT_EQ(*read, (Submission{.lane = "short",
                               .type = "thumbnail",
                               .payload = std::string("\0\xff", 2),
                               .deadline = ParseRfc3339("2026-11-24T22:28:40Z"),
                               .timeout = std::chrono::minutes(5),
                               .headers = {{"Content-Type", "image/png"}},
                               .traceparent = kTrace,
                               .idempotency_key = "a b"}));
}

TEST(SubmissionFromHeadersTest, RefusesWhatItDoesNotKnowOfOurs) {
  const auto detail = [](const Headers& headers) {
    const auto read = SubmissionFromHeaders(headers, "");
    return read ? std::string() : read.error().detail;
  };
  EXPECT_THAT(detail({{"Lk-Job-Id", "x"}}), HasSubstr("\"Lk-Job-Id\" does not exist"));
  EXPECT_THAT(detail({{"Lk-Caller", "x"}}), HasSubstr("\"Lk-Caller\" does not exist"));
  EXPECT_THAT(detail({{"Lk-Type", "a b"}}), HasSubstr("type"));
  EXPECT_THAT(detail({{"Lk-Header-Lk-Job-Id", "x"}}), HasSubstr("reserved"));
  EXPECT_THAT(detail({{"Lk-Header-", "x"}}), HasSubstr("not a header name"));
  EXPECT_THAT(detail({{"Idempotency-Key", ""}}), HasSubstr("Idempotency-Key"));
}

TEST(SubmissionFromHeadersTest, AMalformedTraceparentIsIgnored) {
  EXPECT_EQ(SubmissionFromHeaders({{"traceparent", "00-x\r\ny"}}, "")->traceparent, "");
}

TEST(ParseIdempotencyKeyTest, IsAQuotedStringOrBareText) {
  EXPECT_EQ(*ParseIdempotencyKey("order-1"), "order-1");
  EXPECT_EQ(*ParseIdempotencyKey(" order 1\t"), "order 1");
  EXPECT_EQ(*ParseIdempotencyKey("\"order-1\""), "order-1");
  EXPECT_EQ(*ParseIdempotencyKey(R"("a\"b\\c")"), R"(a"b\c)");
  EXPECT_EQ(ParseIdempotencyKey(std::string(255, 'k'))->size(), 255U);
  for (const std::string& bad :
       {std::string(), std::string("\"\""), std::string("\"a"), std::string("\"a\"b"),
        std::string(R"("a\b")"), std::string(R"("\)"), std::string("a\nb"), std::string("\xc3\xa4"),
        std::string(256, 'k')}) {
    const auto key = ParseIdempotencyKey(bad);
    ASSERT_FALSE(key) << bad;
    EXPECT_THAT(key.error().detail, HasSubstr("Idempotency-Key"));
  }
}

Submission Whole() {
  return {.lane = "short",
          .type = "thumbnail",
          .payload = "body",
          .deadline = ParseRfc3339("2026-11-24T22:28:40.5Z"),
          .timeout = std::chrono::seconds(90),
          .headers = {{"X-Own", "1"}, {"Y", "2"}},
          .traceparent = kTrace,
          .idempotency_key = "order-1"};
}

TEST(FingerprintTest, IsOfAllFieldsButTraceparentAndKey) {
  const Submission whole = Whole();
  Submission same = whole;
  same.traceparent.clear();
  same.idempotency_key = "order-2";
  std::swap(same.headers[0], same.headers[1]);
  EXPECT_EQ(Fingerprint(same), Fingerprint(whole));
  EXPECT_EQ(Fingerprint(whole).size(), 64U);

  std::set<std::string> prints{Fingerprint(whole), Fingerprint({})};
  const auto differs = [&](auto change) {
    Submission other = whole;
    change(other);
    return prints.insert(Fingerprint(other)).second;
  };
  EXPECT_TRUE(differs([](Submission& s) { s.lane = "long"; }));
  EXPECT_TRUE(differs([](Submission& s) { s.type = "x"; }));
  EXPECT_TRUE(differs([](Submission& s) { s.payload = "body "; }));
  EXPECT_TRUE(differs([](Submission& s) { s.deadline.reset(); }));
  EXPECT_TRUE(differs([](Submission& s) { s.timeout.reset(); }));
  EXPECT_TRUE(differs([](Submission& s) { s.headers.pop_back(); }));
  EXPECT_TRUE(differs([](Submission& s) { s.headers[0].second = "2"; }));
  // What is in one field is not in the next.
  EXPECT_TRUE(differs([](Submission& s) { s.lane = "", s.type = "shortthumbnail"; }));
}

TEST(FingerprintTest, IsSha256) {
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(EncodeSubmissionTest, WritesTheHeadersOfTheContract) {
  const OutMessage message =
      EncodeSubmission(Whole(), "system:serviceaccount:studio:web", "k3x9qa2b0123456789abcdefgh");
  EXPECT_EQ(message.payload, "body");
  EXPECT_EQ(message.headers, (Headers{{"Nats-Msg-Id", "k3x9qa2b0123456789abcdefgh"},
                                      {"Lk-Job-Id", "*.k3x9qa2b"},
                                      {"Lk-Type", "thumbnail"},
                                      {"Lk-Deadline", "2026-11-24T22:28:40.500000000Z"},
                                      {"Lk-Timeout", "1m30s"},
                                      {"Lk-Caller", "system:serviceaccount:studio:web"},
                                      {"traceparent", kTrace},
                                      {"X-Own", "1"},
                                      {"Y", "2"}}));
}

TEST(EncodeSubmissionTest, IsReadByTheWorkerAsTheJobTheClientWasTold) {
  const std::string id = NewMessageId();
  const OutMessage out = EncodeSubmission(Whole(), "web", id);
  const auto head = DecodeHead({.stream = "LK_studio_media_short",
                                .sequence = 17,
                                .payload = out.payload,
                                .headers = out.headers});
  ASSERT_TRUE(head) << head.error().message;
  EXPECT_EQ(head->id, JobIdFor("LK_studio_media_short", 17, id));
  EXPECT_EQ(head->type, "thumbnail");
  EXPECT_EQ(head->deadline, Whole().deadline);
  EXPECT_EQ(head->timeout, Whole().timeout);
  EXPECT_EQ(head->traceparent, kTrace);
}

TEST(EncodeSubmissionTest, AnEmptyJobHasOnlyItsNames) {
  EXPECT_EQ(EncodeSubmission({}, "", "k3x9qa2b").headers.size(), 2U);
}

// Nothing that got past the checks becomes a line or a header of its own, or an order.
TEST(EncodeSubmissionTest, NothingIsSmuggledIntoTheMessage) {
  Submission bad;
  bad.type = "a\r\nNats-Rollup: all";
  bad.traceparent = "t\nLk-Caller: root";
  bad.headers = {{"Nats-Rollup", "all"},   {"Lk-Job-Id", "other"},   {"a\r\nNats-TTL", "1s"},
                 {"ok", "v\r\nNats-X: 1"}, {"TraceParent", "other"}, {"Status", "404"}};
  const OutMessage message =
      EncodeSubmission(bad, "web\r\nNats-Rollup: all" + std::string(1000, 'x'), "k3x9qa2b");
  for (const auto& [name, value] : message.headers) {
    EXPECT_EQ((name + value).find_first_of(std::string("\r\n\0", 3)), std::string::npos);
  }
  EXPECT_EQ(message.headers.size(), 6U);
  EXPECT_THAT(message.headers, Contains(Pair("Lk-Job-Id", "*.k3x9qa2b")));
  EXPECT_THAT(message.headers, Contains(Pair("ok", "v  Nats-X: 1")));
  EXPECT_EQ(FindHeader(message.headers, kHeaderCaller)->size(), kCallerBytesMax);
}

TEST(NewMessageIdTest, IsLongRandomAndPlain) {
  std::set<std::string> ids;
  for (int n = 0; n < 1000; ++n) {
    const std::string id = NewMessageId();
    EXPECT_EQ(id.size(), 26U);
    EXPECT_EQ(id.find_first_not_of("0123456789abcdefghijklmnopqrstuvwxyz"), std::string::npos);
    EXPECT_EQ(JobIdToken(id), id);
    ids.insert(id);
  }
  EXPECT_EQ(ids.size(), 1000U);
}

}  // namespace
}  // namespace lanekeeper::gateway
