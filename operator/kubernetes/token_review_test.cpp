#include "operator/kubernetes/token_review.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "operator/kubernetes/scripted_api.h"

namespace lanekeeper::kubernetes {
namespace {

using gateway::Caller;
using gateway::ProblemType;
using gateway::Verb;
using nlohmann::json;

constexpr const char* kAuthenticated =
    R"({"status":{"authenticated":true,"user":{"username":"system:serviceaccount:studio:web",
       "uid":"u-1","groups":["system:serviceaccounts"],"extra":{"pod":["web-0"]}}}})";

gateway::Answer<Caller> Ask(gateway::Authorizer& authorizer, const std::string& token,
                            Verb verb = Verb::kCreate) {
  std::promise<gateway::Answer<Caller>> answer;
  authorizer.Authorize(token, verb, "studio", "media", [&answer](gateway::Answer<Caller> said) {
    answer.set_value(std::move(said));
  });
  return answer.get_future().get();
}

// Answers by the last part of the path.
void Script(ScriptedApi& api, Result<Answer> token, Result<Answer> access) {
  api.respond = [token, access](const Request& request) {
    return request.path.ends_with("/tokenreviews") ? token : access;
  };
}

TEST(TokenReviewTest, TheTokenIsReviewedAndThenTheAccess) {
  ScriptedApi api;
  Script(api, Answer{201, kAuthenticated}, Answer{201, R"({"status":{"allowed":true}})"});
  const auto authorizer = MakeKubernetesAuthorizer(api);
  const auto caller = Ask(*authorizer, "t0ken");
  ASSERT_TRUE(caller) << caller.error().detail;
  EXPECT_EQ(*caller, "system:serviceaccount:studio:web");

  const std::vector<Request> asked = api.requests();
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_EQ(asked[0].path, "/apis/authentication.k8s.io/v1/tokenreviews");
  EXPECT_EQ(json::parse(asked[0].body)["spec"], json({{"token", "t0ken"}}));
  EXPECT_EQ(asked[1].path, "/apis/authorization.k8s.io/v1/subjectaccessreviews");
  EXPECT_EQ(json::parse(asked[1].body)["spec"], json::parse(R"({
      "user":"system:serviceaccount:studio:web","uid":"u-1","groups":["system:serviceaccounts"],
      "extra":{"pod":["web-0"]},
      "resourceAttributes":{"group":"lanekeeper.dev","resource":"workerpools","subresource":"jobs",
                            "verb":"create","namespace":"studio","name":"media"}})"));
}

TEST(TokenReviewTest, WithoutANamespaceAllAreAskedAbout) {
  const json review = json::parse(AccessReviewRequest({.name = "ana"}, Verb::kGet, {}, {}).body);
  EXPECT_EQ(review["spec"]["resourceAttributes"], json({{"group", "lanekeeper.dev"},
                                                        {"resource", "workerpools"},
                                                        {"subresource", "jobs"},
                                                        {"verb", "get"}}));
}

TEST(TokenReviewTest, AudiencesAreHandedOn) {
  const json review = json::parse(TokenReviewRequest("t", {"lanekeeper"}).body);
  EXPECT_EQ(review["spec"]["audiences"], json({"lanekeeper"}));
}

struct ReviewCase {
  const char* name;
  Result<Answer> token;
  Result<Answer> access;
  ProblemType expected;
};

class TokenReviewRefusalTest : public testing::TestWithParam<ReviewCase> {};
void PrintTo(const ReviewCase& row, std::ostream* out) { *out << row.name; }

TEST_P(TokenReviewRefusalTest, SaysWhoseFaultItIs) {
  ScriptedApi api;
  Script(api, GetParam().token, GetParam().access);
  const auto authorizer = MakeKubernetesAuthorizer(api);
  const auto caller = Ask(*authorizer, "secret-token");
  ASSERT_FALSE(caller);
  EXPECT_EQ(caller.error().type, GetParam().expected);
  EXPECT_EQ(caller.error().detail.find("secret-token"), std::string::npos);
  EXPECT_EQ(caller.error().retry_after.has_value(),
            GetParam().expected == ProblemType::kAuthUnavailable);
}

