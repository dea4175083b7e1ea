// The HTTP layer over a real listener: what each path answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "worker-runtime/gateway/testing/http_api_fixture.h"

namespace lanekeeper::gateway {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

TEST_F(HttpApiTest, AnEnvelopeIsAcceptedWithItsPlace) {
  const RawAnswer answer = Post(kJobs, R"({"type":"thumbnail","payload":{"n":1}})");
  EXPECT_EQ(answer.status, 202) << answer.body;
  const json job = json::parse(answer.body);
  EXPECT_EQ(job["state"], "waiting");
  EXPECT_EQ(job["position"], 3);
  EXPECT_EQ(job["eta_seconds"], 2);
  EXPECT_EQ(answer.Header("location"), "/v1/jobs/" + job["id"].get<std::string>());
  EXPECT_EQ(answer.Header("cache-control"), "no-store");
  EXPECT_EQ(answer.Header("x-content-type-options"), "nosniff");
  ASSERT_EQ(gateway_.submissions().size(), 1u);
  EXPECT_EQ(gateway_.submissions()[0].payload, R"({"n":1})");
  EXPECT_EQ(gateway_.callers()[0], "studio@studio/media");
}

TEST_F(HttpApiTest, ABodyOfAnotherTypeIsThePayload) {
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) bytes += static_cast<char>(byte);
  const RawAnswer answer = Ask(port_, "POST", kJobs, bytes,
                               As("studio", {{"Content-Type", "image/png"},
                                             {"Lk-Type", "thumbnail"},
                                             {"Lk-Timeout", "90s"},
                                             {"Idempotency-Key", "\"k-1\""}}));
  ASSERT_EQ(answer.status, 202) << answer.body;
  const Submission submission = gateway_.submissions().at(0);
  EXPECT_EQ(submission.payload, bytes);
  EXPECT_EQ(submission.type, "thumbnail");
  EXPECT_EQ(submission.timeout, std::chrono::seconds(90));
  EXPECT_EQ(submission.idempotency_key, "k-1");
}

TEST_F(HttpApiTest, AKnownKeyIsAnsweredWithTheJobAsItIsNow) {
  desk_.Put(Job(ViewState::kDone, 9));
  gateway_.respond = [](const Submission&) {
    return Accepted{.id = kJobId, .lane = {"studio", "media", "short"}, .known = true};
  };
  const RawAnswer answer = Post(kJobs, R"({"idempotency_key":"k"})");
  EXPECT_EQ(answer.status, 202);
  EXPECT_EQ(answer.Header("idempotency-replayed"), "true");
  EXPECT_EQ(json::parse(answer.body)["state"], "done");
}

TEST_F(HttpApiTest, AProblemHasItsTypeItsStatusAndRetryAfter) {
  gateway_.respond = [](const Submission&) {
    return Refuse(ProblemType::kLaneFull, "lane short is full", std::chrono::seconds(7));
  };
  const RawAnswer answer = Post(kJobs, "{}", "studio", {{"X-Request-Id", "abc-1"}});
  EXPECT_EQ(answer.status, 429);
  EXPECT_EQ(answer.Header("retry-after"), "7");
  EXPECT_EQ(answer.Header("content-type"), "application/problem+json");
  EXPECT_EQ(answer.Header("x-request-id"), "abc-1");
  EXPECT_EQ(json::parse(answer.body), json::parse(R"({
      "type":"https://lanekeeper.dev/problems/lane-full","title":"The lane is full","status":429,
      "detail":"lane short is full","request_id":"abc-1","retry_after_seconds":7})"));
}

TEST_F(HttpApiTest, ARequestIdThatIsNoneIsReplaced) {
  const RawAnswer answer = Get("/healthz", "", {{"X-Request-Id", "a b\"c"}});
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.Header("x-request-id").size(), 16u);
}

