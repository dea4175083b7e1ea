// Requests and answers: what goes through and how. Limits, deadlines, streams and TLS have files of
// their own.
#include "worker-runtime/gateway/http_transport.h"

#include <cpprest/producerconsumerstream.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <mutex>
#include <ostream>
#include <thread>
#include <vector>

#include "worker-runtime/gateway/http_transport_testing.h"
#include "worker-runtime/telemetry/telemetry_server.h"

namespace lanekeeper::gateway {

// Sizes are reached, times are not, however slow the machine is.
TransportLimits TestLimits() {
  constexpr std::chrono::seconds kNever{300};
  return {.header_bytes_max = 4096,
          .body_bytes_max = 64 * 1024,
          .connections_max = 40,
          .header_timeout = kNever,
          .body_timeout = kNever,
          .idle_timeout = kNever,
          .write_timeout = kNever,
          .stream_bytes_max = 128 * 1024,
          .all_bodies_bytes_max = 256 * 1024,
          .close_timeout = kNever};
}

namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using web::http::http_request;
using web::http::http_response;

// "POST /x?y: body"
void Echo(const http_request& request) {
  request.reply(
      200, request.method() + " " + request.relative_uri().to_string() + ": " + TakeBody(request),
      "text/plain");
}

TEST(HttpTransportTest, AnswersOneRequestAfterTheOtherOnOneConnection) {
  const TestServer server(Echo);
  Client client(server.port());
  for (int n = 0; n < 3; ++n) {
    ASSERT_TRUE(client.Send(Post("/jobs?n=" + std::to_string(n), "hello")));
    const ClientAnswer answer = client.Answer();
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, "POST /jobs?n=" + std::to_string(n) + ": hello");
    EXPECT_THAT(answer.head, HasSubstr("\r\nContent-Type: text/plain\r\n"));
    EXPECT_THAT(answer.head, HasSubstr("\r\nDate: "));
    EXPECT_THAT(answer.head, Not(HasSubstr("Connection:")));
  }
}

TEST(HttpTransportTest, PipelinedRequestsAreAnsweredInTheirOrder) {
  std::mutex mutex;
  std::vector<std::thread> answering;
  TestServer server([&](const http_request& request) {
    const std::lock_guard lock(mutex);
    if (answering.size() % 3 == 0) return Echo(request);
    answering.emplace_back([request] { Echo(request); });
  });
  Client client(server.port());
  std::string requests;
  constexpr int kRequests = 100;
  for (int n = 0; n < kRequests; ++n) requests += Post("/" + std::to_string(n), "x");
  ASSERT_TRUE(client.Send(requests));
  for (int n = 0; n < kRequests; ++n) {
    EXPECT_EQ(client.Answer().body, "POST /" + std::to_string(n) + ": x");
  }
  server.Close();
  for (std::thread& thread : answering) thread.join();
}

TEST(HttpTransportTest, ARequestIsTheSameInAnyPieces) {
  const TestServer server(Echo);
  Client client(server.port());
  const std::string request = Post("/pieces", "0123456789");
  for (std::size_t at = 1; at < request.size(); at += 7) {
    ASSERT_TRUE(client.Send(std::string_view(request).substr(0, at)));
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ASSERT_TRUE(client.Send(std::string_view(request).substr(at)));
    EXPECT_EQ(client.Answer().body, "POST /pieces: 0123456789") << at;
  }
}

TEST(HttpTransportTest, ChunksArePutTogetherAndTrailersForgotten) {
  std::atomic<bool> trailer{false};
  const TestServer server([&](const http_request& request) {
    if (request.headers().has("Authorization")) trailer = true;
    Echo(request);
  });
  Client client(server.port());
  const std::string request =
      "POST /c HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5;note=x\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\nAuthorization: Bearer x\r\n\r\n";
  for (std::size_t at = 1; at < request.size(); at += 5) {
    ASSERT_TRUE(client.Send(std::string_view(request).substr(0, at)));
    ASSERT_TRUE(client.Send(std::string_view(request).substr(at)));
    EXPECT_EQ(client.Answer().body, "POST /c: hello world") << at;
  }
  EXPECT_FALSE(trailer);
}

