// The HTTP layer on a port of its own, with a gateway and a desk that say what they were told.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "worker-runtime/base/testing/eventually.h"
#include "worker-runtime/gateway/http_metrics.h"
#include "worker-runtime/gateway/http_server.h"
#include "worker-runtime/gateway/http_transport.h"
#include "worker-runtime/gateway/testing/fake_desk.h"
#include "worker-runtime/gateway/testing/fake_pools.h"
#include "worker-runtime/gateway/testing/fake_workers.h"
#include "worker-runtime/gateway/testing/raw_http.h"

namespace lanekeeper::gateway {

inline constexpr const char* kJobs = "/v1/pools/studio/media/jobs";
inline constexpr const char* kJobId = "LK_studio_media_short.17.abcdefgh";
inline const std::string kJobPath = std::string("/v1/jobs/") + kJobId;

// "<name>" may do everything in its namespace, "<name>-ro" only read; all is the namespace of the
// token "root".
class FakeAuthorizer final : public Authorizer {
 public:
  void Authorize(std::string_view token, Verb verb, std::string_view pool_namespace,
                 std::string_view, Then<Caller> then) override {
    if (token.empty()) return then(Refuse(ProblemType::kUnauthenticated, "no token"));
    if (token == "root") return then(Caller("root"));
    const bool read_only = token.ends_with("-ro");
    const std::string_view name = read_only ? token.substr(0, token.size() - 3) : token;
    if (name != pool_namespace || (read_only && verb != Verb::kGet)) {
      return then(Refuse(ProblemType::kForbidden, "not yours"));
    }
    then(Caller(token));
  }
};

inline JobView Job(ViewState state, std::uint64_t revision) {
  JobView job{.id = kJobId,
              .lane = {"studio", "media", "short"},
              .type = "thumbnail",
              .state = state,
              .sequence = 17,
              .revision = revision};
  if (revision > 0) {
    job.record = JobRecord{.id = kJobId};
    if (state == ViewState::kDone) job.record->state = JobState::kDone;
  }
  return job;
}

class HttpApiTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    static const bool installed = InstallTransport({}).has_value();
    ASSERT_TRUE(installed);
  }
  void SetUp() override {
    pools_.Put({.pool_namespace = "studio",
                .pool = "media",
                .lanes = {{.name = "short", .stream = "LK_studio_media_short"}}});
    pools_.Put({.pool_namespace = "other", .pool = "mail", .lanes = {{.name = "short"}}});
    Start({});
  }
  void Start(HttpServerOptions options) {
    server_.reset();
    for (int i = 0; i < 20 && !server_; ++i) {
      port_ = FreePort();
      options.address = "127.0.0.1:" + std::to_string(port_);
      auto started = HttpServer::Start(options, {.gateway = gateway_,
                                                 .desk = desk_,
                                                 .pools = pools_,
                                                 .authorizer = authorizer_,
                                                 .metrics = metrics_,
                                                 .workers = &workers_,
                                                 .decisions = decisions_});
      if (started) server_ = *std::move(started);
    }
    ASSERT_TRUE(server_);
  }
  RawHeaders As(const std::string& token, RawHeaders more = {}) const {
    more.emplace_back("Authorization", "Bearer " + token);
    return more;
  }
  RawAnswer Get(const std::string& target, const std::string& token = "studio",
                const RawHeaders& more = {}) const {
    return Ask(port_, "GET", target, "", As(token, more));
  }
  RawAnswer Post(const std::string& target, const std::string& body,
                 const std::string& token = "studio", const RawHeaders& more = {}) const {
    return AskJson(port_, "POST", target, body, As(token, more));
  }
  static std::string TypeOf(const RawAnswer& answer) {
    const nlohmann::json problem = nlohmann::json::parse(answer.body, nullptr, false);
    const std::string type = problem.is_object() ? problem.value("type", "") : "";
    return type.substr(type.rfind('/') + 1);
  }

  FakeGateway gateway_;
  FakeDesk desk_;
  FakePools pools_;
  FakeWorkers workers_;
  FakeDecisions log_;
  DecisionLog* decisions_ = &log_;
  FakeAuthorizer authorizer_;
  HttpMetrics metrics_;
  std::unique_ptr<HttpServer> server_;
  int port_ = 0;
};

}  // namespace lanekeeper::gateway
