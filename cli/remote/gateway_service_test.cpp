#include "cli/remote/gateway_service.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "cli/remote/gateway_token.h"
#include "operator/kubernetes/scripted_api.h"

namespace lanekeeper::cli {
namespace {

using kubernetes::Answer;
using kubernetes::Request;
using kubernetes::ScriptedApi;
using nlohmann::json;
using testing::HasSubstr;

constexpr std::chrono::milliseconds kDeadline{2000};

json Service(const std::string& ns, const std::string& name, const std::string& protocol = "http") {
  return {{"metadata", {{"namespace", ns}, {"name", name}}},
          {"spec",
           {{"ports",
             {{{"name", "metrics"}, {"port", 8080}},
              {{"name", "api"}, {"port", 80}, {"appProtocol", protocol}}}}}}};
}
std::string List(const std::vector<json>& services) {
  return json{{"items", json(services)}}.dump();
}

TEST(GatewayServiceTest, ThePortCalledApiIsIt) {
  const auto service = ChooseGatewayService(List({Service("a", "gw")}));
  ASSERT_TRUE(service);
  EXPECT_EQ(ProxyPath(*service), "/api/v1/namespaces/a/services/http:gw:api/proxy");
  EXPECT_FALSE(service->trusted);
}

TEST(GatewayServiceTest, TlsAndAPortWithoutANameAreInThePath) {
  const auto service = ReadGatewayService(
      R"({"metadata":{"namespace":"a","name":"gw"},
          "spec":{"ports":[{"port":443,"appProtocol":"https"}]}})");
  ASSERT_TRUE(service);
  EXPECT_EQ(ProxyPath(*service), "/api/v1/namespaces/a/services/https:gw:443/proxy");
}

TEST(GatewayServiceTest, OfSeveralTheOneAtHomeOrNone) {
  const auto chosen = ChooseGatewayService(
      List({Service("a", "gw"), Service("lanekeeper-system", "home"), Service("b", "gw")}));
  ASSERT_TRUE(chosen);
  EXPECT_EQ(chosen->name.name, "home");
  EXPECT_TRUE(chosen->trusted);
  const auto none = ChooseGatewayService(List({Service("a", "gw"), Service("b", "gw")}));
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, ErrorKind::kInvalid);
  EXPECT_THAT(none.error().message, HasSubstr("a/gw, b/gw"));
  EXPECT_EQ(ChooseGatewayService(List({})).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(ChooseGatewayService("no json").error().kind, ErrorKind::kNotFound);
}

TEST(GatewayServiceTest, WhoMayNotLookEverywhereLooksAtHomeAndInTheirNamespace) {
  ScriptedApi api;
  api.respond = [](const Request& request) {
    if (request.path == "/api/v1/namespaces/mine/services") {
      return Answer{200, List({Service("mine", "gw")})};
    }
    return Answer{403, R"({"message":"not you"})"};
  };
  const auto found = FindGatewayService(api, "mine", kDeadline);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->name.object_namespace, "mine");
  ASSERT_EQ(api.requests().size(), 3U);
  EXPECT_THAT(api.requests().front().query, HasSubstr("labelSelector="));

  const auto refused = FindGatewayService(api, "other", kDeadline);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kForbidden);
  EXPECT_THAT(refused.error().message, HasSubstr("--gateway-service"));
}

TEST(GatewayServiceTest, ANameHasTwoParts) {
  EXPECT_EQ(*ParseObjectName("a/b", "--x"), (kubernetes::ObjectName{"a", "b"}));
  for (const char* wrong : {"", "a", "/b", "a/", "a/b/c"}) {
    const auto name = ParseObjectName(wrong, "--x");
    ASSERT_FALSE(name) << wrong;
    EXPECT_THAT(name.error().message, HasSubstr("--x"));
  }
}

TEST(GatewayTokenTest, AnAccountsTokenIsAskedForOnceAndAgainBeforeItEnds) {
  ScriptedApi api;
  api.respond = [](const Request&) { return Answer{201, R"({"status":{"token":"abc"}})"}; };
  const auto token = MakeServiceAccountToken(api, {"ns", "lanekeeper-cli"});
  const MonotonicTime now = std::chrono::steady_clock::now();
  EXPECT_EQ(*token->Current(now), "abc");
  EXPECT_EQ(*token->Current(now + std::chrono::minutes(40)), "abc");
  ASSERT_EQ(api.requests().size(), 1U);
  EXPECT_EQ(api.requests().front().path,
            "/api/v1/namespaces/ns/serviceaccounts/lanekeeper-cli/token");
  EXPECT_EQ(*token->Current(now + std::chrono::minutes(51)), "abc");
  EXPECT_EQ(api.requests().size(), 2U);
}

TEST(GatewayTokenTest, AnAccountThatIsNotThereMeansNoToken) {
  ScriptedApi api;
  const auto token = MakeServiceAccountToken(api, {"ns", "lanekeeper-cli"});
  EXPECT_EQ(*token->Current(std::chrono::steady_clock::now()), "");
  EXPECT_THAT(token->why_none(), HasSubstr("ns/lanekeeper-cli"));
  api.respond = [](const Request&) { return Answer{500, "{}"}; };
  EXPECT_FALSE(MakeServiceAccountToken(api, {"n", "a"})->Current({}));
}

TEST(GatewayTokenTest, WhatWasGivenInThisOrder) {
  const auto environment = [](const std::string& name) -> std::optional<std::string> {
    if (name == "LANEKEEPER_TOKEN") return " abc\n";
    return std::nullopt;
  };
  EXPECT_EQ(*GivenToken("", environment), "abc");
  EXPECT_EQ(GivenToken("/nonexistent/token", environment).error().kind, ErrorKind::kForbidden);
  EXPECT_EQ(GivenToken("/dev/null", environment).error().kind, ErrorKind::kForbidden);
  EXPECT_EQ(*GivenToken("", [](const std::string&) { return std::nullopt; }), "");
}

}  // namespace
}  // namespace lanekeeper::cli
