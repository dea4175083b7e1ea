#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <future>
#include <optional>

#include "worker-runtime/gateway/http_transport_channel.h"
#include "worker-runtime/gateway/http_transport_testing.h"

namespace lanekeeper::gateway {
namespace {

using testing::HasSubstr;
using web::http::http_request;

void EchoBody(const http_request& request) { request.reply(200, TakeBody(request)); }

TEST(HttpTransportTlsTest, AnswersOverTls) {
  const TestServer server(EchoBody, "", "https");
  Client client(server.port());
  ASSERT_TRUE(client.StartTls());
  for (const std::size_t size : {std::size_t{5}, std::size_t{60'000}}) {
    ASSERT_TRUE(client.Send(Post("/", std::string(size, 'x'))));
    EXPECT_EQ(client.Answer().body.size(), size);
  }
  ASSERT_TRUE(client.Send(Post("/", "one") + Post("/", "two", "Connection: close\r\n")));
  EXPECT_EQ(client.Answer().body, "one");
  EXPECT_EQ(client.Answer().body, "two");
  EXPECT_EQ(client.UntilEnd(), "");
}

TEST(HttpTransportTlsTest, ALongAnswerArrivesWhole) {
  const TestServer server(
      [](const http_request& request) { request.reply(200, std::string(3'000'000, 'x')); }, "",
      "https");
  Client client(server.port());
  ASSERT_TRUE(client.StartTls());
  ASSERT_TRUE(client.Send(Get("/")));
  EXPECT_EQ(client.Answer().body.size(), 3'000'000U);
}

TEST(HttpTransportTlsTest, StreamsAndTellsOfAClientThatHasGone) {
  std::promise<void> gone;
  std::promise<std::shared_ptr<HttpStream>> started;
  const TestServer server(
      [&](const http_request& request) {
        started.set_value(StartStream(request, 200, {}, [&] { gone.set_value(); }));
      },
      "", "https");
  std::optional<Client> client(server.port());
  ASSERT_TRUE(client->StartTls());
  ASSERT_TRUE(client->Send(Get("/")));
  const auto stream = started.get_future().get();
  EXPECT_TRUE(stream->Write("event"));
  EXPECT_THAT(client->Until("event\r\n"), HasSubstr("200 OK"));
  client.reset();
  gone.get_future().get();
}

TEST(HttpTransportTlsTest, Tls11IsRefused) {
  const TestServer server(EchoBody, "", "https");
  EXPECT_FALSE(Client(server.port()).StartTls(TLS1_1_VERSION));
  EXPECT_TRUE(Client(server.port()).StartTls(TLS1_2_VERSION));
}

TEST(HttpTransportTlsTest, ANewCertificateIsForNewConnections) {
  const TestServer server(EchoBody, "", "https");
  Client old(server.port());
  ASSERT_TRUE(old.StartTls());
  const std::string before = old.PeerName();
  const std::string renewed = before == "renewed" ? "renewed again" : "renewed";

  // Of no use: the former goes on.
  std::ofstream(CertificateFile()) << "not a certificate";
  std::this_thread::sleep_for(std::chrono::milliseconds(1200));
  Client meanwhile(server.port());
  ASSERT_TRUE(meanwhile.StartTls());
  EXPECT_EQ(meanwhile.PeerName(), before);

  WriteCertificate(renewed);
  EXPECT_TRUE(Eventually([&] {
    Client client(server.port());
    return client.StartTls() && client.PeerName() == renewed;
  }));
  ASSERT_TRUE(old.Send(Post("/", "still here")));
  EXPECT_EQ(old.Answer().body, "still here");
}

TEST(HttpTransportTlsTest, FilesThatCannotBeUsedAreErrorsThatNameThem) {
  const std::string certificate = CertificateFile().string();
  const auto absent = transport::TlsContext::Load({"/nowhere/tls.crt", "/nowhere/tls.key"});
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().kind, ErrorKind::kInvalid);
  EXPECT_THAT(absent.error().message, HasSubstr("/nowhere/tls.crt"));
  const auto swapped = transport::TlsContext::Load({certificate, certificate});
  ASSERT_FALSE(swapped);
  EXPECT_THAT(swapped.error().message, HasSubstr("key " + certificate));
}

}  // namespace
}  // namespace lanekeeper::gateway