TEST_F(HttpApiTest, WaitingEndsWithTheJob) {
  gateway_.respond = [](const Submission&) {
    return Accepted{.id = kJobId, .lane = {"studio", "media", "short"}};
  };
  desk_.Put(Job(ViewState::kWaiting, 0));
  std::thread worker([this] {
    EXPECT_TRUE(Eventually([this] { return desk_.Watches() == 1; }));
    desk_.Put(Job(ViewState::kRunning, 1));
    desk_.Put(Job(ViewState::kDone, 2));
  });
  const RawAnswer answer = Post(kJobs, "{}", "studio", {{"Prefer", "wait=60"}});
  worker.join();
  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.Header("etag"), "\"2\"");
  EXPECT_EQ(answer.Header("preference-applied"), "wait=60");
  EXPECT_EQ(json::parse(answer.body)["state"], "done");
  EXPECT_TRUE(Eventually([this] { return desk_.Watches() == 0; }));
}

TEST_F(HttpApiTest, WaitingEndsWithItsTime) {
  desk_.Put(Job(ViewState::kRunning, 1));
  const RawAnswer answer = Get(kJobPath, "studio", {{"Prefer", "wait=1"}});
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(json::parse(answer.body)["state"], "running");
  EXPECT_TRUE(Eventually([this] { return desk_.Watches() == 0; }));
}

TEST_F(HttpApiTest, WhatDidNotChangeIsNotSentAgain) {
  desk_.Put(Job(ViewState::kDone, 5));
  const RawAnswer first = Get(kJobPath);
  EXPECT_EQ(first.Header("etag"), "\"5\"");
  const RawAnswer again = Get(kJobPath, "studio", {{"If-None-Match", first.Header("etag")}});
  EXPECT_EQ(again.status, 304);
  EXPECT_EQ(again.body, "");
}

TEST_F(HttpApiTest, EventsAreEveryChangeAndThenTheEnd) {
  desk_.Put(Job(ViewState::kWaiting, 0));
  RawStream events(port_, kJobPath + "/events", As("studio"));
  EXPECT_THAT(events.Until("id: 0\n"), HasSubstr("event: job\nid: 0\ndata: {"));
  desk_.Put(Job(ViewState::kRunning, 4));
  EXPECT_THAT(events.Until("id: 4\n"), HasSubstr("id: 4\n"));
  desk_.Put(Job(ViewState::kDone, 6));
  EXPECT_THAT(events.UntilEnd(), HasSubstr("event: end\ndata: {\"state\":\"done\"}\n\n"));
  EXPECT_TRUE(Eventually([this] { return desk_.Watches() == 0; }));
}

TEST_F(HttpApiTest, EventsGoOnAfterTheLastOneSeen) {
  desk_.Put(Job(ViewState::kRunning, 4));
  RawStream events(port_, kJobPath + "/events", As("studio", {{"Last-Event-ID", "4"}}));
  EXPECT_TRUE(Eventually([this] { return desk_.Watches() == 1; }));
  desk_.Put(Job(ViewState::kDone, 6));
  EXPECT_THAT(events.UntilEnd(), Not(HasSubstr("id: 4\n")));
  RawStream after(port_, kJobPath + "/events?last_event_id=6", As("studio"));
  EXPECT_THAT(after.UntilEnd(), HasSubstr("event: end"));
  EXPECT_THAT(after.UntilEnd(), Not(HasSubstr("event: job")));
}

TEST_F(HttpApiTest, QuietEventsHaveAHeartbeat) {
  Start({.heartbeat = std::chrono::milliseconds(20)});
  desk_.Put(Job(ViewState::kRunning, 4));
  RawStream events(port_, kJobPath + "/events", As("studio"));
  EXPECT_THAT(events.Until(": heartbeat\n\n"), HasSubstr(": heartbeat\n\n"));
}

TEST_F(HttpApiTest, AWatcherThatGoesAwayIsForgotten) {
  Start({.heartbeat = std::chrono::hours(1)});  // Which would notice, too.
  desk_.Put(Job(ViewState::kRunning, 4));
  {
    RawStream events(port_, kJobPath + "/events", As("studio"));
    events.Until("id: 4\n");
    EXPECT_EQ(desk_.Watches(), 1u);
  }
  EXPECT_TRUE(Eventually([this] { return desk_.Watches() == 0; }));
}

TEST_F(HttpApiTest, TooManyWatchersAreRefusedAndWaitsAreCutShort) {
  desk_.watches_max = 0;
  desk_.Put(Job(ViewState::kRunning, 4));
  const RawAnswer events = Get(kJobPath + "/events");
  EXPECT_EQ(events.status, 429);
  const RawAnswer job = Get(kJobPath, "studio", {{"Prefer", "wait=60"}});
  EXPECT_EQ(job.status, 200);
  EXPECT_EQ(json::parse(job.body)["state"], "running");
}

