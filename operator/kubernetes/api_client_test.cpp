// The client against servers that misbehave. kubernetes_apiserver_test.cpp has one that behaves.
#include "operator/kubernetes/api_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "operator/kubernetes/canned_server.h"
#include "operator/kubernetes/token_program.h"
#include "worker-runtime/base/testing/eventually.h"

namespace lanekeeper::kubernetes {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

const Request kGet = GetRequest(kDeployments, {"studio", "media-short"});
const Request kPatch = MergePatchRequest(kDeployments, {"studio", "media-short"}, "{}");
const Request kWatch = WatchRequest(kDeployments, {.resource_version = "1"});

std::unique_ptr<ApiClient> Client(KubeConfig config, ApiClient::Options options = {}) {
  auto client = ApiClient::Create(std::move(config), options);
  EXPECT_TRUE(client) << client.error().message;
  return *std::move(client);
}

// Keeps the lines of a stream.
struct Lines {
  std::vector<std::string> lines;
  Api::OnLine Keep() {
    return [this](std::string_view line) {
      lines.emplace_back(line);
      return true;
    };
  }
};

TEST(ApiClient, SendsWhatTheRequestSays) {
  CannedServer server(
      [](int c, int) { CannedServer::Send(c, CannedServer::Response("200 OK", "{\"a\":1}")); });
  KubeConfig config = server.Config();
  config.path = "/prefix";
  config.token = "t0";
  const auto client = Client(config);
  const Result<Answer> answer = client->Call(kPatch);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(*answer, (Answer{200, "{\"a\":1}"}));
  const std::string head = server.heads().at(0);
  EXPECT_THAT(head, StartsWith("PATCH /prefix/apis/apps/v1/namespaces/studio/deployments/"
                               "media-short?fieldManager=lanekeeper HTTP/1.1\r\n"));
  EXPECT_THAT(head, AllOf(HasSubstr("Authorization:Bearer t0\r\n"),
                          HasSubstr("Content-Type:application/merge-patch+json\r\n"),
                          HasSubstr("Content-Length:2\r\n"),
                          HasSubstr("Host:127.0.0.1:" + std::to_string(config.port) + "\r\n")));
}

KubeConfig WithProgram(KubeConfig config, const TemporaryDirectory& directory) {
  config.exec = TokenProgram(directory, "eks");
  return config;
}

TEST(ApiClient, RefusedTokenOfAProgramIsAskedForOnceMore) {
  CannedServer server([](int c, int request) {
    CannedServer::Send(c,
                       CannedServer::Response(request == 1 ? "401 Unauthorized" : "200 OK", "{}"));
  });
  const TemporaryDirectory directory;
  const auto client = Client(WithProgram(server.Config(), directory));
  EXPECT_TRUE(client->Call(kGet));
  EXPECT_EQ(*client->Token(), "t1");  // Which runs nothing.
  const Result<Answer> answer = client->Call(kGet);
  ASSERT_TRUE(answer) << answer.error().message;
  ASSERT_EQ(server.heads().size(), 3u);
  EXPECT_THAT(server.heads(), ElementsAre(HasSubstr("Bearer t1\r"), HasSubstr("Bearer t1\r"),
                                          HasSubstr("Bearer t2\r")));
}

TEST(ApiClient, TokenThatIsRefusedAgainIsTheAnswer) {
  CannedServer server(
      [](int c, int) { CannedServer::Send(c, CannedServer::Response("401 Unauthorized", "")); });
  const TemporaryDirectory directory;
  const auto client = Client(WithProgram(server.Config(), directory));
  EXPECT_EQ(client->Call(kGet).error().kind, ErrorKind::kForbidden);
  EXPECT_EQ(server.heads().size(), 2u);
  const auto no_line = [](std::string_view) { return true; };
  EXPECT_EQ(client->Stream(kWatch, seconds(60), no_line, {})->status, 401);
  EXPECT_EQ(server.heads().size(), 4u);
}

TEST(ApiClient, ProgramThatFailsIsTheCallsError) {
  CannedServer server(
      [](int c, int) { CannedServer::Send(c, CannedServer::Response("401 Unauthorized", "")); });
  const TemporaryDirectory directory;
  const auto client = Client(WithProgram(server.Config(), directory));
  directory.Write("broken", "7");
  const Error expected{ErrorKind::kForbidden,
                       "user eks: logging in with " + directory.path() + "/login: exit code 7"};
  EXPECT_EQ(client->Call(kGet).error(), expected);
  EXPECT_EQ(client->Token().error(), expected);
  EXPECT_EQ(client->Forward(kGet, {}).error(), expected);
  EXPECT_TRUE(server.heads().empty());
  std::filesystem::remove(directory.path() + "/broken");
  ASSERT_EQ(*client->Token(), "t1");
  directory.Write("broken", "7");
  EXPECT_EQ(client->Call(kGet).error(), expected);  // After the 401.
}

TEST(ApiClient, CertificateOfAProgramThatCannotBeReadIsForbidden) {
  CannedServer server([](int, int) {});
  const TemporaryDirectory directory;
  KubeConfig config = server.Config();
  config.exec = ExecLogin{.user = "u",
                          .api_version = "v",
                          .command = directory.WriteProgram(
                              "login",
                              "echo '{\"apiVersion\":\"v\",\"kind\":\"ExecCredential\",\"status\":"
                              "{\"clientCertificateData\":\"c\",\"clientKeyData\":\"k\"}}'\n"),
                          .asking = Asking::kNever};
  const Result<Answer> answer = Client(config)->Call(kGet);
  EXPECT_EQ(answer.error().kind, ErrorKind::kForbidden);
  EXPECT_THAT(answer.error().message, HasSubstr("client-certificate holds no certificate"));
}

TEST(ApiClient, ReachesAnIPv6Address) {
  CannedServer server(
      [](int c, int) { CannedServer::Send(c, CannedServer::Response("200 OK", "{}")); }, true);
  if (server.Config().port == 0) GTEST_SKIP() << "no IPv6 on this machine";
  const Result<Answer> answer = Client(server.Config())->Call(kGet);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_THAT(server.heads().at(0),
              HasSubstr("Host:[::1]:" + std::to_string(server.Config().port) + "\r\n"));
}

TEST(ApiClient, CountsRequestsAndWrites) {
  CannedServer server(
      [](int c, int) { CannedServer::Send(c, CannedServer::Response("200 OK", "{}")); });
  const auto client = Client(server.Config());
  EXPECT_TRUE(client->Call(kGet));
  EXPECT_TRUE(client->Call(kPatch));
  EXPECT_EQ(client->requests(), 2u);
  EXPECT_EQ(client->writes(), 1u);
}

TEST(ApiClient, NobodyListeningIsRetryable) {
  const auto client = Client({.scheme = "http", .host = "127.0.0.1", .port = 1});
  const Result<Answer> answer = client->Call(kGet);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::kRetryable);
  EXPECT_THAT(answer.error().message, StartsWith("talking to 127.0.0.1:1: "));
}

