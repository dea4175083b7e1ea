// Reading Secrets from a real API server, with the rights the chart gives.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/kubernetes/apiserver_fixture.h"
#include "operator/kubernetes/kubernetes_secrets.h"

namespace lanekeeper::kubernetes {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class SecretsApiServerTest : public ApiServerTest {
 protected:
  void CreateSecret(const std::string& name, const json& data) {
    Do(CreateRequest(kSecrets, namespace_,
                     json{{"apiVersion", "v1"},
                          {"kind", "Secret"},
                          {"metadata", {{"name", name}}},
                          {"stringData", data}}
                         .dump()));
  }
};

TEST_F(SecretsApiServerTest, ReadsWhatIsThereNow) {
  const std::string creds = "-----BEGIN NATS USER JWT-----\nx\n\xc3\xa9\n";
  CreateSecret("nats", {{"user.creds", creds}, {"empty", ""}});
  KubernetesSecrets secrets(*client_);
  auto values = secrets.Read(namespace_, "nats");
  ASSERT_TRUE(values) << values.error().message;
  EXPECT_EQ(*values, (SecretValues{{"user.creds", creds}, {"empty", ""}}));

  Do(MergePatchRequest(kSecrets, {namespace_, "nats"}, R"({"stringData":{"user.creds":"new"}})"));
  values = secrets.Read(namespace_, "nats");
  ASSERT_TRUE(values);
  EXPECT_EQ(values->at("user.creds"), "new");

  Do(DeleteRequest(kSecrets, {namespace_, "nats"}, ""));
  EXPECT_EQ(secrets.Read(namespace_, "nats").error().kind, ErrorKind::kNotFound);
}

// The rule of the chart: get, in the namespaces of a Role, and nothing else.
TEST_F(SecretsApiServerTest, GetOnSecretsIsAllItTakes) {
  CreateSecret("nats", {{"user.creds", "x"}});
  const Resource roles{"/apis/rbac.authorization.k8s.io/v1", "roles", "", ""};
  const Resource bindings{"/apis/rbac.authorization.k8s.io/v1", "rolebindings", "", ""};
  const Resource accounts{"/api/v1", "serviceaccounts", "", ""};
  Do(CreateRequest(accounts, namespace_,
                   R"({"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"op"}})"));
  const json role = {{"apiVersion", "rbac.authorization.k8s.io/v1"},
                     {"kind", "Role"},
                     {"metadata", {{"name", "op"}}},
                     {"rules", json::array({{{"apiGroups", json::array({""})},
                                             {"resources", json::array({"secrets"})},
                                             {"verbs", json::array({"get"})}}})}};
  Do(CreateRequest(roles, namespace_, role.dump()));
  const json binding = {
      {"apiVersion", "rbac.authorization.k8s.io/v1"},
      {"kind", "RoleBinding"},
      {"metadata", {{"name", "op"}}},
      {"roleRef", {{"apiGroup", "rbac.authorization.k8s.io"}, {"kind", "Role"}, {"name", "op"}}},
      {"subjects",
       json::array({{{"kind", "ServiceAccount"}, {"name", "op"}, {"namespace", namespace_}}})}};
  Do(CreateRequest(bindings, namespace_, binding.dump()));
  const json token = Do({.method = "POST",
                         .path = "/api/v1/namespaces/" + namespace_ + "/serviceaccounts/op/token",
                         .content_type = "application/json",
                         .body = R"({"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest",
                      "spec":{"expirationSeconds":600}})"});
  KubeConfig config = server_->Config();
  config.client_certificate_pem = config.client_key_pem = "";
  config.token = token["status"]["token"];
  const auto client = *ApiClient::Create(config);
  KubernetesSecrets secrets(*client);
  // The authorizer hears of a new binding a moment later.
  ASSERT_TRUE(Within(std::chrono::seconds(60),
                     [&] { return secrets.Read(namespace_, "nats").has_value(); }));
  const auto elsewhere = secrets.Read("kube-system", "nats");
  ASSERT_FALSE(elsewhere);
  EXPECT_EQ(elsewhere.error().kind, ErrorKind::kForbidden);
  EXPECT_FALSE(client->Call(ListRequest(kSecrets, {.only_namespace = namespace_})));
}

}  // namespace
}  // namespace lanekeeper::kubernetes