TEST(HttpTransportTest, WhatCpprestsdkOffersForBodiesWorks) {
  const TestServer server([](http_request request) {
    request.extract_string().then(
        [request](const std::string& body) { request.reply(200, "<" + body + ">"); });
  });
  Client client(server.port());
  ASSERT_TRUE(client.Send(Post("/", "text", "Content-Type: text/plain\r\n")));
  EXPECT_EQ(client.Answer().body, "<text>");
  ASSERT_TRUE(client.Send(Get("/")));
  EXPECT_EQ(client.Answer().body, "<>");
}

TEST(HttpTransportTest, TellsWhoAskedAndHow) {
  const TestServer server([](const http_request& request) {
    request.reply(200, request.remote_address() + " " + request.http_version().to_utf8string() +
                           " " + request.headers().find("x-twice")->second);
  });
  Client client(server.port());
  ASSERT_TRUE(client.Send(Get("/", "X-Twice: a\r\nx-twice: b\r\n")));
  EXPECT_EQ(client.Answer().body, "127.0.0.1 HTTP/1.1 a, b");
}

TEST(HttpTransportTest, AConnectionIsClosedWhenOneSideSaysSo) {
  const TestServer server([](const http_request& request) {
    http_response response(200);
    if (request.relative_uri().path() == "/close") response.headers().add("Connection", "close");
    request.reply(response);
  });
  Client asks(server.port());
  ASSERT_TRUE(asks.Send(Get("/", "Connection: close\r\n")));
  EXPECT_THAT(asks.UntilEnd(), AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("Connection: close")));
  Client is_told(server.port());
  ASSERT_TRUE(is_told.Send(Get("/close")));
  EXPECT_THAT(is_told.UntilEnd(), HasSubstr("Connection: close"));
}