TEST(ApiClient, UnknownHostIsRetryable) {
  const auto client = Client({.scheme = "http", .host = "nowhere.invalid", .port = 1});
  EXPECT_EQ(client->Call(kGet, {.deadline = seconds(2)}).error().kind, ErrorKind::kRetryable);
}

struct RudeCase {
  const char* name;
  void (*behaviour)(int connection);
};
void PrintTo(const RudeCase& row, std::ostream* out) { *out << row.name; }

class RudeServerTest : public testing::TestWithParam<RudeCase> {};

TEST_P(RudeServerTest, IsRetryableForCallsAndWatches) {
  CannedServer server([](int c, int) { GetParam().behaviour(c); });
  const auto client = Client(server.Config(), {.answer_bytes_max = 100'000});
  const Result<Answer> answer = client->Call(kGet, {.deadline = seconds(2)});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::kRetryable) << answer.error().message;
  Lines lines;
  const Result<Answer> watch = client->Stream(kWatch, milliseconds(300), lines.Keep(), {});
  if (watch) {
    EXPECT_FALSE(Accepted(*watch) && !lines.lines.empty());
  }
}

INSTANTIATE_TEST_SUITE_P(
    Rows, RudeServerTest,
    testing::Values(
        RudeCase{"ClosesAtOnce", [](int) {}},
        RudeCase{"SpeaksNoHttp", [](int c) { CannedServer::Send(c, "SSH-2.0-OpenSSH\r\n\r\n"); }},
        RudeCase{"ClosesInTheHead", [](int c) { CannedServer::Send(c, "HTTP/1.1 200 OK\r\nCo"); }},
        RudeCase{"ClosesInTheBody",
                 [](int c) {
                   CannedServer::Send(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"a\"");
                 }},
        RudeCase{"ClosesInAChunk",
                 [](int c) { CannedServer::Send(c, CannedServer::ChunkedHead() + "ff\r\n{\"a"); }},
        RudeCase{
            "ChunkSizeIsNoNumber",
            [](int c) { CannedServer::Send(c, CannedServer::ChunkedHead() + "zz\r\nab\r\n"); }},
        RudeCase{"SendsTooMuch",
                 [](int c) {
                   CannedServer::Send(
                       c, CannedServer::Response("200 OK", std::string(1'000'000, 'x')));
                 }},
        RudeCase{
            "ServerError",
            [](int c) { CannedServer::Send(c, CannedServer::Response("500 Oops", "<html>")); }}),
    [](const auto& test) { return test.param.name; });

TEST(ApiClient, SilentServerEndsAtTheDeadline) {
  CannedServer server([&](int c, int) { server.Hang(c); });
  const auto client = Client(server.Config());
  const Result<Answer> answer = client->Call(kGet, {.deadline = milliseconds(200)});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error(), (Error{ErrorKind::kRetryable, "no answer within 200 ms"}));
}

