// Each time limit of TransportLimits, waited for: a program of its own, whose limits are short.
// Where they are not what is meant, a slow machine must not reach them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <string>
#include <thread>

#include "worker-runtime/gateway/http_transport_testing.h"

namespace lanekeeper::gateway {

TransportLimits TestLimits() {
  using std::chrono::milliseconds;
  return {.header_timeout = milliseconds(2000),
          .body_timeout = milliseconds(2000),
          .idle_timeout = milliseconds(5000),
          .write_timeout = milliseconds(2000),
          .stream_bytes_max = 128 * 1024,
          .close_timeout = milliseconds(1500)};
}

namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using web::http::http_request;

// Sends a byte now and then until there is an answer.
ClientAnswer AnswerWhileDripping(Client& client) {
  std::atomic<bool> answered{false};
  std::thread dripping([&] {
    while (!answered && client.Send("x")) std::this_thread::sleep_for(milliseconds(50));
  });
  ClientAnswer answer = client.Answer();
  answered = true;
  dripping.join();
  return answer;
}

TEST(HttpTransportDeadlinesTest, AHeaderByteByByteIsEnded) {
  const TestServer server(Ok);
  const std::int64_t before = CountTransport().timeouts;
  Client client(server.port());
  ASSERT_TRUE(client.Send("GET / HTTP/1.1\r\nHost: test\r\nX-Slow: "));
  const ClientAnswer answer = AnswerWhileDripping(client);
  EXPECT_EQ(answer.status, 408);
  EXPECT_THAT(answer.body, HasSubstr("the header of the request"));
  EXPECT_EQ(client.UntilEnd(), "");
  EXPECT_EQ(CountTransport().timeouts, before + 1);
}

TEST(HttpTransportDeadlinesTest, ABodyByteByByteIsEnded) {
  const TestServer server(Ok);
  Client client(server.port());
  ASSERT_TRUE(client.Send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 60000\r\n\r\n"));
  const ClientAnswer answer = AnswerWhileDripping(client);
  EXPECT_EQ(answer.status, 408);
  EXPECT_THAT(answer.body, HasSubstr("the body of the request"));
}

TEST(HttpTransportDeadlinesTest, AConnectionWithoutRequestsIsClosed) {
  const TestServer server(Ok);
  Client silent(server.port());
  Client asked_once(server.port());
  ASSERT_TRUE(asked_once.Send(Get("/")));
  EXPECT_EQ(asked_once.Answer().status, 200);
  EXPECT_EQ(silent.UntilEnd(), "");
  EXPECT_EQ(asked_once.UntilEnd(), "");
}

TEST(HttpTransportDeadlinesTest, AnAnswerThatIsSlowHasNoDeadline) {
  std::promise<http_request> asked;
  const TestServer server([&](const http_request& request) { asked.set_value(request); });
  Client client(server.port());
  ASSERT_TRUE(client.Send(Get("/")));
  const http_request request = asked.get_future().get();
  std::this_thread::sleep_for(TestLimits().idle_timeout + milliseconds(1000));
  request.reply(200);
  EXPECT_EQ(client.Answer().status, 200);
}

TEST(HttpTransportDeadlinesTest, AClientThatTakesNothingOfItsAnswerIsClosed) {
  const TestServer server(
      [](const http_request& request) { request.reply(200, std::string(50'000'000, 'x')); });
  const std::int64_t before = CountTransport().timeouts;
  Client client(server.port());
  ASSERT_TRUE(client.Send(Get("/")));
  EXPECT_TRUE(Eventually([&] { return CountTransport().timeouts == before + 1; }));
  EXPECT_LT(client.UntilEnd().size(), 50'000'000U);
}

TEST(HttpTransportDeadlinesTest, LastsLongerThanAnyDeadline) {
  Streams streams;
  const TestServer server(streams.Handler());
  Client client(server.port());
  ASSERT_TRUE(client.Send(Get("/events")));
  const std::shared_ptr<HttpStream> stream = streams.Next();
  std::this_thread::sleep_for(TestLimits().idle_timeout + std::chrono::seconds(1));
  EXPECT_TRUE(stream->Write("still\n"));
  EXPECT_THAT(client.Until("still\n"), HasSubstr("still"));
}

TEST(HttpTransportDeadlinesTest, AReaderThatTakesNothingIsClosed) {
  Streams streams;
  const TestServer server(streams.Handler());
  Client client(server.port());
  ASSERT_TRUE(client.Send(Get("/events")));
  const std::shared_ptr<HttpStream> stream = streams.Next();
  // As much as the kernel takes, and a little of what it does not.
  const std::string event(16'000, 'x');
  while (stream->Write(event)) std::this_thread::sleep_for(milliseconds(1));
  streams.gone.get_future().get();
  EXPECT_FALSE(stream->Open());
}

TEST(HttpTransportDeadlinesTest, WhoSpeaksNoTlsOrNothingIsClosed) {
  const TestServer server(Ok, "", "https");
  Client plain(server.port());
  ASSERT_TRUE(plain.Send(Get("/")));
  plain.UntilEnd();  // Perhaps an alert; an end in any case.
  Client silent(server.port());
  EXPECT_EQ(silent.UntilEnd(), "");
  EXPECT_TRUE(Eventually([] { return CountTransport().connections == 0; }));
}

TEST(HttpTransportDeadlinesTest, AListenerThatClosesDoesNotWaitForEver) {
  std::promise<http_request> asked;
  std::promise<void> gone;
  TestServer server([&](const http_request& request) {
    OnClientGone(request, [&] { gone.set_value(); });
    asked.set_value(request);
  });
  Client client(server.port());
  ASSERT_TRUE(client.Send(Get("/")));
  const http_request request = asked.get_future().get();
  server.Close();
  gone.get_future().get();
  EXPECT_EQ(client.UntilEnd(), "");
  EXPECT_THROW(request.reply(200).get(), std::exception);
}

TEST(HttpTransportDeadlinesTest, AListenerOfAnAddressClosesAndTheOtherGoesOn) {
  std::promise<http_request> asked;
  const TestServer root([](const http_request& request) { request.reply(200, "root"); });
  TestServer deep(
      root.port(), [&](const http_request& request) { asked.set_value(request); }, "/deep", "http");
  Client client(root.port());
  Client stuck(root.port());
  ASSERT_TRUE(stuck.Send(Get("/deep")));
  const http_request request = asked.get_future().get();
  ASSERT_TRUE(client.Send(Get("/1")));
  EXPECT_EQ(client.Answer().status, 200);
  deep.Close();
  ASSERT_TRUE(client.Send(Get("/deep")));
  EXPECT_EQ(client.Answer().body, "root");
}

}  // namespace
}  // namespace lanekeeper::gateway
