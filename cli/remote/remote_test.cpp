#include "cli/remote/remote.h"

#include <gmock/gmock.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "cli/remote/service_proxy.h"
#include "worker-runtime/client/testing/fake_gateway.h"

namespace lanekeeper::cli {
namespace {

using client::FakeGateway;
using client::FakeRequest;
using client::HttpAnswerText;
using client::ProblemText;
using testing::HasSubstr;

constexpr std::chrono::seconds kTimeout{60};
constexpr const char* kJson = "application/json";

std::unique_ptr<Remote> RemoteAt(const FakeGateway& gateway) {
  return *MakeRemote("the test's gateway", *client::MakeHttpCaller({.url = gateway.Url()}),
                     kTimeout);
}

TEST(RemoteTest, AnAnswerIsItsJson) {
  const FakeGateway gateway(
      [](const FakeRequest&) { return HttpAnswerText(200, kJson, R"({"a":1})"); });
  const auto answer = RemoteAt(gateway)->Get("/v1/pools?x=1");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ((*answer)["a"], 1);
  EXPECT_EQ(gateway.Requests().front().path, "/v1/pools?x=1");
}

TEST(RemoteTest, WhatMayBeRepeatedIsTriedAgain) {
  std::atomic<int> count{0};
  const FakeGateway gateway([&](const FakeRequest&) {
    if (++count < 3) return ProblemText(503, "queue-unavailable");
    return HttpAnswerText(200, kJson, "{}");
  });
  EXPECT_TRUE(RemoteAt(gateway)->Get("/v1/pools"));
  EXPECT_EQ(count, 3);
}

TEST(RemoteTest, WhatMayNotBeRepeatedIsSentOnce) {
  std::atomic<int> count{0};
  const FakeGateway gateway([&](const FakeRequest&) {
    ++count;
    return ProblemText(503, "queue-unavailable");
  });
  const auto answer = RemoteAt(gateway)->Call(
      {.method = "POST", .path = "/v1/x", .headers = {}, .content_type = kJson, .body = "{}"});
  ASSERT_FALSE(answer);
  EXPECT_EQ(ExitOf(answer.error()), Exit::kUnreachable);
  EXPECT_EQ(count, 1);
}

TEST(RemoteTest, AFullLaneIsBusyAndNotWaitedFor) {
  std::atomic<int> count{0};
  const FakeGateway gateway([&](const FakeRequest&) {
    ++count;
    return ProblemText(429, "lane-full", "Retry-After: 7\r\n");
  });
  const auto remote = RemoteAt(gateway);
  const auto answer = remote->Get("/v1/x");
  ASSERT_FALSE(answer);
  EXPECT_EQ(ExitOf(answer.error()), Exit::kBusy);
  EXPECT_EQ(answer.error().retry_after, std::chrono::seconds(7));
  const auto job = remote->jobs().Submit({"a", "b"}, {.type = "t"});
  ASSERT_FALSE(job);
  EXPECT_EQ(ExitOf(job.error()), Exit::kBusy);
  EXPECT_EQ(count, 2);
}

TEST(RemoteTest, EveryRefusalHasItsStatus) {
  const FakeGateway gateway([](const FakeRequest& request) {
    return ProblemText(std::stoi(request.path.substr(1)), "some-problem");
  });
  const auto remote = RemoteAt(gateway);
  for (const auto& [path, status] :
       {std::pair("/400", Exit::kUsage), std::pair("/401", Exit::kForbidden),
        std::pair("/403", Exit::kForbidden), std::pair("/404", Exit::kNotFound)}) {
    const auto answer = remote->Get(path);
    ASSERT_FALSE(answer);
    EXPECT_EQ(ExitOf(answer.error()), status) << path;
    EXPECT_THAT(answer.error().message, HasSubstr("as the test wants it"));
  }
  EXPECT_EQ(ExitOf(ClientError{.kind = ErrorKind::kRetryable,
                               .message = {},
                               .problem = std::string(kNotEnded),
                               .status = 0,
                               .retry_after = {}}),
            Exit::kNotEnded);
}

TEST(RemoteTest, ATextThatIsNoJsonIsNoAnswer) {
  const FakeGateway gateway(
      [](const FakeRequest&) { return HttpAnswerText(200, "text/html", "<html>"); });
  EXPECT_FALSE(RemoteAt(gateway)->Get("/v1/x"));
}

TEST(RemoteTest, APoolIsResolvedAgainstThoseThereAreAndAskedForOnce) {
  const FakeGateway gateway([](const FakeRequest&) {
    return HttpAnswerText(200, kJson,
                          R"({"pools":[{"namespace":"studio","pool":"media","lanes":["short"]}]})");
  });
  const auto remote = RemoteAt(gateway);
  EXPECT_EQ(remote->Resolve("media/short", true)->lane, "short");
  EXPECT_EQ(remote->Resolve("", false)->pool, "media");
  EXPECT_EQ(ExitOf(remote->Resolve("nope", false).error()), Exit::kNotFound);
  EXPECT_EQ(gateway.Requests().size(), 1U);
}

TEST(RemoteTest, ALocalInstanceMayTakeItsTime) {
  std::string folder =
      (std::filesystem::temp_directory_path() / "lanekeeper-local-XXXXXX").string();
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const FakeGateway gateway([](const FakeRequest&) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2500));  // Longer than a glance.
    return HttpAnswerText(200, kJson, "{}");
  });
  std::ofstream(folder + "/gateway") << gateway.Url() << "\n";
  TargetFlags flags{.timeout = kTimeout};
  flags.local = true;
  flags.state_folder = folder;
  const auto remote = Remote::Find(flags);
  EXPECT_TRUE(remote) << remote.error().message;
  std::filesystem::remove_all(folder);
}