TEST(HttpTransportTest, Http10IsClosedUnlessItAsksToStay) {
  const TestServer server(Echo);
  Client once(server.port());
  ASSERT_TRUE(once.Send("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_THAT(once.UntilEnd(), AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("GET /: ")));
  Client stays(server.port());
  for (int n = 0; n < 2; ++n) {
    ASSERT_TRUE(stays.Send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    EXPECT_THAT(stays.Answer().head, HasSubstr("Connection: keep-alive"));
  }
}

TEST(HttpTransportTest, HeadHasTheLengthAndNoBody) {
  const TestServer server(Echo);
  Client client(server.port());
  ASSERT_TRUE(client.Send("HEAD /h HTTP/1.1\r\nHost: test\r\n\r\n" + Get("/after")));
  EXPECT_THAT(client.Answer(false).head, HasSubstr("Content-Length: 9"));
  EXPECT_EQ(client.Answer().body, "GET /after: ");
}

TEST(HttpTransportTest, NoContentHasNoLength) {
  const TestServer server([](const http_request& request) { request.reply(204); });
  Client client(server.port());
  ASSERT_TRUE(client.Send(Get("/") + Get("/")));
  EXPECT_THAT(client.Answer(false).head, Not(HasSubstr("Content-Length")));
  EXPECT_EQ(client.Answer(false).status, 204);
}

TEST(HttpTransportTest, WhoExpectsToContinueIsAskedForTheBody) {
  const TestServer server(Echo);
  Client client(server.port());
  ASSERT_TRUE(client.Send(
      "POST /e HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"));
  EXPECT_EQ(client.Until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  ASSERT_TRUE(client.Send("body"));
  EXPECT_EQ(client.Answer().body, "POST /e: body");
}

TEST(HttpTransportTest, ALongAnswerArrivesWhole) {
  const std::string long_body(5'000'000, 'x');
  const TestServer server([&](const http_request& request) {
    if (request.relative_uri().path() == "/memory") {
      request.reply(200, long_body);
      return;
    }
    // Of unknown length, and not all there yet.
    concurrency::streams::producer_consumer_buffer<std::uint8_t> buffer;
    http_response response(200);
    response.set_body(buffer.create_istream());
    request.reply(response);
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(long_body.data());
    buffer.putn_nocopy(bytes, long_body.size()).wait();
    buffer.close(std::ios_base::out).wait();
  });
  for (const char* path : {"/memory", "/stream"}) {
    Client client(server.port());
    for (int n = 0; n < 2; ++n) {
      ASSERT_TRUE(client.Send(Get(path)));
      EXPECT_EQ(client.Answer().body.size(), long_body.size()) << path;
    }
  }
}

TEST(HttpTransportTest, AnAnswerMayComeFromAnyThreadAndTellsWhenItIsSent) {
  std::promise<void> sent;
  const TestServer server([&](const http_request& request) {
    std::thread([request, &sent] {
      request.reply(202, "later").then([&sent](const pplx::task<void>& reply) {
        reply.get();
        sent.set_value();
      });
    }).join();
  });
  Client client(server.port());
  ASSERT_TRUE(client.Send(Get("/")));
  EXPECT_EQ(client.Answer().status, 202);
  sent.get_future().get();
}

TEST(HttpTransportTest, ALineBreakInAHeaderOfAnAnswerEndsNothing) {
  const TestServer server([](const http_request& request) {
    http_response response(200);
    response.headers().add("X-Bad", "a\r\nX-Injected: b");
    response.headers().add("X-Good", "c");
    request.reply(response);
  });
  Client client(server.port());
  ASSERT_TRUE(client.Send(Get("/")));
  EXPECT_THAT(client.Answer().head, AllOf(Not(HasSubstr("X-Injected")), HasSubstr("X-Good: c")));
}

TEST(HttpTransportTest, AHandlerThatThrowsOrForgetsTheRequestIsA500) {
  const TestServer server([](const http_request& request) {
    if (request.relative_uri().path() == "/throw") throw std::runtime_error("no");
  });
  Client client(server.port());
  ASSERT_TRUE(client.Send(Get("/throw") + Get("/forget")));
  EXPECT_EQ(client.Answer().status, 500);
  const ClientAnswer forgotten = client.Answer();
  EXPECT_EQ(forgotten.status, 500);
  EXPECT_THAT(forgotten.body, HasSubstr("https://lanekeeper.dev/problems/internal-error"));
}

TEST(HttpTransportTest, TheLongestPathOfTheAddressGetsTheRequest) {
  const TestServer root([](const http_request& request) { request.reply(200, "root"); });
  const TestServer deep(root.port(), Echo, "/v1/deep", "http");
  Client client(root.port());
  ASSERT_TRUE(client.Send(Get("/v1/deep/a") + Get("/v1/deep?q") + Get("/v1/deeper") + Get("/")));
  EXPECT_EQ(client.Answer().body, "GET /a: ");
  EXPECT_THAT(client.Answer().body, HasSubstr("?q"));
  EXPECT_EQ(client.Answer().body, "root");
  EXPECT_EQ(client.Answer().body, "root");
}

TEST(HttpTransportTest, APathOfNobodyIsA404) {
  const TestServer server(Echo, "/v1");
  Client client(server.port());
  ASSERT_TRUE(client.Send(Get("/v2") + Get("/v1/x")));
  const ClientAnswer answer = client.Answer();
  EXPECT_EQ(answer.status, 404);
  EXPECT_THAT(answer.head, HasSubstr("Content-Type: application/problem+json"));
  EXPECT_THAT(answer.body, HasSubstr("https://lanekeeper.dev/problems/no-such-path"));
  EXPECT_EQ(client.Answer().status, 200);
}

TEST(HttpTransportTest, AHandlerIsToldThatItsClientHasGone) {
  for (const bool reset : {false, true}) {
    std::promise<void> gone;
    std::promise<http_request> asked;
    std::atomic<int> times{0};
    TestServer server([&](const http_request& request) {
      OnClientGone(request, [&] {
        if (++times == 1) gone.set_value();
      });
      asked.set_value(request);
    });
    auto client = std::make_unique<Client>(server.port());
    ASSERT_TRUE(client->Send(Get("/")));
    const http_request request = asked.get_future().get();
    if (reset) client->Reset();
    client.reset();
    gone.get_future().get();
    request.reply(200);
    EXPECT_TRUE(Eventually([] { return CountTransport().connections == 0; }));
    EXPECT_EQ(times, 1);
  }
}

TEST(HttpTransportTest, WhoAsksToBeToldTooLateIsToldStill) {
  std::promise<http_request> asked;
  std::promise<void> gone;
  const TestServer server([&](const http_request& request) {
    OnClientGone(request, [] {});
    asked.set_value(request);
  });
  std::optional<Client> client(server.port());
  ASSERT_TRUE(client->Send(Get("/")));
  const http_request request = asked.get_future().get();
  client->Reset();
  ASSERT_TRUE(Eventually([] { return CountTransport().connections == 0; }));
  OnClientGone(request, [&] { gone.set_value(); });
  gone.get_future().get();
  EXPECT_THROW(request.reply(200).get(), std::exception);
}

TEST(HttpTransportTest, AClientThatClosedItsSendingHalfStillGetsItsAnswer) {
  const TestServer server([](const http_request& request) {
    auto* const asked = new http_request(request);
    OnClientGone(request, [asked] {
      asked->reply(200, "still there");
      delete asked;
    });
  });
  Client client(server.port());
  ASSERT_TRUE(client.Send(Get("/")));
  client.HalfClose();
  EXPECT_THAT(client.UntilEnd(), HasSubstr("still there"));
}

TEST(HttpTransportTest, NobodyIsToldOfAClientThatWasAnswered) {
  std::atomic<int> times{0};
  const TestServer server([&](const http_request& request) {
    OnClientGone(request, [&] { ++times; });
    request.reply(200);
  });
  {
    Client client(server.port());
    ASSERT_TRUE(client.Send(Get("/")));
    EXPECT_EQ(client.Answer().status, 200);
  }
  ASSERT_TRUE(Eventually([] { return CountTransport().connections == 0; }));
  EXPECT_EQ(times, 0);
}

TEST(HttpTransportTest, AListenerThatClosesWaitsForTheAnswers) {
  std::promise<http_request> asked;
  TestServer server([&](const http_request& request) { asked.set_value(request); });
  Client busy(server.port());
  Client idle(server.port());
  ASSERT_TRUE(busy.Send(Get("/")));
  const http_request request = asked.get_future().get();
  auto closing = std::async(std::launch::async, [&] { server.Close(); });
  EXPECT_EQ(idle.UntilEnd(), "");
  request.reply(200, "answered");
  EXPECT_THAT(busy.UntilEnd(), HasSubstr("answered"));
  closing.get();
  EXPECT_FALSE(Client(server.port()).Connected());
}

TEST(HttpTransportTest, APortThatIsTakenIsAnErrorThatNamesIt) {
  const TestServer server(Echo);
  // 127.0.0.1 and 0.0.0.0 are two names of what only one can have.
  web::http::experimental::listener::http_listener second(
      "http://0.0.0.0:" + std::to_string(server.port()) + "/");
  try {
    second.open().get();
    ADD_FAILURE() << "opened";
  } catch (const std::exception& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr(":" + std::to_string(server.port())),
                                    HasSubstr("Address already in use")));
  }
}

TEST(HttpTransportTest, TheTransportStaysWhenTheLastListenerHasGone) {
  const int port = FreePort();
  for (int n = 0; n < 3; ++n) {
    const TestServer server(port, Echo, "", "http");
    Client client(port);
    ASSERT_TRUE(client.Send("GET / HTTP/1.1\r\n\r\n"));
    // cpprestsdk's own server would not mind.
    EXPECT_EQ(client.Answer().status, 400);
  }
  EXPECT_FALSE(InstallTransport({}));
}

class NoMetrics : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override { return {}; }
};

TEST(HttpTransportTest, ServesTheMetricsOfTheProcess) {
  const int port = FreePort();
  const auto server = telemetry::TelemetryServer::Start(
      {.address = "127.0.0.1", .port = port, .metrics = std::make_shared<NoMetrics>()});
  ASSERT_TRUE(server) << server.error().message;
  const auto taken = telemetry::TelemetryServer::Start(
      {.address = "0.0.0.0", .port = port, .metrics = std::make_shared<NoMetrics>()});
  ASSERT_FALSE(taken);
  EXPECT_THAT(taken.error().message, HasSubstr("in use"));
  Client client(port);
  ASSERT_TRUE(client.Send(Get("/healthz") + Get("/metrics") + Post("/readyz", "")));
  EXPECT_EQ(client.Answer().body, "ok\n");
  EXPECT_EQ(client.Answer().status, 200);
  EXPECT_EQ(client.Answer().status, 405);
}

struct BadRequest {
  const char* name;  // The claim this row proves.
  std::string bytes;
  int status = 400;
  bool closes = true;  // Nobody knows where the next request begins.
};
void PrintTo(const BadRequest& row, std::ostream* out) { *out << row.name; }

class BadRequestTest : public testing::TestWithParam<BadRequest> {};

TEST_P(BadRequestTest, IsRefusedWithAProblem) {
  std::atomic<int> handled{0};
  const TestServer server([&](const http_request& request) {
    ++handled;
    request.reply(200);
  });
  Client client(server.port());
  ASSERT_TRUE(client.Send(GetParam().bytes));
  const ClientAnswer answer = client.Answer();
  EXPECT_EQ(answer.status, GetParam().status);
  EXPECT_THAT(answer.head, HasSubstr("Content-Type: application/problem+json"));
  EXPECT_THAT(answer.body, HasSubstr("\"status\":" + std::to_string(GetParam().status)));
  if (GetParam().closes) {
    EXPECT_THAT(answer.head, HasSubstr("Connection: close"));
    EXPECT_EQ(client.UntilEnd(), "");
  }
  EXPECT_EQ(handled, 0);
}

std::string WithHeader(const std::string& header) {
  return "POST / HTTP/1.1\r\nHost: test\r\n" + header + "\r\n\r\n";
}

INSTANTIATE_TEST_SUITE_P(
    Rows, BadRequestTest,
    testing::Values(
        BadRequest{"NotHttp", "\x16\x03\x01 hello\r\n\r\n"},
        BadRequest{"NoVersion", "GET /\r\n\r\n"},
        BadRequest{"AnotherVersion", "GET / HTTP/2.0\r\nHost: test\r\n\r\n"},
        BadRequest{"ASpaceInTheTarget", "GET /a b HTTP/1.1\r\nHost: test\r\n\r\n"},
        BadRequest{"NoHost", "GET / HTTP/1.1\r\n\r\n"},
        BadRequest{"TwoHosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
        BadRequest{"ATargetThatIsNoUri", "GET /%zz[ HTTP/1.1\r\nHost: test\r\n\r\n", 400, false},
        BadRequest{"AHeaderWithoutAName", WithHeader(": x")},
        BadRequest{"ASpaceBeforeTheColon", WithHeader("Name : x")},
        BadRequest{"ANulInAHeader", WithHeader(std::string("Name: a\0b", 9))},
        BadRequest{"ALineThatEndsWithoutCr", "GET / HTTP/1.1\nHost: test\n\n\r\n\r\n"},
        BadRequest{"ALengthThatIsNoNumber", WithHeader("Content-Length: x")},
        BadRequest{"ANegativeLength", WithHeader("Content-Length: -1")},
        BadRequest{"TwoLengths", WithHeader("Content-Length: 1\r\nContent-Length: 2")},
        BadRequest{"LengthAndChunks",
                   WithHeader("Content-Length: 1\r\nTransfer-Encoding: chunked")},
        BadRequest{"ChunksAndLength",
                   WithHeader("Transfer-Encoding: chunked\r\nContent-Length: 1")},
        BadRequest{"AnotherEncoding", WithHeader("Transfer-Encoding: gzip")},
        BadRequest{"TwoEncodings", WithHeader("Transfer-Encoding: gzip, chunked")},
        BadRequest{"ChunkedTwice", WithHeader("Transfer-Encoding: chunked, chunked")},
        BadRequest{"ChunksInHttp10",
                   "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        BadRequest{"AChunkOfNoSize", WithHeader("Transfer-Encoding: chunked") + "x\r\nhello\r\n"},
        BadRequest{"AChunkThatIsLonger",
                   WithHeader("Transfer-Encoding: chunked") + "2\r\nhello\r\n0\r\n\r\n"},
        BadRequest{"Trace", "TRACE / HTTP/1.1\r\nHost: test\r\n\r\n", 405, false},
        BadRequest{"Connect", "CONNECT test:80 HTTP/1.1\r\nHost: test\r\n\r\n", 405, false}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace lanekeeper::gateway
