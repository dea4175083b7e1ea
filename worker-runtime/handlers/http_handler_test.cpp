#include "worker-runtime/handlers/http_handler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "worker-runtime/handlers/testing/fake_http_server.h"
#include "worker-runtime/handlers/testing/fake_job_context.h"
#include "worker-runtime/job/job_record.h"

namespace lanekeeper::handlers {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

class HttpHandlerTest : public testing::Test {
 protected:
  HttpHandlerTest() { std::signal(SIGPIPE, SIG_IGN); }

  Outcome Run(const std::string& payload = "payload",
              milliseconds start_deadline = std::chrono::minutes(5)) {
    const auto handler = MakeHttpHandler({.url = server_.Url(), .start_deadline = start_deadline});
    Job job({.payload = payload, .headers = {{"X-Tenant", "a"}}}, {.id = "j-1", .type = "t"},
            {.attempt = 2}, &context_);
    return (*handler)(job);
  }

  FakeHttpServer server_;
  FakeJobContext context_;
};

TEST_F(HttpHandlerTest, PostsThePayloadAndTakesTheAnswer) {
  server_.Start("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nresult");
  const std::string payload("\0bytes\xff", 7);
  EXPECT_EQ(Run(payload), Outcome(Done{"result"}));
  const std::string request = server_.LastRequest();
  EXPECT_THAT(request, testing::StartsWith("POST /jobs HTTP/1.1\r\n"));
  EXPECT_THAT(request, HasSubstr("\r\nLk-Job-Id:j-1\r\n"));
  EXPECT_THAT(request, HasSubstr("\r\nLk-Job-Attempt:2\r\n"));
  EXPECT_THAT(request, HasSubstr("\r\nLk-Header-X-Tenant:a\r\n"));
  EXPECT_THAT(request, HasSubstr("\r\nContent-Type:application/octet-stream\r\n"));
  EXPECT_THAT(request, testing::EndsWith("\r\n\r\n" + payload));
}

TEST_F(HttpHandlerTest, AnAnswerInChunksIsTakenWhole) {
  server_.Start(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nres\r\n3\r\nult\r\n0\r\n\r\n");
  EXPECT_EQ(Run(), Outcome(Done{"result"}));
}

TEST_F(HttpHandlerTest, RetryAfterIsHonoured) {
  server_.Start("HTTP/1.1 503 Busy\r\nretry-after: 7\r\nContent-Length: 4\r\n\r\nbusy");
  EXPECT_EQ(Run(),
            Outcome(Failed{"answered 503: busy", "http 503", {"busy"}, std::chrono::seconds(7)}));
}

TEST_F(HttpHandlerTest, ARedirectIsNotFollowed) {
  server_.Start("HTTP/1.1 303 See\r\nLocation: " + server_.Url() +
                "/other\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(Run(), Outcome(Failed{"answered 303", "http 303"}));
  EXPECT_EQ(server_.Requests(), 1);
}

TEST_F(HttpHandlerTest, OfAnAnswerThatIsTooLongOneByteTooMuchIsTaken) {
  server_.Start("HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + std::string(3000000, 'x'));
  const Outcome outcome = Run();
  const Done* done = std::get_if<Done>(&outcome);
  ASSERT_NE(done, nullptr);
  EXPECT_EQ(done->result.size(), kResultBytesMax + 1);
}

TEST_F(HttpHandlerTest, AConnectionThatEndsWithoutAnAnswerIsACrash) {
  for (const char* answer : {"", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"}) {
    server_.Start(answer);
    const Outcome outcome = Run();
    const Crashed* crashed = std::get_if<Crashed>(&outcome);
    ASSERT_NE(crashed, nullptr) << answer;
    EXPECT_EQ(crashed->error_class, "connection lost");
    EXPECT_THAT(crashed->why, HasSubstr(server_.Url()));
  }
}

TEST_F(HttpHandlerTest, WhatIsNoHttpIsAFailure) {
  server_.Start("220 mail.example.com ESMTP\r\n\r\n");
  const Outcome outcome = Run();
  const Failed* failed = std::get_if<Failed>(&outcome);
  ASSERT_NE(failed, nullptr);
  EXPECT_EQ(failed->error_class, "protocol");
}

TEST_F(HttpHandlerTest, ASidecarThatIsNotUpYetIsWaitedFor) {
  Outcome outcome;
  std::thread slot([&] { outcome = Run(); });
  std::this_thread::sleep_for(milliseconds(300));
  server_.Start("HTTP/1.1 204 No Content\r\n\r\n");
  slot.join();
  EXPECT_EQ(outcome, Outcome(Done{}));
}

TEST_F(HttpHandlerTest, ASidecarThatNeverComesUpFailsTheJobInTheEnd) {
  const Outcome outcome = Run("payload", milliseconds(300));
  const Failed* failed = std::get_if<Failed>(&outcome);
  ASSERT_NE(failed, nullptr);
  EXPECT_EQ(failed->error_class, "connection");
  EXPECT_THAT(failed->why, HasSubstr("connecting to " + server_.Url() + " for 300ms: "));
}

TEST_F(HttpHandlerTest, TheWaitForASidecarEndsWithTheJob) {
  context_.stop = true;
  EXPECT_EQ(Run(), Outcome(Interrupted{}));
}

TEST_F(HttpHandlerTest, ARequestEndsWithItsJob) {
  // Before the head of an answer, and in its body.
  for (const char* answer : {"", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"}) {
    context_.stop = false;
    server_.Start(answer, /*hold=*/true);
    Outcome outcome;
    std::thread slot([&] { outcome = Run(); });
    server_.AwaitRequest();
    context_.stop = true;
    server_.AwaitHangUp();
    slot.join();
    EXPECT_EQ(outcome, Outcome(Interrupted{})) << answer;
  }
}

TEST_F(HttpHandlerTest, ManyRequestsAtOnceAreStoppedEachOnItsOwn) {
  server_.Start("", /*hold=*/true);
  const Handler handler = MakeHttpHandler({.url = server_.Url()}).value();
  std::atomic<int> interrupted{0};
  std::vector<std::thread> slots;
  for (int n = 0; n < 8; ++n) {
    slots.emplace_back([&, n] {
      for (int jobs = 0; jobs < 5; ++jobs) {
        FakeJobContext context;
        std::thread stop([&context, n] {
          std::this_thread::sleep_for(milliseconds(5 * n));
          context.stop = true;
        });
        Job job({.payload = "p"}, {}, {}, &context);
        if (handler(job) == Outcome(Interrupted{})) ++interrupted;
        stop.join();
      }
    });
  }
  for (std::thread& slot : slots) slot.join();
  EXPECT_EQ(interrupted, 40);
}

TEST(MakeHttpHandlerTest, AnUrlThatCannotWorkIsRefusedWithTheRemedy) {
  const std::pair<const char*, const char*> rows[] = {
      {"https://127.0.0.1:8080/jobs", "https is not spoken here"},
      {"127.0.0.1:8080/jobs", "write http://HOST:PORT/PATH"},
      {"ftp://127.0.0.1/", "does not begin with http://"},
      {"http://", "write http://HOST:PORT/PATH"},
      {"http://a b/", "write http://HOST:PORT/PATH"},
  };
  for (const auto& [url, problem] : rows) {
    const auto handler = MakeHttpHandler({.url = url});
    ASSERT_FALSE(handler) << url;
    EXPECT_EQ(handler.error().kind, ErrorKind::kInvalid);
    EXPECT_THAT(handler.error().message, HasSubstr(problem));
    EXPECT_THAT(handler.error().message, HasSubstr(url));
  }
}

}  // namespace
}  // namespace lanekeeper::handlers
