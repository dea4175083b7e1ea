#include "worker-runtime/client/client.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "worker-runtime/base/testing/eventually.h"
#include "worker-runtime/client/testing/fake_gateway.h"

namespace lanekeeper {
namespace {

using client::FakeGateway;
using client::FakeRequest;
using client::HttpAnswerText;
using client::ProblemText;
using std::chrono::seconds;

const PoolName kPool{"studio", "media"};
constexpr seconds kLong{60};

std::unique_ptr<Client> MakeClient(const FakeGateway& gateway, ClientOptions options = {}) {
  options.url = gateway.Url();
  auto client = Client::Create(std::move(options));
  if (!client) throw std::runtime_error(client.error().message);
  return *std::move(client);
}

std::string Accepted(const std::string& id = "LK_studio_media_short.1.abcdefgh") {
  return HttpAnswerText(202, "application/json",
                        R"({"id":")" + id +
                            R"(","namespace":"studio","pool":"media","lane":"short","position":3,)"
                            R"("eta_seconds":2,"links":{"self":"/v1/jobs/x"}})");
}

std::string JobText(const std::string& state, int revision) {
  return R"({"id":"j","namespace":"studio","pool":"media","lane":"short","state":")" + state +
         R"(","revision":)" + std::to_string(revision) + R"(,"links":{"self":"/v1/jobs/j"}})";
}
std::string Job(const std::string& state, int revision = 1) {
  return HttpAnswerText(200, "application/json", JobText(state, revision));
}
std::string Events(const std::string& text) {
  return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n" + text;
}
std::string Event(const std::string& state, int revision) {
  return "event: job\nid: " + std::to_string(revision) + "\ndata: " + JobText(state, revision) +
         "\n\n";
}