TEST(ApiClient, DrippingServerEndsAtTheDeadlineToo) {
  CannedServer server([&](int c, int) {
    CannedServer::Send(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    while (!server.HungUp(c, milliseconds(10))) CannedServer::Send(c, "x");
  });
  const auto client = Client(server.Config());
  const Result<Answer> answer = client->Call(kGet, {.deadline = milliseconds(200)});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error(), (Error{ErrorKind::kRetryable, "no answer within 200 ms"}));
}

TEST(ApiClient, StopEndsACall) {
  CannedServer server([&](int c, int) { server.Hang(c); });
  const auto client = Client(server.Config());
  std::stop_source stop;
  std::jthread stopper([&] {
    std::this_thread::sleep_for(milliseconds(50));
    stop.request_stop();
  });
  const Result<Answer> answer =
      client->Call(kGet, {.deadline = seconds(60), .stop = stop.get_token()});
  EXPECT_EQ(answer.error().message, "stopped");
}

TEST(ApiClient, ServersPauseIsKeptWithoutAskingAgain) {
  CannedServer server([](int c, int request) {
    CannedServer::Send(
        c, CannedServer::Response("429 Too Many Requests", "{}",
                                  request == 0 ? "Retry-After: 1\r\n" : "Retry-After: 30\r\n"));
  });
  const auto client = Client(server.Config());
  const CallOptions options;
  EXPECT_EQ(client->Exchange(kGet, options)->retry_after, seconds(1));
  // It is asked again when the pause is over; the next pause is longer than the rest takes.
  EXPECT_TRUE(Eventually([&] {
    EXPECT_FALSE(client->Call(kGet));
    return server.heads().size() == 2;
  }));
  EXPECT_EQ(client->Exchange(kGet, options)->status, 429);
  const Error refused = client->Call(kPatch).error();
  EXPECT_EQ(refused.kind, ErrorKind::kRetryable);
  EXPECT_THAT(refused.message, StartsWith("429 the API server asked for a pause, retry after "));
  EXPECT_EQ(server.heads().size(), 2u);
  EXPECT_EQ(client->writes(), 0u);
}

TEST(ApiClient, RedirectIsNotFollowed) {
  CannedServer server([](int c, int) {
    CannedServer::Send(
        c, CannedServer::Response("302 Found", "", "Location: http://127.0.0.1:1/\r\n"));
  });
  EXPECT_THAT(Client(server.Config())->Call(kGet).error().message, StartsWith("302 "));
}

TEST(ApiClientStream, HandsOverLinesAsTheyCome) {
  CannedServer server([&](int c, int) {
    CannedServer::Send(c, CannedServer::ChunkedHead());
    for (const char* piece : {"{\"n\":1}\n{\"n\"", ":2}", "\n", "{\"n\":3}\n{\"half"}) {
      CannedServer::Send(c, CannedServer::Chunk(piece));
      std::this_thread::sleep_for(milliseconds(20));
    }
    CannedServer::Send(c, CannedServer::Chunk(""));
  });
  Lines lines;
  const Result<Answer> end = Client(server.Config())->Stream(kWatch, seconds(60), lines.Keep(), {});
  ASSERT_TRUE(end) << end.error().message;
  EXPECT_EQ(*end, (Answer{200, ""}));
  EXPECT_THAT(lines.lines, ElementsAre("{\"n\":1}", "{\"n\":2}", "{\"n\":3}"));
}