TEST_F(HttpApiTest, BulkAnswersEveryLineInItsOrder) {
  gateway_.respond = [](const Submission& submission) -> Answer<Accepted> {
    if (submission.type == "full")
      return Refuse(ProblemType::kLaneFull, "full", std::chrono::seconds(1));
    return Accepted{.id = "id-" + submission.type, .lane = {"studio", "media", "short"}};
  };
  const RawAnswer answer = Ask(
      port_, "POST", kJobs, "{\"type\":\"a\"}\n\n{\"type\":\"full\"}\r\nnot json\n{\"type\":\"b\"}",
      As("studio", {{"Content-Type", "application/x-ndjson"}}));
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.Header("content-type"), "application/x-ndjson");
  std::vector<std::string> seen;
  std::istringstream lines(answer.body);
  for (std::string line; std::getline(lines, line);) {
    const json result = json::parse(line);
    seen.push_back(std::to_string(result["line"].get<int>()) + " " +
                   std::to_string(result["status"].get<int>()));
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"1 202", "3 429", "4 400", "5 202"}));
}

TEST_F(HttpApiTest, BulkHasALimitOfLines) {
  std::string body;
  for (int i = 0; i < 10'001; ++i) body += "{}\n";
  const RawHeaders headers = As("studio", {{"Content-Type", "application/x-ndjson"}});
  EXPECT_EQ(Ask(port_, "POST", kJobs, body, headers).status, 400);
  EXPECT_TRUE(gateway_.submissions().empty());
  body.resize(body.size() - 3);
  EXPECT_EQ(Ask(port_, "POST", kJobs, body, headers).status, 200);
  EXPECT_EQ(gateway_.submissions().size(), 10'000u);
}

TEST_F(HttpApiTest, ABodyOrAHeaderTooLargeIsRefused) {
  EXPECT_EQ(Post(kJobs, std::string(9 << 20, ' ')).status, 413);
  const RawAnswer answer =
      AskRaw(port_, "GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + std::string(1 << 20, 'a'));
  EXPECT_EQ(answer.status, 431);
  EXPECT_TRUE(gateway_.submissions().empty());
  EXPECT_EQ(Get("/healthz").status, 200);
}

TEST_F(HttpApiTest, AHeaderCannotBeSmuggledIntoTheAnswer) {
  const RawAnswer answer = Get("/v1/jobs/x%0d%0aSet-Cookie:%20a=b", "root");
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.Header("set-cookie"), "");
  const RawAnswer id = AskRaw(
      port_,
      "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Request-Id: a\x01b\r\n\r\n");
  EXPECT_THAT(id.Header("x-request-id"), Not(HasSubstr("\x01")));
}

TEST_F(HttpApiTest, MethodsOfAPathAreListed) {
  const RawAnswer options = Ask(port_, "OPTIONS", kJobs);
  EXPECT_EQ(options.status, 204);
  EXPECT_EQ(options.Header("allow"), "POST, GET, HEAD, OPTIONS");
  EXPECT_EQ(Ask(port_, "PUT", kJobs).Header("allow"), "POST, GET, HEAD, OPTIONS");
  EXPECT_EQ(Ask(port_, "OPTIONS", kJobPath + "/events").Header("allow"), "GET, OPTIONS");
  const RawAnswer head = Ask(port_, "HEAD", "/v1/openapi.json");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.body, "");
  EXPECT_EQ(Ask(port_, "TRACE", kJobs).status, 405);
}

TEST_F(HttpApiTest, ATokenMayComeInTheHeaderThatAProxyLeavesAlone) {
  const RawHeaders own{{"Lanekeeper-Authorization", "Bearer studio"}};
  EXPECT_EQ(Ask(port_, "GET", kJobs, "", own).status, 200);
  EXPECT_EQ(Ask(port_, "GET", "/v1/pools", "", own).status, 200);
  EXPECT_EQ(Ask(port_, "GET", kJobs).status, 401);
  EXPECT_EQ(Ask(port_, "GET", kJobs, "", As("studio", own)).status, 200);
  EXPECT_EQ(Ask(port_, "GET", kJobs, "", As("other", own)).status, 400);
  EXPECT_EQ(Ask(port_, "GET", "/v1/pools", "", As("other", own)).status, 400);
}

TEST_F(HttpApiTest, OnlyListedOriginsMayCallFromPages) {
  const RawHeaders origin{{"Origin", "https://console.example.com"}};
  EXPECT_EQ(Ask(port_, "GET", "/healthz", "", origin).Header("access-control-allow-origin"), "");
  Start({.cors_origins = {"https://console.example.com"}});
  EXPECT_EQ(Ask(port_, "GET", "/healthz", "", origin).Header("access-control-allow-origin"),
            "https://console.example.com");
  EXPECT_THAT(Ask(port_, "OPTIONS", kJobs, "", origin).Header("access-control-allow-headers"),
              HasSubstr("Authorization"));
  EXPECT_EQ(Ask(port_, "GET", "/healthz", "", {{"Origin", "https://evil.example.com"}})
                .Header("access-control-allow-origin"),
            "");
}

TEST_F(HttpApiTest, PoolsAreThoseTheCallerMayRead) {
  const auto names = [this](const std::string& token) {
    std::vector<std::string> seen;
    const json list = json::parse(Get("/v1/pools", token).body);
    for (const json& pool : list["pools"]) {
      seen.push_back(pool["namespace"].get<std::string>() + "/" + pool["pool"].get<std::string>());
    }
    return seen;
  };
  EXPECT_EQ(names("root"), (std::vector<std::string>{"other/mail", "studio/media"}));
  EXPECT_EQ(names("studio-ro"), std::vector<std::string>{"studio/media"});
  EXPECT_TRUE(names("nobody").empty());
}

TEST_F(HttpApiTest, APoolShowsItsLanes) {
  const json pool = json::parse(Get("/v1/pools/studio/media").body);
  EXPECT_EQ(pool["lanes"][0]["gauge"]["depth"], 7);
  EXPECT_EQ(pool["lanes"][0]["name"], "short");
}

TEST_F(HttpApiTest, JobsAreListedAsAskedFor) {
  desk_.Put(Job(ViewState::kDone, 5));
  const RawAnswer answer = Get(std::string(kJobs) +
                               "?lane=short&state=done&type=thumbnail&since=2026-11-26T02:00:00Z"
                               "&limit=7&cursor=abc");
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(json::parse(answer.body)["next"], "more");
  EXPECT_EQ(json::parse(answer.body)["jobs"][0]["id"], kJobId);
  EXPECT_EQ(desk_.last_query.lane, "short");
  EXPECT_EQ(desk_.last_query.state, ViewState::kDone);
  EXPECT_EQ(desk_.last_query.limit, 7u);
  EXPECT_EQ(desk_.last_query.cursor, "abc");
}

TEST_F(HttpApiTest, AJobOfAnotherPoolIsNotThereForThoseWhoMayReadThisOne) {
  desk_.Put(Job(ViewState::kRunning, 4));
  const std::string path = std::string("/v1/pools/other/mail/jobs/") + kJobId;
  ASSERT_EQ(Get(path, "other").status, 404);
  EXPECT_EQ(Get(path + "/events", "other").status, 404);
  EXPECT_EQ(Ask(port_, "DELETE", path, "", As("other")).status, 404);
  EXPECT_EQ(desk_.cancelled_by, "");
  EXPECT_EQ(Get(kJobPath, "studio").status, 200);
}

TEST_F(HttpApiTest, CancellingSaysWhoAndWhetherItCouldBe) {
  desk_.Put(Job(ViewState::kWaiting, 0));
  const RawAnswer cancelled = Ask(port_, "DELETE", kJobPath, "", As("studio"));
  EXPECT_EQ(cancelled.status, 200);
  EXPECT_EQ(json::parse(cancelled.body)["state"], "cancelled");
  EXPECT_EQ(desk_.cancelled_by, "studio");
  desk_.Put(Job(ViewState::kDone, 5));
  const RawAnswer late = Ask(port_, "DELETE", kJobPath, "", As("studio"));
  EXPECT_EQ(late.status, 409);
  EXPECT_EQ(TypeOf(late), "job-finished");
}

TEST_F(HttpApiTest, ALaneIsPausedAndGoesOn) {
  const RawAnswer paused =
      Post("/v1/pools/studio/media/lanes/short/pause", R"({"for":"10m","reason":"upgrade"})");
  EXPECT_EQ(paused.status, 200) << paused.body;
  ASSERT_TRUE(desk_.last_pause);
  EXPECT_EQ(desk_.last_pause->reason, "upgrade");
  EXPECT_EQ(desk_.last_pause->by, "studio");
  EXPECT_EQ(
      Ask(port_, "POST", "/v1/pools/studio/media/lanes/short/resume", "", As("studio")).status,
      204);
  EXPECT_FALSE(desk_.last_pause);
}

TEST_F(HttpApiTest, DrainingRefusesToHandInJobsAndDoesTheRest) {
  desk_.Put(Job(ViewState::kRunning, 4));
  RawStream events(port_, kJobPath + "/events", As("studio"));
  EXPECT_TRUE(Eventually([this] { return desk_.Watches() == 1; }));
  server_->Drain();
  EXPECT_EQ(Ask(port_, "GET", "/readyz").status, 503);
  for (const std::string path : {"jobs", "dead/7/replay", "dead/replay"}) {
    const RawAnswer refused = Post("/v1/pools/studio/media/" + path, "{}");
    EXPECT_EQ(refused.status, 503) << path;
    EXPECT_EQ(TypeOf(refused), "queue-unavailable") << path;
    EXPECT_EQ(refused.Header("retry-after"), "5") << path;
  }
  EXPECT_EQ(Get(kJobPath).status, 200);
  EXPECT_EQ(Ask(port_, "DELETE", kJobPath, "", As("studio")).status, 200);
  EXPECT_EQ(Ask(port_, "POST", kJobs, "{}").status, 401) << "who is nobody is told nothing";
  server_->Stop();
  EXPECT_THAT(events.UntilEnd(), HasSubstr(": the gateway stops"));
}

TEST_F(HttpApiTest, StoppingEndsStreamsAndWaitsWithAnAnswer) {
  desk_.Put(Job(ViewState::kRunning, 4));
  RawStream events(port_, kJobPath + "/events", As("studio"));
  RawStream wait(port_, kJobPath, As("studio", {{"Prefer", "wait=60"}}));
  EXPECT_TRUE(Eventually([this] { return desk_.Watches() == 2; }));
  server_->Stop();
  EXPECT_THAT(events.UntilEnd(), HasSubstr(": the gateway stops"));
  EXPECT_THAT(wait.UntilEnd(), HasSubstr("HTTP/1.1 200"));
  EXPECT_EQ(desk_.Watches(), 0u);
  EXPECT_EQ(server_->InHand(), 0u);
}

TEST_F(HttpApiTest, WhatIsCountedIsByRouteStatusAndCause) {
  Get("/v1/jobs/report-7");
  Post(kJobs, "{}");
  std::string seen;
  for (const auto& family : metrics_.Collect()) {
    for (const auto& metric : family.metric) {
      seen += family.name;
      for (const auto& label : metric.label) seen += " " + label.name + "=" + label.value;
      seen += " " + std::to_string(static_cast<int>(metric.counter.value)) + "\n";
    }
  }
  EXPECT_THAT(seen, HasSubstr("lanekeeper_gateway_requests_total route=GET /v1/jobs/{id} "
                              "status=404 1\n"));
  EXPECT_THAT(seen, HasSubstr("lanekeeper_gateway_refusals_total cause=job-not-found 1\n"));
  EXPECT_THAT(seen, HasSubstr("lanekeeper_gateway_submits_total result=accepted 1\n"));
}

TEST_F(HttpApiTest, AnAddressThatIsTakenIsNamed) {
  const auto second = HttpServer::Start({.address = "127.0.0.1:" + std::to_string(port_)},
                                        {.gateway = gateway_,
                                         .desk = desk_,
                                         .pools = pools_,
                                         .authorizer = authorizer_,
                                         .metrics = metrics_});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::kInvalid);
  EXPECT_THAT(second.error().message, HasSubstr(std::to_string(port_)));
}

}  // namespace
}  // namespace lanekeeper::gateway
