// Each size of TransportLimits, reached by a raw client.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <deque>
#include <thread>

#include "worker-runtime/gateway/http_transport_testing.h"

namespace lanekeeper::gateway {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

TEST(HttpTransportLimitsTest, AHeaderThatIsTooLargeIsA431) {
  const TestServer server(Ok);
  const std::int64_t before = CountTransport().header_too_large;
  const std::string filler(TestLimits().header_bytes_max, 'x');
  for (const std::string& request :
       {Get("/", "X-Long: " + filler + "\r\n"), Get("/" + filler), "GET /" + filler + filler,
        // Neither of them alone.
        Get("/" + filler.substr(1024), "X-Long: " + filler.substr(1024) + "\r\n")}) {
    Client client(server.port());
    client.Send(request);
    const ClientAnswer answer = client.Answer();
    EXPECT_EQ(answer.status, 431);
    EXPECT_THAT(answer.body, HasSubstr("4096 bytes"));
    EXPECT_EQ(client.UntilEnd(), "");
  }
  EXPECT_EQ(CountTransport().header_too_large, before + 4);
}

TEST(HttpTransportLimitsTest, ManyShortHeadersInManyPiecesAreTooLargeTogether) {
  const TestServer server(Ok);
  Client client(server.port());
  ASSERT_TRUE(client.Send("GET / HTTP/1.1\r\nHost: test\r\n"));
  const std::string field = "X-Field: " + std::string(100, 'x') + "\r\n";
  for (std::size_t sent = 0; sent <= TestLimits().header_bytes_max; sent += field.size()) {
    if (!client.Send(field)) break;
    std::this_thread::sleep_for(milliseconds(1));
  }
  EXPECT_EQ(client.Answer().status, 431);
}

TEST(HttpTransportLimitsTest, ABodyThatIsTooLargeIsA413BeforeItIsSent) {
  const TestServer server(Ok);
  const std::int64_t before = CountTransport().body_too_large;
  const std::string length = std::to_string(TestLimits().body_bytes_max + 1);
  for (const char* expect : {"", "Expect: 100-continue\r\n"}) {
    Client client(server.port());
    ASSERT_TRUE(client.Send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: " + length + "\r\n" +
                            expect + "\r\n"));
    EXPECT_EQ(client.Answer().status, 413);
    EXPECT_EQ(client.UntilEnd(), "");
  }
  EXPECT_EQ(CountTransport().body_too_large, before + 2);
  Client client(server.port());
  ASSERT_TRUE(client.Send(Post("/", std::string(TestLimits().body_bytes_max, 'x'))));
  EXPECT_EQ(client.Answer().body, std::to_string(TestLimits().body_bytes_max));
}

TEST(HttpTransportLimitsTest, ChunksThatAreTooLargeTogetherAreA413) {
  const TestServer server(Ok);
  Client client(server.port());
  ASSERT_TRUE(client.Send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"));
  for (std::size_t sent = 0; sent <= TestLimits().body_bytes_max; sent += 4096) {
    if (!client.Send("1000\r\n" + std::string(4096, 'x') + "\r\n")) break;
  }
  EXPECT_EQ(client.Answer().status, 413);
}

TEST(HttpTransportLimitsTest, AChunkSizeThatDoesNotEndIsA400) {
  const TestServer server(Ok);
  Client client(server.port());
  ASSERT_TRUE(client.Send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n1;" +
                          std::string(2 * TestLimits().header_bytes_max, 'x')));
  EXPECT_EQ(client.Answer().status, 400);
}

TEST(HttpTransportLimitsTest, OneConnectionTooManyIsClosedAndOthersGoOn) {
  const TestServer server(Ok);
  ASSERT_TRUE(Eventually([] { return CountTransport().connections == 0; }));
  const std::int64_t before = CountTransport().connections_refused;
  std::deque<Client> clients;
  for (std::size_t n = 0; n < TestLimits().connections_max; ++n)
    clients.emplace_back(server.port());
  ASSERT_TRUE(clients.front().Send(Get("/")));
  ASSERT_TRUE(clients.back().Send(Get("/")));
  EXPECT_EQ(clients.front().Answer().status, 200);
  EXPECT_EQ(clients.back().Answer().status, 200);
  EXPECT_EQ(Client(server.port()).UntilEnd(), "");
  EXPECT_TRUE(Eventually([&] { return CountTransport().connections_refused == before + 1; }));
  clients.pop_front();
  EXPECT_TRUE(Eventually([&] {
    Client client(server.port());
    return client.Send(Get("/")) && client.Answer().status == 200;
  }));
}

TEST(HttpTransportLimitsTest, BodiesThatAreTooLargeTogetherAreA429) {
  const TestServer server(Ok);
  std::deque<Client> clients;
  const std::size_t size = TestLimits().body_bytes_max;
  // All but the last byte of each: they stay in hand.
  const std::string request = Post("/", std::string(size, 'x'));
  for (std::size_t n = 0; n <= TestLimits().all_bodies_bytes_max / size; ++n) {
    clients.emplace_back(server.port());
    ASSERT_TRUE(clients.back().Send(std::string_view(request).substr(0, request.size() - 1)));
  }
  // Which of them it is depends on whose bytes are read last.
  const auto is_answered = [](const Client& client) {
    pollfd ready{client.descriptor(), POLLIN, 0};
    return poll(&ready, 1, 0) == 1;
  };
  auto one = clients.end();
  ASSERT_TRUE(Eventually([&] {
    one = std::find_if(clients.begin(), clients.end(), is_answered);
    return one != clients.end();
  }));
  const ClientAnswer refused = one->Answer();
  EXPECT_EQ(refused.status, 429);
  EXPECT_THAT(refused.head, HasSubstr("Retry-After: 1"));
  for (Client& client : clients) {
    if (&client == &*one) continue;
    ASSERT_TRUE(client.Send("x"));
    EXPECT_EQ(client.Answer().status, 200);
  }
  Client after(server.port());
  ASSERT_TRUE(after.Send(request));
  EXPECT_EQ(after.Answer().status, 200);
}

}  // namespace
}  // namespace lanekeeper::gateway