const Result<Answer> kYes = Answer{201, R"({"status":{"allowed":true}})"};
const Result<Answer> kUser = Answer{201, kAuthenticated};

INSTANTIATE_TEST_SUITE_P(
    Rows, TokenReviewRefusalTest,
    testing::Values(
        ReviewCase{
            "AnUnknownTokenIsUnauthenticated",
            Answer{201, R"({"status":{"authenticated":false,"error":"secret-token is bad"}})"},
            kYes, ProblemType::kUnauthenticated},
        ReviewCase{"AnEmptyStatusIsUnauthenticated", Answer{201, R"({"status":{}})"}, kYes,
                   ProblemType::kUnauthenticated},
        ReviewCase{"NoIsForbidden", kUser, Answer{201, R"({"status":{"allowed":false}})"},
                   ProblemType::kForbidden},
        ReviewCase{"DeniedWinsOverAllowed", kUser,
                   Answer{201, R"({"status":{"allowed":true,"denied":true}})"},
                   ProblemType::kForbidden},
        ReviewCase{"AGatewayThatMayNotAskIsUnavailable", Answer{403, "{}"}, kYes,
                   ProblemType::kAuthUnavailable},
        ReviewCase{"AServerThatIsAwayIsUnavailable",
                   Fail(ErrorKind::kRetryable, "connection refused"), kYes,
                   ProblemType::kAuthUnavailable},
        ReviewCase{"AServerThatFailsBetweenIsUnavailable", kUser, Answer{500, "{}"},
                   ProblemType::kAuthUnavailable},
        ReviewCase{"AnAnswerWithoutAStatusIsUnavailable", Answer{201, "{}"}, kYes,
                   ProblemType::kAuthUnavailable},
        ReviewCase{"AnAnswerThatIsNoJsonIsUnavailable", Answer{201, "<html>"}, kYes,
                   ProblemType::kAuthUnavailable},
        ReviewCase{"AUserWithoutANameIsUnavailable",
                   Answer{201, R"({"status":{"authenticated":true,"user":{}}})"}, kYes,
                   ProblemType::kAuthUnavailable}),
    [](const auto& test) { return test.param.name; });

TEST(TokenReviewTest, WithoutATokenNobodyIsAsked) {
  ScriptedApi api;
  const auto authorizer = MakeKubernetesAuthorizer(api);
  EXPECT_EQ(Ask(*authorizer, "").error().type, ProblemType::kUnauthenticated);
  EXPECT_EQ(Ask(*authorizer, std::string(1 << 20, 'a')).error().type,
            ProblemType::kUnauthenticated);
  EXPECT_TRUE(api.requests().empty());
}

TEST(TokenReviewTest, CallersBeyondTheQueueAreToldToComeAgain) {
  ScriptedApi api;
  std::promise<void> go_on;
  const std::shared_future<void> going_on = go_on.get_future().share();
  api.respond = [&](const Request&) -> Result<Answer> {
    going_on.wait();
    return Answer{201, kAuthenticated};
  };
  std::atomic<int> answered{0};
  std::atomic<int> refused{0};
  {
    const auto authorizer = MakeKubernetesAuthorizer(api, {.threads = 1, .queue_max = 2});
    for (int i = 0; i < 10; ++i) {
      authorizer->Authorize("token", Verb::kGet, "studio", "media",
                            [&](const gateway::Answer<Caller>& said) {
                              ++answered;
                              if (!said) ++refused;
                            });
    }
    EXPECT_GE(refused.load(), 7);  // One is being asked about, two wait.
    go_on.set_value();
  }
  // Also those that still waited when it ended.
  EXPECT_EQ(answered.load(), 10);
}

}  // namespace
}  // namespace lanekeeper::kubernetes
