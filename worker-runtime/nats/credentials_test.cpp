#include "worker-runtime/nats/credentials.h"

#include <gtest/gtest.h>

#include "worker-runtime/nats/nkey.h"

namespace lanekeeper::nats {
namespace {

// The example of the nkeys documentation.
constexpr const char* kSeed = "SUAGMJH5XLGZKQQWAWKRZJIGMOU4HPFUYLXJMXOO5NLFEO2OOQJ5LPRDPM";

TEST(Credentials, ASeedIsDecodedAndEncodedToTheSameText) {
  const auto seed = DecodeSeed(kSeed);
  ASSERT_TRUE(seed);
  EXPECT_EQ(seed->kind, kNkeyUser);
  EXPECT_EQ(EncodeSeed(*seed), kSeed);
}

TEST(Credentials, ThePublicHalfOfAUserBeginsWithU) {
  const auto open = PublicKeyOf(kSeed);
  ASSERT_TRUE(open);
  EXPECT_EQ(open->size(), 56U);
  EXPECT_EQ(open->front(), 'U');
}

TEST(Credentials, AMistypedSeedIsNoticed) {
  std::string mistyped = kSeed;
  std::swap(mistyped[10], mistyped[11]);
  EXPECT_FALSE(DecodeSeed(mistyped));
  EXPECT_FALSE(PublicKeyOf(mistyped));
  EXPECT_FALSE(DecodeSeed(std::string(kSeed).substr(1)));
  EXPECT_FALSE(DecodeSeed("not a seed"));
  EXPECT_FALSE(DecodeSeed(""));
}

TEST(Credentials, AFileHasAJwtAndASeed) {
  const auto read = ParseCredentials(
      "-----BEGIN NATS USER JWT-----\r\neyJ0.eyJq--_.sig\r\n------END NATS USER JWT------\r\n"
      "\n*** IMPORTANT ***\n-----BEGIN USER NKEY SEED-----\n" +
      std::string(kSeed) + "\n------END USER NKEY SEED------\n");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, (Credentials{.jwt = "eyJ0.eyJq--_.sig", .seed = kSeed}));
}

TEST(Credentials, ASeedAloneIsAUserKnownByItsKey) {
  const auto read = ParseCredentials(std::string("  ") + kSeed + "\n");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, (Credentials{.jwt = "", .seed = kSeed}));
}

TEST(Credentials, WhatIsNeitherIsRefusedWithoutAWordOfIt) {
  for (const std::string text :
       {"", "hunter2", "-----BEGIN NATS USER JWT-----\nhunter2\n------END NATS USER JWT------\n",
        "-----BEGIN USER NKEY SEED-----\nhunter2\n------END USER NKEY SEED------\n"}) {
    const auto read = ParseCredentials(text);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().kind, ErrorKind::kInvalid);
    EXPECT_EQ(read.error().message.find("hunter2"), std::string::npos);
  }
}

}  // namespace
}  // namespace lanekeeper::nats
