#include "worker-runtime/gateway/http_target.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "worker-runtime/base/percent_encode.h"

namespace lanekeeper::gateway {
namespace {

TEST(HttpTargetTest, SegmentsAreDecodedAfterTheyWereSplit) {
  const auto target = ParseTarget("/v1/jobs/a%2Fb%2e%2e", "");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->segments, (std::vector<std::string>{"v1", "jobs", "a/b.."}));
}

TEST(HttpTargetTest, EmptySegmentsAndDotsStay) {
  const auto target = ParseTarget("//v1/../jobs/", "");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->segments, (std::vector<std::string>{"", "v1", "..", "jobs", ""}));
}

TEST(HttpTargetTest, TheQueryKeepsItsOrderAndItsPlusSigns) {
  const auto target = ParseTarget("/", "since=2026-11-26T02:00:00+01:00&&type=a%20b&flag");
  ASSERT_TRUE(target);
  ASSERT_EQ(target->query.size(), 3u);
  EXPECT_EQ(target->query[0].second, "2026-11-26T02:00:00+01:00");
  EXPECT_EQ(target->query[1].second, "a b");
  EXPECT_EQ(target->query[2], (std::pair<std::string, std::string>{"flag", ""}));
}

TEST(HttpTargetTest, WhatIsNoPercentEncodingIsRefused) {
  for (const char* path : {"/a%", "/a%2", "/a%zz", "/a%00", "/a%0d%0aX", "/a%7f"}) {
    const auto target = ParseTarget(path, "");
    ASSERT_FALSE(target) << path;
    EXPECT_EQ(target.error().type, ProblemType::kInvalidRequest);
  }
  EXPECT_FALSE(ParseTarget("/", "a=%"));
  EXPECT_FALSE(ParseTarget("/", "%=a"));
}

TEST(HttpTargetTest, EncodingIsUndoneByDecoding) {
  std::string all;
  for (int byte = 0x20; byte < 0x100; ++byte) {
    if (byte != 0x7f) all += static_cast<char>(byte);
  }
  const auto target = ParseTarget("/" + PercentEncode(all), "");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->segments, std::vector<std::string>{all});
}

TEST(HttpTargetTest, TextOfARequestIsShownShortAndOnOneLine) {
  EXPECT_EQ(Excerpt("a\r\nb"), "a??b");
  EXPECT_EQ(Excerpt(std::string(1000, 'x')).size(), 80 + std::string("…").size());
}

TEST(HttpTargetTest, PreferWaitIsFoundAmongOtherPreferences) {
  const auto seconds = [](const char* prefer) {
    const auto wait = ParsePreferWait(prefer);
    return wait && *wait ? (*wait)->count() : -1;
  };
  EXPECT_EQ(seconds("wait=10"), 10);
  EXPECT_EQ(seconds("respond-async, Wait=\"0\""), 0);
  EXPECT_EQ(seconds("return=minimal; foo=bar, wait=60; x=y"), 60);
  EXPECT_EQ(seconds("respond-async"), -1);
  EXPECT_EQ(seconds(""), -1);
  for (const char* prefer : {"wait", "wait=", "wait=-1", "wait=61", "wait=1.5", "wait=ten",
                             "wait=99999999999999999999"}) {
    EXPECT_FALSE(ParsePreferWait(prefer)) << prefer;
  }
}

TEST(HttpTargetTest, AcceptTakesRangesAndHonoursAZeroWeight) {
  EXPECT_TRUE(Accepts("", "application/json"));
  EXPECT_TRUE(Accepts("text/html, */*;q=0.1", "application/json"));
  EXPECT_TRUE(Accepts("application/*", "application/json"));
  EXPECT_TRUE(Accepts("Application/JSON; charset=utf-8", "application/json"));
  EXPECT_FALSE(Accepts("text/html", "application/json"));
  EXPECT_FALSE(Accepts("application/json;q=0", "application/json"));
  EXPECT_FALSE(Accepts("text/*", "application/json"));
  EXPECT_FALSE(Accepts("/*", "application/json"));
}

TEST(HttpTargetTest, ARequestIdIsPlain) {
  EXPECT_TRUE(IsRequestId("7f3a-9.B_1"));
  EXPECT_FALSE(IsRequestId(""));
  EXPECT_FALSE(IsRequestId("a b"));
  EXPECT_FALSE(IsRequestId("a\nb"));
  EXPECT_FALSE(IsRequestId(std::string(129, 'a')));
}

TEST(HttpTargetTest, OnlyBearerTokensAreTokens) {
  EXPECT_EQ(BearerToken("Bearer abc"), "abc");
  EXPECT_EQ(BearerToken("bearer   abc "), "abc");
  EXPECT_EQ(BearerToken("Basic abc"), "");
  EXPECT_EQ(BearerToken("Bearer"), "");
  EXPECT_EQ(BearerToken(""), "");
}

TEST(HttpTargetTest, TheOwnHeaderIsForThoseBehindAProxyThatTakesTheOther) {
  EXPECT_EQ(*CallerToken("Bearer abc", ""), "abc");
  EXPECT_EQ(*CallerToken("", "Bearer abc"), "abc");
  EXPECT_EQ(*CallerToken("Bearer abc", "bearer abc"), "abc");
  EXPECT_EQ(*CallerToken("", ""), "");
  EXPECT_EQ(*CallerToken("", "Basic abc"), "");
  EXPECT_FALSE(CallerToken("Bearer abc", "Bearer other"));
  EXPECT_FALSE(CallerToken("Basic abc", "Bearer abc"));
}

TEST(HttpTargetTest, IfNoneMatchIsAListOfTags) {
  EXPECT_TRUE(NamesETag("\"1\", W/\"2\"", "\"2\""));
  EXPECT_TRUE(NamesETag("*", "\"2\""));
  EXPECT_FALSE(NamesETag("\"1\"", "\"2\""));
  EXPECT_FALSE(NamesETag("2", "\"2\""));
}

}  // namespace
}  // namespace lanekeeper::gateway
