#include "worker-runtime/gateway/authorizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace lanekeeper::gateway {
namespace {

using testing::HasSubstr;

Answer<Caller> Ask(Authorizer& authorizer, std::string_view token, Verb verb = Verb::kGet,
                   std::string_view pool_namespace = "studio") {
  Answer<Caller> answer = Refuse(ProblemType::kAuthUnavailable, "no answer");
  authorizer.Authorize(token, verb, pool_namespace, "media",
                       [&answer](Answer<Caller> said) { answer = std::move(said); });
  return answer;
}
std::string Said(const Answer<Caller>& answer) {
  return answer ? *answer : std::string(NameOf(answer.error().type));
}

class TokenFileTest : public testing::Test {
 protected:
  TokenFileTest() {
    std::string directory = "/tmp/lanekeeper-tokens-XXXXXX";
    directory_ = mkdtemp(directory.data());
    file_ = directory_ + "/tokens";
  }
  ~TokenFileTest() override { std::filesystem::remove_all(directory_); }
  // As an editor does: a new file in the place of the old one.
  void Write(const std::string& text) const {
    std::ofstream(file_ + ".new") << text;
    std::filesystem::rename(file_ + ".new", file_);
  }
  std::string Problem() const {
    const auto made = MakeTokenFileAuthorizer(file_);
    return made ? "" : made.error().message;
  }