TEST(ApiClientStream, ManyLinesComeWhole) {
  constexpr int kLines = 20000;
  CannedServer server([&](int c, int) {
    CannedServer::Send(c, CannedServer::ChunkedHead());
    std::string piece;
    for (int i = 0; i < kLines; ++i) {
      piece += std::string(static_cast<std::size_t>(i % 300), 'x') + std::to_string(i) + "\n";
      if (i % 37 != 0) continue;
      CannedServer::Send(c, CannedServer::Chunk(piece));
      piece.clear();
    }
    CannedServer::Send(c, CannedServer::Chunk(piece) + CannedServer::Chunk(""));
  });
  int next = 0;
  const auto on_line = [&](std::string_view line) {
    EXPECT_EQ(line, std::string(static_cast<std::size_t>(next % 300), 'x') + std::to_string(next));
    return ++next, true;
  };
  EXPECT_TRUE(Client(server.Config())->Stream(kWatch, seconds(60), on_line, {}));
  EXPECT_EQ(next, kLines);
}

TEST(ApiClientStream, AnswerOtherThan200IsHandedBack) {
  CannedServer server([](int c, int) {
    CannedServer::Send(c, CannedServer::Response("410 Gone", "{\"message\":\"too old\"}"));
  });
  Lines lines;
  const Result<Answer> end = Client(server.Config())->Stream(kWatch, seconds(60), lines.Keep(), {});
  ASSERT_TRUE(end);
  EXPECT_EQ(*end, (Answer{410, "{\"message\":\"too old\"}"}));
}

TEST(ApiClientStream, SilenceEndsIt) {
  CannedServer server([&](int c, int) {
    CannedServer::Send(c, CannedServer::ChunkedHead() + CannedServer::Chunk("{}\n"));
    server.Hang(c);
  });
  Lines lines;
  // The line may itself take longer than that.
  ASSERT_TRUE(Eventually([&] {
    const Result<Answer> end =
        Client(server.Config())->Stream(kWatch, milliseconds(200), lines.Keep(), {});
    EXPECT_EQ(end.error(), (Error{ErrorKind::kRetryable, "no answer within 200 ms"}));
    return !lines.lines.empty();
  }));
  EXPECT_THAT(lines.lines, ElementsAre("{}"));
}

TEST(ApiClientStream, StopEndsIt) {
  CannedServer server([&](int c, int) {
    CannedServer::Send(c, CannedServer::ChunkedHead() + CannedServer::Chunk("{}\n"));
    server.Hang(c);
  });
  std::stop_source stop;
  std::jthread stopper([&] {
    std::this_thread::sleep_for(milliseconds(100));
    stop.request_stop();
  });
  Lines lines;
  const auto client = Client(server.Config());
  const Result<Answer> end = client->Stream(kWatch, seconds(600), lines.Keep(), stop.get_token());
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().message, "stopped");
}

TEST(ApiClientStream, ReaderMayEndIt) {
  CannedServer server([&](int c, int) {
    CannedServer::Send(c, CannedServer::ChunkedHead() + CannedServer::Chunk("a\nb\nc\n"));
    server.Hang(c);
  });
  int lines = 0;
  EXPECT_TRUE(Client(server.Config())
                  ->Stream(kWatch, seconds(60), [&](std::string_view) { return ++lines < 2; }, {}));
  EXPECT_EQ(lines, 2);
}

TEST(ApiClientStream, EndlessLineEndsIt) {
  CannedServer server([&](int c, int) {
    CannedServer::Send(c, CannedServer::ChunkedHead());
    for (int i = 0; i < 100; ++i)
      CannedServer::Send(c, CannedServer::Chunk(std::string(1000, 'x')));
    server.Hang(c);
  });
  Lines lines;
  const Result<Answer> end = Client(server.Config(), {.line_bytes_max = 10'000})
                                 ->Stream(kWatch, seconds(60), lines.Keep(), {});
  EXPECT_EQ(end.error(), (Error{ErrorKind::kRetryable, "a line is longer than 10000 bytes"}));
}

TEST(ApiClientCreate, UnusableCertificatesAreRefused) {
  const auto error_of = [](KubeConfig config) {
    const auto client = ApiClient::Create(std::move(config));
    return client ? Error{ErrorKind::kRetryable, "created"} : client.error();
  };
  EXPECT_EQ(error_of({.host = "h", .ca_pem = "junk"}),
            (Error{ErrorKind::kInvalid, "certificate-authority holds no certificate in PEM form"}));
  EXPECT_EQ(error_of({.host = "h", .client_certificate_pem = "junk", .client_key_pem = "junk"}),
            (Error{ErrorKind::kInvalid, "client-certificate holds no certificate in PEM form"}));
}

}  // namespace
}  // namespace lanekeeper::kubernetes
