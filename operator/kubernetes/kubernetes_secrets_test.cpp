#include "operator/kubernetes/kubernetes_secrets.h"

#include <gtest/gtest.h>

#include "operator/kubernetes/scripted_api.h"

namespace lanekeeper::kubernetes {
namespace {

TEST(KubernetesSecrets, ReadsOneByNameAndDecodesIt) {
  ScriptedApi api;
  api.respond = [](const Request&) {
    return Answer{200, R"({"kind":"Secret","data":{"user.creds":"aHVudGVyMg==","odd":"*","n":1}})"};
  };
  const auto values = KubernetesSecrets(api).Read("team-a", "nats");
  ASSERT_TRUE(values) << values.error().message;
  EXPECT_EQ(*values, (SecretValues{{"user.creds", "hunter2"}}));
  ASSERT_EQ(api.requests().size(), 1U);
  EXPECT_EQ(api.requests()[0],
            (Request{.method = "GET", .path = "/api/v1/namespaces/team-a/secrets/nats"}));
}

TEST(KubernetesSecrets, SaysWhatTheServerSaid) {
  ScriptedApi api;
  EXPECT_EQ(KubernetesSecrets(api).Read("a", "b").error().kind, ErrorKind::kNotFound);
  api.respond = [](const Request&) { return Answer{403, R"({"message":"forbidden"})"}; };
  EXPECT_EQ(KubernetesSecrets(api).Read("a", "b").error().kind, ErrorKind::kForbidden);
  api.respond = [](const Request&) { return Answer{200, "data: aHVudGVyMg=="}; };
  const auto odd = KubernetesSecrets(api).Read("a", "b");
  ASSERT_FALSE(odd);
  EXPECT_EQ(odd.error().message.find("aHVu"), std::string::npos);
}

TEST(KubernetesSecrets, ASecretWithoutValuesIsEmpty) {
  ScriptedApi api;
  api.respond = [](const Request&) { return Answer{200, R"({"kind":"Secret"})"}; };
  const auto values = KubernetesSecrets(api).Read("a", "b");
  ASSERT_TRUE(values);
  EXPECT_TRUE(values->empty());
}

}  // namespace
}  // namespace lanekeeper::kubernetes
