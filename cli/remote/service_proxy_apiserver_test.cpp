// The way through the service proxy of a real API server, to a gateway of the test's own. The API
// server hands on to addresses of pods only, and not to loopback: so there is a pod that claims an
// address of this machine.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <atomic>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/remote/find_target.h"
#include "cli/remote/gateway_service.h"
#include "operator/kubernetes/apiserver_fixture.h"
#include "worker-runtime/base/completion.h"
#include "worker-runtime/client/testing/fake_gateway.h"

namespace lanekeeper::cli {
namespace {

using client::FakeGateway;
using client::FakeRequest;
using kubernetes::CreateRequest;
using kubernetes::Resource;
using nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

const Resource kServices{"/api/v1", "services", "v1", "Service"};
const Resource kEndpoints{"/api/v1", "endpoints", "v1", "Endpoints"};
const Resource kServiceAccounts{"/api/v1", "serviceaccounts", "v1", "ServiceAccount"};
constexpr std::chrono::seconds kLimit{60};

// Empty: this machine has only loopback.
std::string OwnAddress() {
  std::string found;
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return found;
  for (const ifaddrs* one = all; one != nullptr && found.empty(); one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET) continue;
    if ((one->ifa_flags & IFF_LOOPBACK) != 0 || (one->ifa_flags & IFF_UP) == 0) continue;
    sockaddr_in address{};
    std::memcpy(&address, one->ifa_addr, sizeof address);
    std::array<char, INET_ADDRSTRLEN> text{};
    found = inet_ntop(AF_INET, &address.sin_addr, text.data(), text.size());
  }
  freeifaddrs(all);
  return found;
}

class ServiceProxyApiServerTest : public kubernetes::ApiServerTest {
 protected:
  void SetUp() override {
    address_ = OwnAddress();
    if (address_.empty()) GTEST_SKIP() << "this machine has no address but loopback";
    ApiServerTest::SetUp();
  }
  void TearDown() override {
    if (address_.empty()) return;
    // Nobody empties namespaces here, and the next test looks for Services in all of them.
    (void)client_->Call(kubernetes::DeleteRequest(kServices, {namespace_, "gw"}, ""));
    ApiServerTest::TearDown();
  }