  std::string directory_;
  std::string file_;
};

TEST(OpenAuthorizerTest, EverybodyMayDoEverything) {
  const auto authorizer = MakeOpenAuthorizer();
  EXPECT_EQ(Said(Ask(*authorizer, "", Verb::kUpdate, "")), "anonymous");
}

TEST_F(TokenFileTest, ATokenIsWorthWhatItsLineSays) {
  Write(
      "# who              what\n"
      "token-of-ana ana\n"
      "\n"
      "token-of-web web studio shop   # two namespaces\n"
      "token-of-eye eye studio ro\n"
      "token-of-all eyes ro\n");
  const auto authorizer = *MakeTokenFileAuthorizer(file_);
  EXPECT_EQ(Said(Ask(*authorizer, "token-of-ana", Verb::kUpdate, "")), "ana");
  EXPECT_EQ(Said(Ask(*authorizer, "token-of-web", Verb::kCreate, "shop")), "web");
  EXPECT_EQ(Said(Ask(*authorizer, "token-of-web", Verb::kGet, "other")), "forbidden");
  EXPECT_EQ(Said(Ask(*authorizer, "token-of-web", Verb::kGet, "")), "forbidden");
  EXPECT_EQ(Said(Ask(*authorizer, "token-of-eye", Verb::kGet)), "eye");
  EXPECT_EQ(Said(Ask(*authorizer, "token-of-eye", Verb::kCreate)), "forbidden");
  EXPECT_EQ(Said(Ask(*authorizer, "token-of-all", Verb::kGet, "")), "eyes");
  EXPECT_EQ(Said(Ask(*authorizer, "token-of-an")), "unauthenticated");
  EXPECT_EQ(Said(Ask(*authorizer, "")), "unauthenticated");
  EXPECT_EQ(Said(Ask(*authorizer, "#")), "unauthenticated");
}

TEST_F(TokenFileTest, AProblemNamesItsLine) {
  EXPECT_THAT(Problem(), HasSubstr("cannot be read"));
  Write("token-of-ana ana\ntoken-alone\n");
  EXPECT_THAT(Problem(), HasSubstr(":2: a token and a name"));
  Write("short ana\n");
  EXPECT_THAT(Problem(), HasSubstr(":1: the token must have"));
  Write("token-of-ana ana ro studio\n");
  EXPECT_THAT(Problem(), HasSubstr("\"ro\" must be the last word"));
  Write("token-of-ana ana Studio\n");
  EXPECT_THAT(Problem(), HasSubstr("\"Studio\" is not a namespace"));
  Write("token-of-ana ana\ntoken-of-ana eve\n");
  EXPECT_THAT(Problem(), HasSubstr(":2: the token stands on an earlier line"));
  EXPECT_EQ(Problem().find("token-of-ana"), std::string::npos);
}

TEST_F(TokenFileTest, TheFileIsReadAgainWhenItChangesAndKeptWhenItIsBroken) {
  Write("token-of-ana ana\n");
  const auto authorizer = *MakeTokenFileAuthorizer(file_);
  EXPECT_EQ(Said(Ask(*authorizer, "token-of-ana")), "ana");
  const auto becomes = [&](const char* token, const char* said) {
    for (int i = 0; i < 6'000; ++i) {
      if (Said(Ask(*authorizer, token)) == said) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  };
  Write("token-of-bob bob the-first\ntoken-of-eve eve\n");
  EXPECT_TRUE(becomes("token-of-eve", "eve"));
  EXPECT_EQ(Said(Ask(*authorizer, "token-of-ana")), "unauthenticated");
  Write("broken\n");
  std::this_thread::sleep_for(std::chrono::milliseconds(1'200));
  EXPECT_EQ(Said(Ask(*authorizer, "token-of-eve")), "eve");
  std::filesystem::remove(file_);
  std::this_thread::sleep_for(std::chrono::milliseconds(1'200));
  EXPECT_EQ(Said(Ask(*authorizer, "token-of-eve")), "eve");
}

// Keeps what it was asked, and answers when it is told to.
class SlowAuthorizer final : public Authorizer {
 public:
  void Authorize(std::string_view token, Verb verb, std::string_view pool_namespace,
                 std::string_view, Then<Caller> then) override {
    asked.push_back(std::string(token) + " " + std::string(NameOf(verb)) + " " +
                    std::string(pool_namespace));
    waiting.push_back(std::move(then));
  }
  std::vector<std::string> asked;
  std::vector<Then<Caller>> waiting;
};

class CachingAuthorizerTest : public testing::Test {
 protected:
  CachingAuthorizerTest() {
    auto inner = std::make_unique<SlowAuthorizer>();
    inner_ = inner.get();
    authorizer_ = MakeCachingAuthorizer(std::move(inner));
  }
  SlowAuthorizer* inner_;
  std::unique_ptr<Authorizer> authorizer_;
};

TEST_F(CachingAuthorizerTest, TheSameQuestionIsAskedOnceAndAnsweredToAll) {
  int answered = 0;
  for (int i = 0; i < 3; ++i) {
    authorizer_->Authorize("t", Verb::kGet, "studio", "media",
                           [&answered](const Answer<Caller>& said) {
                             if (said && *said == "ana") ++answered;
                           });
  }
  ASSERT_EQ(inner_->waiting.size(), 1u);
  EXPECT_EQ(answered, 0);
  inner_->waiting[0](Caller("ana"));
  EXPECT_EQ(answered, 3);
  EXPECT_EQ(Said(Ask(*authorizer_, "t")), "ana");
  EXPECT_EQ(inner_->asked.size(), 1u);
}

TEST_F(CachingAuthorizerTest, OtherQuestionsAreAskedForThemselves) {
  authorizer_->Authorize("t", Verb::kGet, "studio", "media", [](const Answer<Caller>&) {});
  inner_->waiting[0](Caller("ana"));
  Ask(*authorizer_, "t", Verb::kCreate);
  Ask(*authorizer_, "t", Verb::kGet, "other");
  Ask(*authorizer_, "u");
  EXPECT_EQ(inner_->asked, (std::vector<std::string>{"t get studio", "t create studio",
                                                     "t get other", "u get studio"}));
}

TEST_F(CachingAuthorizerTest, ThatItCouldNotBeAskedIsNotKept) {
  authorizer_->Authorize("t", Verb::kGet, "studio", "media", [](const Answer<Caller>&) {});
  inner_->waiting[0](Refuse(ProblemType::kAuthUnavailable, "away"));
  authorizer_->Authorize("t", Verb::kGet, "studio", "media", [](const Answer<Caller>&) {});
  ASSERT_EQ(inner_->waiting.size(), 2u);
  inner_->waiting[1](Refuse(ProblemType::kForbidden, "no"));
  EXPECT_EQ(Said(Ask(*authorizer_, "t")), "forbidden");
  EXPECT_EQ(inner_->asked.size(), 2u);
}

TEST_F(CachingAuthorizerTest, TenThousandAnswersAreKeptAndNoMore) {
  for (int i = 0; i < 10'001; ++i) {
    authorizer_->Authorize("t" + std::to_string(i), Verb::kGet, "studio", "media",
                           [](const Answer<Caller>&) {});
    inner_->waiting.back()(Caller("ana"));
  }
  inner_->asked.clear();
  Ask(*authorizer_, "t10000");
  EXPECT_TRUE(inner_->asked.empty());
  authorizer_->Authorize("t0", Verb::kGet, "studio", "media", [](const Answer<Caller>&) {});
  EXPECT_EQ(inner_->asked.size(), 1u);
  inner_->waiting.back()(Caller("ana"));
}

}  // namespace
}  // namespace lanekeeper::gateway
