// Callers of the gateway against a real API server: a service account, its token, its rights.
#include <gtest/gtest.h>

#include <future>
#include <string>

#include "operator/kubernetes/apiserver_fixture.h"
#include "operator/kubernetes/token_review.h"

namespace lanekeeper::kubernetes {
namespace {

using gateway::Caller;
using gateway::ProblemType;
using gateway::Verb;

const Resource kServiceAccounts{"/api/v1", "serviceaccounts", "v1", "ServiceAccount"};
const Resource kRoles{"/apis/rbac.authorization.k8s.io/v1", "roles", "rbac.authorization.k8s.io/v1",
                      "Role"};
const Resource kRoleBindings{"/apis/rbac.authorization.k8s.io/v1", "rolebindings",
                             "rbac.authorization.k8s.io/v1", "RoleBinding"};

class TokenReviewApiServerTest : public ApiServerTest {
 protected:
  // A service account that may do `verbs` with jobs of all pools of the namespace, or of one.
  void MakeAccount(const std::string& name, const std::string& verbs, const std::string& pools) {
    Do(CreateRequest(
        kServiceAccounts, namespace_,
        R"({"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":")" + name + R"("}})"));
    Do(CreateRequest(kRoles, namespace_,
                     R"({"apiVersion":"rbac.authorization.k8s.io/v1","kind":"Role",
                         "metadata":{"name":")" +
                         name + R"("},"rules":[{"apiGroups":["lanekeeper.dev"],
                         "resources":["workerpools/jobs"],"verbs":)" +
                         verbs + pools + "}]}"));
    Do(CreateRequest(kRoleBindings, namespace_,
                     R"({"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding",
                         "metadata":{"name":")" +
                         name + R"("},"roleRef":{"apiGroup":"rbac.authorization.k8s.io",
                         "kind":"Role","name":")" +
                         name + R"("},"subjects":[{"kind":"ServiceAccount","name":")" + name +
                         R"(","namespace":")" + namespace_ + R"("}]})"));
  }
  std::string TokenOf(const std::string& account) {
    const nlohmann::json answer =
        Do({.method = "POST",
            .path = "/api/v1/namespaces/" + namespace_ + "/serviceaccounts/" + account + "/token",
            .content_type = "application/json",
            .body = R"({"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest",
                        "spec":{"expirationSeconds":600}})"});
    return answer["status"]["token"];
  }
  gateway::Answer<Caller> Ask(gateway::Authorizer& authorizer, const std::string& token, Verb verb,
                              const std::string& pool_namespace, const std::string& pool) {
    std::promise<gateway::Answer<Caller>> answer;
    authorizer.Authorize(
        token, verb, pool_namespace, pool,
        [&answer](gateway::Answer<Caller> said) { answer.set_value(std::move(said)); });
    return answer.get_future().get();
  }
  // RBAC's own cache may be a moment behind what was just created.
  bool Allowed(gateway::Authorizer& authorizer, const std::string& token, Verb verb,
               const std::string& pool_namespace, const std::string& pool) {
    return Within(std::chrono::seconds(60),
                  [&] { return Ask(authorizer, token, verb, pool_namespace, pool).has_value(); });
  }
};

TEST_F(TokenReviewApiServerTest, AServiceAccountMayDoWhatItsRoleSaysAndNoMore) {
  MakeAccount("web", R"(["create","get"])", "");
  const std::string token = TokenOf("web");
  const auto authorizer = MakeKubernetesAuthorizer(*client_);

  ASSERT_TRUE(Allowed(*authorizer, token, Verb::kCreate, namespace_, "media"));
  const auto caller = Ask(*authorizer, token, Verb::kGet, namespace_, "");
  ASSERT_TRUE(caller) << caller.error().detail;
  EXPECT_EQ(*caller, "system:serviceaccount:" + namespace_ + ":web");
  for (const auto& [verb, where] :
       {std::pair(Verb::kUpdate, namespace_), std::pair(Verb::kCreate, std::string("kube-system")),
        std::pair(Verb::kGet, std::string())}) {
    const auto refused = Ask(*authorizer, token, verb, where, "media");
    ASSERT_FALSE(refused) << where;
    EXPECT_EQ(refused.error().type, ProblemType::kForbidden);
  }
}

TEST_F(TokenReviewApiServerTest, ARoleForOnePoolIsForThatPool) {
  MakeAccount("ops", R"(["update"])", R"(,"resourceNames":["media"])");
  const std::string token = TokenOf("ops");
  const auto authorizer = MakeKubernetesAuthorizer(*client_);

  ASSERT_TRUE(Allowed(*authorizer, token, Verb::kUpdate, namespace_, "media"));
  const auto refused = Ask(*authorizer, token, Verb::kUpdate, namespace_, "mail");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().type, ProblemType::kForbidden);
}

TEST_F(TokenReviewApiServerTest, AnInventedTokenIsNobody) {
  const auto authorizer = MakeKubernetesAuthorizer(*client_);
  const auto refused = Ask(*authorizer, "invented", Verb::kGet, namespace_, "media");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().type, ProblemType::kUnauthenticated);
}

}  // namespace
}  // namespace lanekeeper::kubernetes