TEST(RemoteTest, FlagsAreRead) {
  CLI::App app("", "x");
  TargetFlags flags;
  AddTargetFlags(app, flags);
  app.parse("--gateway http://x --timeout 90s --service-account a/b --token-file t");
  EXPECT_EQ(flags.gateway, "http://x");
  EXPECT_EQ(flags.timeout, std::chrono::seconds(90));
  EXPECT_THROW(app.parse("--timeout soon"), CLI::ParseError);
}

// An API server that hands on: what it does to headers and paths is tested on a real one.
class ServiceProxyTest : public testing::Test {
 protected:
  std::unique_ptr<Remote> Through(const FakeGateway& server, const std::string& token) {
    const std::string url = server.Url();
    std::shared_ptr<kubernetes::ApiClient> api =
        *kubernetes::ApiClient::Create({.scheme = "http",
                                        .host = "127.0.0.1",
                                        .port = std::stoi(url.substr(url.rfind(':') + 1)),
                                        .token = "for-the-api-server"});
    return *MakeRemote("the cluster",
                       MakeServiceProxy(api, {.name = {"ns", "gw"}, .https = false, .port = "api"},
                                        MakeFixedToken(token)),
                       kTimeout);
  }
  static std::string Status(int code, const std::string& message) {
    return HttpAnswerText(code, kJson,
                          R"({"kind":"Status","apiVersion":"v1","status":"Failure","message":")" +
                              message + R"(","code":)" + std::to_string(code) + "}");
  }
};

TEST_F(ServiceProxyTest, RequestsGoToTheServiceAndTheTokenInItsOwnHeader) {
  const FakeGateway server(
      [](const FakeRequest&) { return HttpAnswerText(200, kJson, R"({"id":"7"})"); });
  const auto remote = Through(server, "for-the-gateway");
  ASSERT_TRUE(remote->Get("/v1/pools?namespace=a"));
  ASSERT_TRUE(remote->jobs().Submit({"a", "b"}, {.type = "t", .payload = "x"}));
  const auto requests = server.Requests();
  EXPECT_EQ(requests[0].path,
            "/api/v1/namespaces/ns/services/http:gw:api/proxy/v1/pools?namespace=a");
  EXPECT_EQ(requests[0].headers.at("lanekeeper-authorization"), "Bearer for-the-gateway");
  EXPECT_EQ(requests[0].headers.at("authorization"), "Bearer for-the-api-server");
  EXPECT_EQ(requests[1].path, "/api/v1/namespaces/ns/services/http:gw:api/proxy/v1/pools/a/b/jobs");
  EXPECT_EQ(requests[1].headers.at("content-type"), kJson);
  EXPECT_THAT(requests[1].headers.at("idempotency-key"), HasSubstr("\""));
  EXPECT_THAT(requests[1].body, HasSubstr("payload_base64"));
}

TEST_F(ServiceProxyTest, WhatTheApiServerRefusesIsNotTakenForTheGatewaysWord) {
  const FakeGateway server([&](const FakeRequest& request) {
    if (request.path.ends_with("/403")) return Status(403, "user x cannot get services/proxy");
    return Status(404, "services gw not found");
  });
  const auto remote = Through(server, "t");
  const auto refused = remote->Get("/403");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kForbidden);
  EXPECT_THAT(refused.error().message, HasSubstr("services/proxy"));
  EXPECT_EQ(remote->Get("/404").error().kind, ErrorKind::kNotFound);
}

TEST_F(ServiceProxyTest, AFullLaneIsTheGatewaysWordAndNoPauseOfTheApiServer) {
  std::atomic<int> count{0};
  const FakeGateway server([&](const FakeRequest&) {
    if (++count == 1) return ProblemText(429, "lane-full", "Retry-After: 20\r\n");
    return HttpAnswerText(200, kJson, "{}");
  });
  const auto remote = Through(server, "t");
  EXPECT_EQ(ExitOf(remote->Get("/v1/a").error()), Exit::kBusy);
  EXPECT_TRUE(remote->Get("/v1/b"));
}

TEST_F(ServiceProxyTest, AGatewayThatWantsATokenAndWasShownNoneLeadsToTheRemedies) {
  const FakeGateway server([&](const FakeRequest&) { return ProblemText(401, "unauthenticated"); });
  const auto refused = Through(server, "")->Get("/v1/a");
  ASSERT_FALSE(refused);
  EXPECT_EQ(ExitOf(refused.error()), Exit::kForbidden);
  for (const char* part : {"--token-file", "LANEKEEPER_TOKEN", "--service-account"}) {
    EXPECT_THAT(refused.error().message, HasSubstr(part));
  }
}

TEST_F(ServiceProxyTest, EventsComeThrough) {
  const FakeGateway server([&](const FakeRequest&) {
    return HttpAnswerText(200, "text/event-stream",
                          "event: job\nid: 1\ndata: {\"id\":\"7\",\"state\":\"running\"}\n\n"
                          "event: job\nid: 2\ndata: {\"id\":\"7\",\"state\":\"done\"}\n\n");
  });
  const auto remote = Through(server, "t");
  std::vector<std::string> states;
  const auto end = remote->jobs().Watch("7", kTimeout, [&](const JobStatus& job) {
    states.push_back(job.state);
    return true;
  });
  ASSERT_TRUE(end) << end.error().message;
  EXPECT_THAT(states, testing::ElementsAre("running", "done"));
  EXPECT_EQ(server.Requests().front().headers.at("accept"), "text/event-stream");
}

}  // namespace
}  // namespace lanekeeper::cli
