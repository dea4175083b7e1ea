#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "worker-runtime/gateway/http_transport_testing.h"

namespace lanekeeper::gateway {
namespace {

using testing::HasSubstr;
using testing::Not;
using web::http::http_request;

TEST(HttpStreamTest, WhatIsWrittenArrivesAndAnEndInGoodOrderKeepsTheConnection) {
  Streams streams;
  const TestServer server(streams.Handler());
  Client client(server.port());
  ASSERT_TRUE(client.Send(Get("/events")));
  std::shared_ptr<HttpStream> stream = streams.Next();
  const std::string head = client.Until("\r\n\r\n");
  EXPECT_THAT(head, HasSubstr("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(head, HasSubstr("Content-Type: text/event-stream"));
  EXPECT_THAT(head, HasSubstr("Transfer-Encoding: chunked"));
  EXPECT_TRUE(stream->Write("id: 1\n\n"));
  EXPECT_EQ(client.Until("\n\n\r\n"), "7\r\nid: 1\n\n\r\n");
  EXPECT_TRUE(stream->Write("id: 2\n\n"));
  EXPECT_TRUE(stream->Open());
  stream.reset();
  EXPECT_EQ(client.Until("0\r\n\r\n"), "7\r\nid: 2\n\n\r\n0\r\n\r\n");
  ASSERT_TRUE(client.Send(Get("/")));
  EXPECT_EQ(client.Answer().body, "other");
  EXPECT_EQ(streams.times_gone, 0);
}

TEST(HttpStreamTest, AWriterIsToldThatItsClientHasGone) {
  for (const bool reset : {false, true}) {
    Streams streams;
    const TestServer server(streams.Handler());
    auto client = std::make_unique<Client>(server.port());
    ASSERT_TRUE(client->Send(Get("/events")));
    const std::shared_ptr<HttpStream> stream = streams.Next();
    client->Until("\r\n\r\n");
    if (reset) client->Reset();
    client.reset();
    streams.gone.get_future().get();
    EXPECT_TRUE(Eventually([&] { return !stream->Open(); }));
    EXPECT_FALSE(stream->Write("nobody reads this"));
    EXPECT_TRUE(Eventually([] { return CountTransport().connections == 0; }));
    EXPECT_EQ(streams.times_gone, 1);
  }
}

TEST(HttpStreamTest, AReaderThatIsTooSlowIsClosed) {
  Streams streams;
  const TestServer server(streams.Handler());
  Client client(server.port());
  ASSERT_TRUE(client.Send(Get("/events")));
  const std::shared_ptr<HttpStream> stream = streams.Next();
  const std::string event(10'000, 'x');
  ASSERT_TRUE(Eventually([&] { return !stream->Write(event); }));
  EXPECT_FALSE(stream->Open());
  streams.gone.get_future().get();
  EXPECT_TRUE(Eventually([] { return CountTransport().connections == 0; }));
}

TEST(HttpStreamTest, WhatAClientSendsMeanwhileIsThrownAway) {
  Streams streams;
  const TestServer server(streams.Handler());
  Client client(server.port());
  ASSERT_TRUE(client.Send(Get("/events") + Get("/smuggled")));
  std::shared_ptr<HttpStream> stream = streams.Next();
  ASSERT_TRUE(client.Send(Get("/later")));
  EXPECT_TRUE(stream->Write("x"));
  EXPECT_THAT(client.Until("x\r\n"), HasSubstr("1\r\nx\r\n"));
  stream.reset();
  EXPECT_EQ(client.UntilEnd(), "0\r\n\r\n");
}

TEST(HttpStreamTest, AListenerThatClosesEndsItsStreamsInGoodOrder) {
  Streams streams;
  TestServer server(streams.Handler());
  Client client(server.port());
  ASSERT_TRUE(client.Send(Get("/events")));
  const std::shared_ptr<HttpStream> stream = streams.Next();
  EXPECT_TRUE(stream->Write("x"));
  EXPECT_THAT(client.Until("x\r\n"), HasSubstr("200 OK"));
  server.Close();
  EXPECT_EQ(client.UntilEnd(), "0\r\n\r\n");
  streams.gone.get_future().get();
  EXPECT_FALSE(stream->Write("y"));
}

TEST(HttpStreamTest, Http10GetsAPlainStreamThatEndsWithTheConnection) {
  Streams streams;
  const TestServer server(streams.Handler());
  Client client(server.port());
  ASSERT_TRUE(client.Send("GET /events HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
  std::shared_ptr<HttpStream> stream = streams.Next();
  EXPECT_THAT(client.Until("\r\n\r\n"), Not(HasSubstr("chunked")));
  EXPECT_TRUE(stream->Write("plain"));
  stream.reset();
  EXPECT_EQ(client.UntilEnd(), "plain");
}

TEST(HttpStreamTest, HeadGetsTheHeaderOnly) {
  Streams streams;
  const TestServer server(streams.Handler());
  Client client(server.port());
  ASSERT_TRUE(client.Send("HEAD /events HTTP/1.1\r\nHost: test\r\n\r\n" + Get("/")));
  EXPECT_EQ(streams.Next(), nullptr);
  EXPECT_THAT(client.Answer(false).head, HasSubstr("text/event-stream"));
  EXPECT_EQ(client.Answer().body, "other");
}

TEST(HttpStreamTest, ManyThreadsMayWrite) {
  Streams streams;
  const TestServer server(streams.Handler());
  Client client(server.port());
  ASSERT_TRUE(client.Send(Get("/events")));
  std::shared_ptr<HttpStream> stream = streams.Next();
  constexpr int kThreads = 4;
  constexpr int kWrites = 200;
  std::vector<std::thread> threads;
  for (int n = 0; n < kThreads; ++n) {
    threads.emplace_back([&] {
      for (int write = 0; write < kWrites; ++write) stream->Write("0123456789");
    });
  }
  for (std::thread& thread : threads) thread.join();
  stream.reset();
  EXPECT_EQ(client.Answer().body.size(), 10U * kThreads * kWrites);
}

}  // namespace
}  // namespace lanekeeper::gateway