TEST(ClientTest, ASubmitSaysWhereTheJobIs) {
  const FakeGateway gateway([](const FakeRequest&) { return Accepted("some.1.id"); });
  const auto job = MakeClient(gateway)->Submit(
      kPool, {.type = "thumbnail",
              .payload = std::string("\0\xff", 2),
              .timeout = seconds(90),
              .headers = {{"tenant", "acme"}},
              .traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"});
  ASSERT_TRUE(job) << job.error().message;
  EXPECT_EQ(job->id, "some.1.id");
  EXPECT_EQ(job->lane, "short");
  EXPECT_EQ(job->position, 3);
  EXPECT_EQ(job->eta, seconds(2));
  const FakeRequest sent = gateway.Requests().at(0);
  EXPECT_EQ(sent.method + " " + sent.path, "POST /v1/pools/studio/media/jobs");
  const auto body = nlohmann::json::parse(sent.body);
  EXPECT_EQ(body, nlohmann::json::parse(
                      R"({"type":"thumbnail","payload_base64":"AP8=","timeout":"1m30s",)"
                      R"("headers":{"tenant":"acme"}})"));
  EXPECT_EQ(sent.headers.at("traceparent"),
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
}

TEST(ClientTest, ASubmitWhoseAnswerWasLostIsSentAgainUnderTheSameKey) {
  std::atomic<int> tries{0};
  const FakeGateway gateway(
      [&](const FakeRequest&) { return ++tries < 3 ? std::string() : Accepted(); });
  const auto job = MakeClient(gateway)->Submit(kPool, {});
  ASSERT_TRUE(job) << job.error().message;
  const auto sent = gateway.Requests();
  ASSERT_EQ(sent.size(), 3U);
  EXPECT_EQ(sent[0].headers.at("idempotency-key").size(), 28U);  // 26 and the quotes.
  EXPECT_EQ(sent[0].headers.at("idempotency-key"), sent[1].headers.at("idempotency-key"));
  EXPECT_EQ(sent[0].headers.at("idempotency-key"), sent[2].headers.at("idempotency-key"));
  EXPECT_EQ(sent[0].body, sent[2].body);
}

TEST(ClientTest, TwoSubmitsHaveTwoKeys) {
  const FakeGateway gateway([](const FakeRequest&) { return Accepted(); });
  const auto client = MakeClient(gateway);
  ASSERT_TRUE(client->Submit(kPool, {}));
  ASSERT_TRUE(client->Submit(kPool, {}));
  const auto sent = gateway.Requests();
  EXPECT_NE(sent.at(0).headers.at("idempotency-key"), sent.at(1).headers.at("idempotency-key"));
}

TEST(ClientTest, TheCallersKeyIsSentAsAStructuredString) {
  const FakeGateway gateway([](const FakeRequest&) { return Accepted(); });
  ASSERT_TRUE(MakeClient(gateway)->Submit(kPool, {.idempotency_key = R"(a "b" \c)"}));
  EXPECT_EQ(gateway.Requests().at(0).headers.at("idempotency-key"), R"("a \"b\" \\c")");
}

TEST(ClientTest, WithoutRetriesNoKeyIsMade) {
  const FakeGateway gateway([](const FakeRequest&) { return Accepted(); });
  ASSERT_TRUE(MakeClient(gateway, {.retries = 0})->Submit(kPool, {}));
  EXPECT_FALSE(gateway.Requests().at(0).headers.contains("idempotency-key"));
}

TEST(ClientTest, AFullLaneIsTriedAgainWhenItSaysSo) {
  std::atomic<int> tries{0};
  const FakeGateway gateway([&](const FakeRequest&) {
    return ++tries < 2 ? ProblemText(429, "lane-full", "Retry-After: 1\r\n") : Accepted();
  });
  const auto job = MakeClient(gateway)->Submit(kPool, {});
  ASSERT_TRUE(job) << job.error().message;
  EXPECT_EQ(gateway.Requests().size(), 2U);
}

TEST(ClientTest, ARetryAfterBeyondTheDeadlineIsTheCallersToObey) {
  const FakeGateway gateway(
      [](const FakeRequest&) { return ProblemText(429, "lane-full", "Retry-After: 300\r\n"); });
  const auto job = MakeClient(gateway)->Submit(kPool, {});
  ASSERT_FALSE(job);
  EXPECT_EQ(job.error().kind, ErrorKind::kRetryable);
  EXPECT_EQ(job.error().problem, "lane-full");
  EXPECT_EQ(job.error().status, 429);
  EXPECT_EQ(job.error().retry_after, seconds(300));
  EXPECT_EQ(job.error().message, "submitting to studio/media: 429 lane-full: as the test wants it");
  EXPECT_EQ(gateway.Requests().size(), 1U);
}

TEST(ClientTest, AWrongRequestIsSentOnce) {
  const FakeGateway gateway([](const FakeRequest&) { return ProblemText(422, "key-reused"); });
  const auto job = MakeClient(gateway)->Submit(kPool, {.idempotency_key = "k"});
  ASSERT_FALSE(job);
  EXPECT_EQ(job.error().kind, ErrorKind::kInvalid);
  EXPECT_EQ(job.error().problem, "key-reused");
  EXPECT_EQ(gateway.Requests().size(), 1U);
}

TEST(ClientTest, WhatIsNotFoundOrForbiddenSaysSo) {
  const FakeGateway gateway([](const FakeRequest& request) {
    return request.path == "/v1/jobs/a%20b%2Fc" ? ProblemText(404, "job-not-found")
                                                : ProblemText(403, "forbidden");
  });
  const auto client = MakeClient(gateway);
  EXPECT_EQ(client->Get("a b/c").error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(client->Get("other").error().kind, ErrorKind::kForbidden);
}

TEST(ClientTest, AGatewayThatIsAwayIsRetryable) {
  std::string url;
  {
    const FakeGateway gone([](const FakeRequest&) { return std::string(); });
    url = gone.Url();
  }
  auto client = Client::Create({.url = url, .retries = 2});
  const auto job = (*client)->Submit(kPool, {});
  ASSERT_FALSE(job);
  EXPECT_EQ(job.error().kind, ErrorKind::kRetryable);
  EXPECT_EQ(job.error().status, 0);
  EXPECT_NE(job.error().message.find(url), std::string::npos) << job.error().message;
}

TEST(ClientTest, AnAnswerThatIsNoGatewaysIsAnError) {
  const FakeGateway gateway([](const FakeRequest& request) {
    return request.method == "POST" ? HttpAnswerText(200, "text/html", "<html>sign in</html>")
                                    : HttpAnswerText(502, "text/html", "<html>bad gateway</html>");
  });
  const auto client = MakeClient(gateway, {.retries = 1});
  EXPECT_NE(client->Submit(kPool, {}).error().message.find("sign in"), std::string::npos);
  const auto job = client->Get("j");
  EXPECT_EQ(job.error().status, 502);
  EXPECT_EQ(job.error().problem, "");
}

TEST(ClientTest, AnAnswerThatIsTooLargeIsNotKept) {
  const FakeGateway gateway([](const FakeRequest&) {
    return HttpAnswerText(200, "application/json", std::string(100'000, ' '));
  });
  const auto job = MakeClient(gateway, {.answer_bytes_max = 50'000})->Get("j");
  ASSERT_FALSE(job);
  EXPECT_EQ(job.error().kind, ErrorKind::kInvalid) << job.error().message;
}

TEST(ClientTest, ATokenFileIsReadAgainForEveryTry) {
  const std::string path =
      std::filesystem::temp_directory_path() / ("lk-token-" + std::to_string(getpid()));
  std::ofstream(path) << "first\n";
  std::atomic<int> tries{0};
  const FakeGateway gateway([&](const FakeRequest&) {
    std::ofstream(path) << "second";
    return ++tries < 2 ? std::string() : Accepted();
  });
  ASSERT_TRUE(MakeClient(gateway, {.token_file = path})->Submit(kPool, {}));
  const auto sent = gateway.Requests();
  EXPECT_EQ(sent.at(0).headers.at("authorization"), "Bearer first");
  EXPECT_EQ(sent.at(1).headers.at("authorization"), "Bearer second");
  std::filesystem::remove(path);
  const auto job = MakeClient(gateway, {.token_file = path})->Submit(kPool, {});
  EXPECT_EQ(job.error().kind, ErrorKind::kForbidden) << job.error().message;
  EXPECT_EQ(gateway.Requests().size(), 2U);
}

TEST(ClientTest, WrongOptionsAreNamed) {
  const auto refused = [](ClientOptions options) {
    const auto client = Client::Create(std::move(options));
    return client ? std::string() : client.error().message;
  };
  EXPECT_NE(refused({.url = ""}).find("url"), std::string::npos);
  EXPECT_NE(refused({.url = "gateway:8080"}).find("url"), std::string::npos);
  EXPECT_NE(refused({.url = "ftp://gateway"}).find("url"), std::string::npos);
  EXPECT_NE(refused({.url = "http://g", .ca_file = "/none"}).find("ca_file"), std::string::npos);
  EXPECT_NE(refused({.url = "http://g", .token = "a", .token_file = "b"}).find("token"),
            std::string::npos);
  EXPECT_NE(refused({.url = "http://g", .retries = -1}).find("retries"), std::string::npos);
}

TEST(ClientTest, OfManyOnlyTheLinesThatMayPassAreSentAgain) {
  std::atomic<int> tries{0};
  const FakeGateway gateway([&](const FakeRequest&) {
    const std::string accepted =
        R"("status":202,"job":{"id":"id-)" + std::to_string(tries) + R"(","lane":"short"}})";
    if (++tries == 2)
      return HttpAnswerText(200, "application/x-ndjson", R"({"line":1,)" + accepted);
    return HttpAnswerText(
        200, "application/x-ndjson",
        R"({"line":1,)" + accepted + "\n" +
            R"({"line":2,"status":503,"problem":{"type":"x/queue-unavailable","detail":"away"}})" +
            "\n" +
            R"({"line":3,"status":400,"problem":{"type":"x/invalid-request","detail":"type"}})" +
            "\n");
  });
  const auto results = MakeClient(gateway)->SubmitMany(
      kPool, {{.type = "a"}, {.type = "b"}, {.type = "c d", .idempotency_key = "mine"}});
  ASSERT_EQ(results.size(), 3U);
  EXPECT_EQ(results[0]->id, "id-0");
  ASSERT_TRUE(results[1]) << results[1].error().message;
  EXPECT_EQ(results[1]->id, "id-1");
  EXPECT_EQ(results[2].error().problem, "invalid-request");
  const auto sent = gateway.Requests();
  ASSERT_EQ(sent.size(), 2U);
  EXPECT_EQ(sent[0].headers.at("content-type"), "application/x-ndjson");
  const std::string second_line = sent[0].body.substr(
      sent[0].body.find('\n') + 1, sent[1].body.size());  // The same line, with the same key.
  EXPECT_EQ(second_line, sent[1].body);
  EXPECT_NE(sent[0].body.find(R"("idempotency_key":"mine")"), std::string::npos);
}

TEST(ClientTest, OfManyLinesWithoutAnAnswerAreSentAgain) {
  std::atomic<int> tries{0};
  const FakeGateway gateway([&](const FakeRequest& request) {
    if (++tries == 1) return std::string();
    std::string lines;
    const auto count = std::count(request.body.begin(), request.body.end(), '\n');
    for (int line = 1; line <= count; ++line) {
      if (tries == 2 && line > 3) break;  // The answer ends in the middle.
      lines += R"({"line":)" + std::to_string(line) + R"(,"status":202,"job":{"id":"x"}})" + "\n";
    }
    return HttpAnswerText(200, "application/x-ndjson", lines);
  });
  const auto results = MakeClient(gateway)->SubmitMany(kPool, std::vector<NewJob>(10));
  for (const auto& result : results) EXPECT_TRUE(result) << result.error().message;
  EXPECT_EQ(gateway.Requests().size(), 3U);
}

TEST(ClientTest, AWaitEndsWithTheJob) {
  std::atomic<int> tries{0};
  const FakeGateway gateway([&](const FakeRequest&) {
    ++tries;
    return tries == 1 ? Job("running") : tries == 2 ? std::string() : Job("done", 7);
  });
  const auto job = MakeClient(gateway)->Wait("j", kLong);
  ASSERT_TRUE(job) << job.error().message;
  EXPECT_EQ(job->state, "done");
  EXPECT_EQ(job->revision, 7U);
  EXPECT_EQ(gateway.Requests().at(0).headers.at("prefer"), "wait=20");
}

// A wait that ends before its job, and says so. Again, because in so short a time a slow machine
// may hear nothing at all.
void ExpectNotEnded(const FakeGateway& gateway, std::chrono::milliseconds time,
                    const std::string& message) {
  const auto client = MakeClient(gateway);
  std::string said;
  EXPECT_TRUE(Eventually([&] {
    const auto job = client->Wait("j", time);
    if (job) return false;
    EXPECT_EQ(job.error().problem, kNotEnded);
    said = job.error().message;
    return said == message;
  })) << said;
}

TEST(ClientTest, AWaitThatIsTooShortSaysWhatTheJobDoes) {
  const FakeGateway gateway([](const FakeRequest&) { return Job("running"); });
  ExpectNotEnded(gateway, std::chrono::milliseconds(150), "waiting for job j: it is running");
}

TEST(ClientTest, AWaitShorterThanAnAnswerIsHeldBackStillSaysWhatTheJobDoes) {
  const FakeGateway gateway([](const FakeRequest& request) {
    return request.headers.at("prefer") == "wait=0" ? Job("waiting") : std::string();
  });
  ExpectNotEnded(gateway, std::chrono::milliseconds(300), "waiting for job j: it is waiting");
}

TEST(ClientTest, AWatchGoesOnAfterTheLastEventItSaw) {
  std::atomic<int> tries{0};
  const FakeGateway gateway([&](const FakeRequest&) {
    switch (++tries) {
      case 1:
        return Events("retry: 2000\n\n" + Event("running", 4) + ": heartbeat\n\n");
      case 2:
        return std::string();
      case 3:
        return ProblemText(503, "queue-unavailable");
      default:
        return Events(Event("running", 5) + Event("done", 6) +
                      "event: end\ndata: {\"state\":\"done\"}\n\n");
    }
  });
  std::vector<std::uint64_t> revisions;
  const auto job = MakeClient(gateway)->Watch("j", kLong, [&](const JobStatus& status) {
    revisions.push_back(status.revision);
    return true;
  });
  ASSERT_TRUE(job) << job.error().message;
  EXPECT_EQ(job->state, "done");
  EXPECT_EQ(revisions, (std::vector<std::uint64_t>{4, 5, 6}));
  const auto sent = gateway.Requests();
  ASSERT_EQ(sent.size(), 4U);
  EXPECT_FALSE(sent[0].headers.contains("last-event-id"));
  EXPECT_EQ(sent[3].headers.at("last-event-id"), "4");
}

TEST(ClientTest, AWatchWhoseJobEndedUnseenReadsIt) {
  const FakeGateway gateway([](const FakeRequest& request) {
    return request.path == "/v1/jobs/j" ? Job("cancelled")
                                        : Events("event: end\ndata: {\"state\":\"x\"}\n\n");
  });
  const auto job = MakeClient(gateway)->Watch("j", kLong, [](const JobStatus&) { return true; });
  ASSERT_TRUE(job) << job.error().message;
  EXPECT_EQ(job->state, "cancelled");
}

TEST(ClientTest, AWatchOfAnIdThatDoesNotSayItsPoolAsksThere) {
  const FakeGateway gateway([](const FakeRequest& request) {
    return request.path == "/v1/pools/studio/media/jobs/a%2Fb"
               ? Job("done")
               : Events("event: end\ndata: {\"state\":\"x\"}\n\n");
  });
  const auto job = MakeClient(gateway)->Watch({"studio", "media"}, "a/b", kLong,
                                              [](const JobStatus&) { return true; });
  ASSERT_TRUE(job) << job.error().message;
  EXPECT_EQ(job->state, "done");
  EXPECT_EQ(gateway.Requests().front().path, "/v1/pools/studio/media/jobs/a%2Fb/events");
}

TEST(ClientTest, AWatchEndsWhenItsCallerSaysSo) {
  const FakeGateway gateway([](const FakeRequest&) { return Events(Event("running", 1)); });
  const auto client = MakeClient(gateway);
  int calls = 0;
  const auto job = client->Watch("j", kLong, [&](const JobStatus&) { return ++calls > 9; });
  EXPECT_EQ(job.error().problem, kNotEnded);
  EXPECT_EQ(calls, 1);

  std::stop_source stop;
  const auto stopped = client->Watch(
      "j", kLong,
      [&](const JobStatus&) {
        stop.request_stop();
        return true;
      },
      stop.get_token());
  EXPECT_EQ(stopped.error().problem, kNotEnded);
}

TEST(ClientTest, AWatchOfAJobThatDoesNotExistEndsAtOnce) {
  const FakeGateway gateway([](const FakeRequest&) { return ProblemText(404, "job-not-found"); });
  const auto job = MakeClient(gateway)->Watch("j", kLong, [](const JobStatus&) { return true; });
  EXPECT_EQ(job.error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(gateway.Requests().size(), 1U);
}

TEST(ClientTest, ACancelWhoseAnswerWasLostSucceedsAllTheSame) {
  std::atomic<int> tries{0};
  const FakeGateway gateway([&](const FakeRequest& request) {
    if (request.method == "GET") return Job("cancelled");
    return ++tries == 1 ? std::string() : ProblemText(409, "job-finished");
  });
  const auto job = MakeClient(gateway)->Cancel("j");
  ASSERT_TRUE(job) << job.error().message;
  EXPECT_EQ(job->state, "cancelled");
}

TEST(ClientTest, ACancelOfAJobThatIsDoneIsRefused) {
  const FakeGateway gateway([](const FakeRequest& request) {
    return request.method == "GET" ? Job("done") : ProblemText(409, "job-finished");
  });
  const auto job = MakeClient(gateway)->Cancel("j");
  EXPECT_EQ(job.error().problem, "job-finished");
  EXPECT_EQ(job.error().kind, ErrorKind::kInvalid);
}

TEST(ClientTest, ManyThreadsShareOneClient) {
  const FakeGateway gateway([](const FakeRequest&) { return Accepted(); });
  const auto client = MakeClient(gateway);
  std::atomic<int> accepted{0};
  {
    std::vector<std::jthread> threads;
    for (int n = 0; n < 8; ++n) {
      threads.emplace_back([&] {
        for (int m = 0; m < 10; ++m) accepted += client->Submit(kPool, {}) ? 1 : 0;
      });
    }
  }
  EXPECT_EQ(accepted, 80);
}

}  // namespace
}  // namespace lanekeeper
