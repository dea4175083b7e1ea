#include "operator/kubernetes/credential_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "operator/kubernetes/token_program.h"

namespace lanekeeper::kubernetes {
namespace {

using testing::HasSubstr;

class CredentialSourceTest : public testing::Test {
 protected:
  static std::string TokenOf(CredentialSource& source) {
    const Result<Credential> credential = source.Current({});
    EXPECT_TRUE(credential) << credential.error().message;
    return credential ? credential->token : "";
  }
  static bool Renew(CredentialSource& source, const std::string& refused) {
    const Result<bool> renewed = source.Renew({.token = refused}, {});
    EXPECT_TRUE(renewed) << renewed.error().message;
    return renewed.value_or(false);
  }

  KubeConfig WithProgram(const std::string& status = "") const {
    return {.exec = TokenProgram(directory_, "u", status)};
  }

  const TemporaryDirectory directory_;
  FakeClock clock_;
};

TEST_F(CredentialSourceTest, WithoutAFileTheTokenStays) {
  CredentialSource source({.token = "t0"}, clock_);
  EXPECT_EQ(TokenOf(source), "t0");
  EXPECT_FALSE(Renew(source, "t0"));
}

TEST_F(CredentialSourceTest, FileIsReadAgainAfterAMinute) {
  const std::string file = directory_.Write("token", "t0\n");
  CredentialSource source({.token = "ignored", .token_file = file}, clock_);
  EXPECT_EQ(TokenOf(source), "t0");
  directory_.Write("token", "t1\n");
  clock_.Advance(std::chrono::seconds(59));
  EXPECT_EQ(TokenOf(source), "t0");
  clock_.Advance(std::chrono::seconds(1));
  EXPECT_EQ(TokenOf(source), "t1");
}

TEST_F(CredentialSourceTest, RefusedTokenIsReadAgainAtOnce) {
  const std::string file = directory_.Write("token", "t0");
  CredentialSource source({.token_file = file}, clock_);
  EXPECT_EQ(TokenOf(source), "t0");
  EXPECT_FALSE(Renew(source, "t0"));  // Still the same.
  directory_.Write("token", "t1");
  EXPECT_TRUE(Renew(source, "t0"));
  EXPECT_EQ(TokenOf(source), "t1");
  EXPECT_TRUE(Renew(source, "t0"));  // Another call was refused with the old one.
}

TEST_F(CredentialSourceTest, UnreadableFileLeavesTheLastToken) {
  const std::string file = directory_.Write("token", "t0");
  CredentialSource source({.token_file = file}, clock_);
  EXPECT_EQ(TokenOf(source), "t0");
  std::filesystem::remove(file);
  clock_.Advance(2 * kTokenAge);
  EXPECT_EQ(TokenOf(source), "t0");
  directory_.Write("token", "");  // In the middle of a rotation.
  clock_.Advance(2 * kTokenAge);
  EXPECT_EQ(TokenOf(source), "t0");
}

TEST_F(CredentialSourceTest, ProgramRunsOnceUntilItsTokenEnds) {
  // FakeClock begins a second after that day does.
  CredentialSource source(WithProgram(R"(,"expirationTimestamp":"2026-01-01T00:10:00Z")"), clock_);
  EXPECT_EQ(TokenOf(source), "t1");
  clock_.Advance(std::chrono::minutes(9));
  EXPECT_EQ(TokenOf(source), "t1");
  clock_.Advance(std::chrono::minutes(1));
  EXPECT_EQ(TokenOf(source), "t2");
}

TEST_F(CredentialSourceTest, WithoutAnEndTheProgramRunsAgainWhenRefused) {
  CredentialSource source(WithProgram(), clock_);
  EXPECT_EQ(TokenOf(source), "t1");
  clock_.Advance(std::chrono::hours(1000));
  EXPECT_EQ(TokenOf(source), "t1");
  EXPECT_TRUE(Renew(source, "t1"));
  EXPECT_EQ(TokenOf(source), "t2");
  EXPECT_TRUE(Renew(source, "t1"));  // Another call was refused with the old one: no third run.
  EXPECT_EQ(TokenOf(source), "t2");
}

TEST_F(CredentialSourceTest, CallsThatComeTogetherShareARun) {
  CredentialSource source(WithProgram(), clock_);
  std::vector<std::jthread> threads;
  for (int n = 0; n < 8; ++n) {
    threads.emplace_back([&source] { EXPECT_EQ(TokenOf(source), "t1"); });
  }
}

TEST_F(CredentialSourceTest, FailedLoginIsTheCallsErrorAndIsTriedAgain) {
  CredentialSource source(WithProgram(), clock_);
  directory_.Write("broken", "1");
  const Result<Credential> failed = source.Current({});
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message, HasSubstr("exit code 1"));
  std::filesystem::remove(directory_.path() + "/broken");
  EXPECT_EQ(TokenOf(source), "t1");
  directory_.Write("broken", "1");
  EXPECT_FALSE(source.Renew({.token = "t1"}, {}));
  EXPECT_EQ(TokenOf(source), "t1");
}

TEST_F(CredentialSourceTest, CertificateOfTheKubeconfigOutranksThatOfTheProgram) {
  const char* const status = R"(,"clientCertificateData":"c1","clientKeyData":"k1")";
  KubeConfig config = WithProgram(status);
  CredentialSource program(config, clock_);
  EXPECT_EQ(*program.Current({}),
            (Credential{.token = "t1", .certificate_pem = "c1", .key_pem = "k1"}));
  config.client_certificate_pem = "own";
  config.client_key_pem = "key";
  CredentialSource both(config, clock_);
  EXPECT_EQ(*both.Current({}),
            (Credential{.token = "t2", .certificate_pem = "own", .key_pem = "key"}));
}

}  // namespace
}  // namespace lanekeeper::kubernetes
