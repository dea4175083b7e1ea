#include "worker-runtime/base/text.h"

#include <gtest/gtest.h>

#include <string>

namespace lanekeeper {
namespace {

TEST(Base64, MatchesTheVectorsOfRfc4648) {
  EXPECT_EQ(EncodeBase64(""), "");
  EXPECT_EQ(EncodeBase64("f"), "Zg==");
  EXPECT_EQ(EncodeBase64("fo"), "Zm8=");
  EXPECT_EQ(EncodeBase64("foo"), "Zm9v");
  EXPECT_EQ(EncodeBase64("foob"), "Zm9vYg==");
  EXPECT_EQ(EncodeBase64("foobar"), "Zm9vYmFy");
}

TEST(Base64, ReadsBackEveryByte) {
  std::string bytes;
  for (int n = 0; n < 256; ++n) {
    bytes += static_cast<char>(n);
    EXPECT_EQ(DecodeBase64(EncodeBase64(bytes)), bytes);
  }
}

TEST(Base64, RefusesOtherCharacters) {
  EXPECT_EQ(DecodeBase64("Zm9v!"), std::nullopt);
  EXPECT_EQ(DecodeBase64("Zm9vYg"), "foob");
}

TEST(IsUtf8Text, TakesTextAndRefusesBytes) {
  EXPECT_TRUE(IsUtf8Text(""));
  EXPECT_TRUE(IsUtf8Text("page 12\n"));
  EXPECT_TRUE(IsUtf8Text("\xc3\xa4 \xe2\x82\xac \xf0\x9f\x9a\x80"));
  EXPECT_FALSE(IsUtf8Text(std::string_view("a\0b", 3)));
  EXPECT_FALSE(IsUtf8Text("\xff"));
  EXPECT_FALSE(IsUtf8Text("\xc3"));              // Cut off.
  EXPECT_FALSE(IsUtf8Text("\xc0\xaf"));          // Overlong.
  EXPECT_FALSE(IsUtf8Text("\xed\xa0\x80"));      // A surrogate.
  EXPECT_FALSE(IsUtf8Text("\xf4\x90\x80\x80"));  // Above U+10FFFF.
}

TEST(IgnoringCase, ComparesAsHeaderNamesAre) {
  EXPECT_TRUE(SameIgnoringCase("Lk-Type", "lk-TYPE"));
  EXPECT_FALSE(SameIgnoringCase("Lk-Type", "Lk-Types"));
  EXPECT_TRUE(StartsWithIgnoringCase("Nats-Msg-Id", "nats-"));
  EXPECT_FALSE(StartsWithIgnoringCase("Nat", "nats-"));
}

TEST(Fnv1a, MatchesThePublishedVectors) {
  EXPECT_EQ(Fnv1a(""), 0xcbf29ce484222325ULL);
  EXPECT_EQ(Fnv1a("a"), 0xaf63dc4c8601ec8cULL);
  EXPECT_EQ(Fnv1a("foobar"), 0x85944171f73967e8ULL);
  EXPECT_EQ(Fnv1a("bar", Fnv1a("foo")), Fnv1a("foobar"));
}

}  // namespace
}  // namespace lanekeeper