  void MakeService(int port) {
    const json metadata{
        {"name", "gw"},
        {"labels",
         {{"app.kubernetes.io/name", "lanekeeper"}, {"app.kubernetes.io/component", "gateway"}}}};
    Do(CreateRequest(kServices, namespace_,
                     json{{"apiVersion", "v1"},
                          {"kind", "Service"},
                          {"metadata", metadata},
                          {"spec", {{"ports", {{{"name", "api"}, {"port", 80}}}}}}}
                         .dump()));
    Do(CreateRequest(kubernetes::kPods, namespace_,
                     R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"gw"},
                         "spec":{"containers":[{"name":"gateway","image":"g:1"}]}})"));
    Do(kubernetes::MergePatchStatusRequest(
        kubernetes::kPods, {namespace_, "gw"},
        R"({"status":{"podIP":")" + address_ + R"(","podIPs":[{"ip":")" + address_ + R"("}]}})"));
    Do(CreateRequest(kEndpoints, namespace_,
                     R"({"apiVersion":"v1","kind":"Endpoints","metadata":{"name":"gw"},
                         "subsets":[{"addresses":[{"ip":")" +
                         address_ + R"(","targetRef":{"kind":"Pod","name":"gw","namespace":")" +
                         namespace_ + R"("}}],"ports":[{"name":"api","port":)" +
                         std::to_string(port) + "}]}]}"));
  }
  // As the API server's administrator, with a client certificate.
  TargetFlags Flags() const {
    TargetFlags flags{.timeout = kLimit};
    flags.kubeconfig =
        server_->is_ours()
            ? std::filesystem::path(server_->token_kubeconfig()).replace_filename("kubeconfig")
            : std::filesystem::path(std::getenv("LANEKEEPER_TEST_KUBECONFIG"));
    return flags;
  }
  std::unique_ptr<Remote> Find(const TargetFlags& flags) {
    auto remote = Remote::Find(flags);
    EXPECT_TRUE(remote) << remote.error().message;
    return remote ? *std::move(remote) : nullptr;
  }

  std::string address_;
};

FakeGateway::Serving Saying(const std::string& answer) {
  return [answer](const FakeRequest&, const FakeGateway::Send& send) { send(answer); };
}

TEST_F(ServiceProxyApiServerTest, TheGatewayIsFoundByItsLabelsAndShownAnAccountsToken) {
  FakeGateway gateway(Saying(client::HttpAnswerText(200, "application/json", R"({"pools":[]})")),
                      address_);
  MakeService(gateway.port());
  Do(CreateRequest(kServiceAccounts, namespace_,
                   R"({"apiVersion":"v1","kind":"ServiceAccount",
                       "metadata":{"name":"lanekeeper-cli"}})"));
  const auto remote = Find(Flags());
  ASSERT_TRUE(remote);
  EXPECT_THAT(remote->where(), HasSubstr(namespace_ + "/gw"));
  const auto pools = remote->Get("/v1/pools?namespace=a%20b");
  ASSERT_TRUE(pools) << pools.error().message;
  const auto requests = gateway.Requests();
  ASSERT_EQ(requests.size(), 1U);
  EXPECT_THAT(requests[0].path,
              testing::AnyOf("/v1/pools?namespace=a%20b", "/v1/pools?namespace=a+b"));
  EXPECT_FALSE(requests[0].headers.contains("authorization"));
  EXPECT_THAT(requests[0].headers.at("lanekeeper-authorization"), StartsWith("Bearer ey"));
}

TEST_F(ServiceProxyApiServerTest, WhatIsSentArrivesAsItIsAndRefusalsComeBack) {
  FakeGateway gateway(Saying(client::ProblemText(429, "lane-full", "Retry-After: 7\r\n")),
                      address_);
  MakeService(gateway.port());
  TargetFlags flags = Flags();
  flags.gateway_service = namespace_ + "/gw";
  const auto remote = Find(flags);
  ASSERT_TRUE(remote);
  const auto job = remote->jobs().Submit({"a", "b"}, {.type = "t", .payload = "bytes"});
  ASSERT_FALSE(job);
  EXPECT_EQ(job.error().problem, "lane-full");
  EXPECT_EQ(job.error().retry_after, std::chrono::seconds(7));
  const auto requests = gateway.Requests();
  ASSERT_EQ(requests.size(), 1U);
  EXPECT_EQ(requests[0].method, "POST");
  EXPECT_EQ(requests[0].path, "/v1/pools/a/b/jobs");
  EXPECT_EQ(requests[0].headers.at("content-type"), "application/json");
  EXPECT_TRUE(requests[0].headers.contains("idempotency-key"));
  EXPECT_THAT(requests[0].body, HasSubstr("payload_base64"));
}

TEST_F(ServiceProxyApiServerTest, ATrustedGatewayIsShownTheKubeconfigsOwnToken) {
  if (!server_->is_ours()) GTEST_SKIP() << "only our own server has a kubeconfig with a token";
  FakeGateway gateway(Saying(client::HttpAnswerText(200, "application/json", "{}")), address_);
  MakeService(gateway.port());
  TargetFlags flags = Flags();
  flags.kubeconfig = server_->token_kubeconfig();
  flags.gateway_service = namespace_ + "/gw";
  const auto config = kubernetes::ReadKubeConfig(flags.kubeconfig, "");
  ASSERT_TRUE(config);
  const auto remote = Find(flags);
  ASSERT_TRUE(remote);
  const auto answer = remote->Get("/v1/pools");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_FALSE(gateway.Requests()[0].headers.contains("authorization"));
  EXPECT_THAT(gateway.Requests()[0].headers.at("lanekeeper-authorization"), StartsWith("Bearer "));
}

TEST_F(ServiceProxyApiServerTest, AServiceWithNobodyBehindItIsSaidInTheApiServersWords) {
  MakeService(1);
  TargetFlags flags = Flags();
  flags.gateway_service = namespace_ + "/gw";
  const auto remote = Find(flags);
  ASSERT_TRUE(remote);
  const auto answer = remote->Get("/v1/pools");
  ASSERT_FALSE(answer);
  EXPECT_EQ(ExitOf(answer.error()), Exit::kUnreachable) << answer.error().message;
}

TEST_F(ServiceProxyApiServerTest, EventsComeWhenTheyHappen) {
  // Sends the second event only once the first one has been taken.
  const auto taken = std::make_shared<Completion>();
  FakeGateway gateway(
      [taken](const FakeRequest&, const FakeGateway::Send& send) {
        send(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
            "event: job\nid: 1\ndata: {\"id\":\"7\",\"state\":\"running\"}\n\n");
        taken->WaitUntil(std::chrono::steady_clock::now() + kLimit, {});
        send("event: job\nid: 2\ndata: {\"id\":\"7\",\"state\":\"done\"}\n\n");
      },
      address_);
  MakeService(gateway.port());
  TargetFlags flags = Flags();
  flags.gateway_service = namespace_ + "/gw";
  const auto remote = Find(flags);
  ASSERT_TRUE(remote);
  std::vector<std::string> states;
  const auto end = remote->jobs().Watch("7", kLimit, [&](const JobStatus& job) {
    states.push_back(job.state);
    taken->Set();
    return true;
  });
  ASSERT_TRUE(end) << end.error().message;
  EXPECT_THAT(states, testing::ElementsAre("running", "done"));
  EXPECT_EQ(gateway.Requests().size(), 1U);
}

}  // namespace
}  // namespace lanekeeper::cli
