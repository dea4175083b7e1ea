#include "worker-runtime/telemetry/telemetry_server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/counter.h>
#include <prometheus/registry.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "worker-runtime/base/testing/held_port.h"

namespace lanekeeper::telemetry {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// The whole answer to one request, headers included.
std::string Ask(int port, const std::string& request_line) {
  const int socket_fd = socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in address = Loopback(port);
  if (connect(socket_fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    close(socket_fd);
    return "no connection";
  }
  const std::string request =
      request_line + " HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
  std::string answer;
  if (write(socket_fd, request.data(), request.size()) == static_cast<ssize_t>(request.size())) {
    char buffer[4096];
    for (ssize_t n = 0; (n = read(socket_fd, buffer, sizeof buffer)) > 0;) {
      answer.append(buffer, static_cast<std::size_t>(n));
    }
  }
  close(socket_fd);
  return answer;
}

TelemetryOptions Options(const HeldPort& port) {
  return {.address = "127.0.0.1",
          .port = port.number(),
          .metrics = std::make_shared<prometheus::Registry>()};
}

TEST(TelemetryServerTest, ServesMetricsOfTheRegistry) {
  const HeldPort port;
  TelemetryOptions options = Options(port);
  const auto registry = std::make_shared<prometheus::Registry>();
  options.metrics = registry;
  prometheus::BuildCounter()
      .Name("lanekeeper_test_total")
      .Help("Things.")
      .Register(*registry)
      .Add({{"lane", "short"}})
      .Increment(3);
  const auto server = TelemetryServer::Start(options);
  ASSERT_TRUE(server) << server.error().message;
  const std::string answer = Ask(options.port, "GET /metrics");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(answer, HasSubstr("Content-Type: text/plain; version=0.0.4"));
  EXPECT_THAT(answer, HasSubstr("# HELP lanekeeper_test_total Things."));
  EXPECT_THAT(answer, HasSubstr("lanekeeper_test_total{lane=\"short\"} 3"));
}

TEST(TelemetryServerTest, ServesMetricsThatAreTextAlready) {
  const HeldPort port;
  TelemetryOptions options = Options(port);
  options.metrics = nullptr;
  // Longer than any buffer on the way.
  options.metrics_text = [] { return std::string(2 << 20, '#') + "\nlanekeeper_last 1\n"; };
  const auto server = TelemetryServer::Start(options);
  ASSERT_TRUE(server) << server.error().message;
  const std::string answer = Ask(options.port, "GET /metrics");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(answer, HasSubstr("Content-Type: text/plain; version=0.0.4"));
  EXPECT_THAT(answer, HasSubstr("\nlanekeeper_last 1\n"));
}

TEST(TelemetryServerTest, HealthAndReadinessSayWhatTheCallbacksSay) {
  const HeldPort port;
  TelemetryOptions options = Options(port);
  std::atomic<bool> ok{false};
  options.healthy = [&] { return Health{ok, ok ? "fine" : "every slot is stuck"}; };
  options.ready = [&] { return Health{ok, ok ? "fetching" : "draining"}; };
  const auto server = TelemetryServer::Start(options);
  ASSERT_TRUE(server) << server.error().message;
  EXPECT_THAT(Ask(options.port, "GET /healthz"),
              AllOf(StartsWith("HTTP/1.1 500"), HasSubstr("every slot is stuck\n")));
  EXPECT_THAT(Ask(options.port, "GET /readyz"),
              AllOf(StartsWith("HTTP/1.1 503"), HasSubstr("draining\n")));
  ok = true;
  EXPECT_THAT(Ask(options.port, "GET /healthz"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Ask(options.port, "GET /readyz?verbose=1"),
              AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("fetching\n")));
}

TEST(TelemetryServerTest, ServesNothingElse) {
  const HeldPort port;
  const TelemetryOptions options = Options(port);
  const auto server = TelemetryServer::Start(options);
  ASSERT_TRUE(server) << server.error().message;
  EXPECT_THAT(Ask(options.port, "GET /"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(Ask(options.port, "GET /metrics/x"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(Ask(options.port, "POST /healthz"), StartsWith("HTTP/1.1 405"));
}

TEST(TelemetryServerTest, APortThatIsTakenIsAnErrorThatNamesIt) {
  const HeldPort port;
  const int taken_fd = socket(AF_INET, SOCK_STREAM, 0);
  const int yes = 1;
  setsockopt(taken_fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const sockaddr_in address = Loopback(port.number());
  ASSERT_EQ(bind(taken_fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(taken_fd, 1), 0);

  const auto server = TelemetryServer::Start(Options(port));
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().kind, ErrorKind::kInvalid);
  EXPECT_THAT(server.error().message,
              AllOf(HasSubstr("127.0.0.1:" + std::to_string(port.number())), HasSubstr("in use")));
  close(taken_fd);
  // The failure left nothing behind: the same port can be opened now.
  const auto again = TelemetryServer::Start(Options(port));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_THAT(Ask(port.number(), "GET /healthz"), StartsWith("HTTP/1.1 200"));
}

TEST(TelemetryServerTest, AnswersManyAtOnce) {
  const HeldPort port;
  const TelemetryOptions options = Options(port);
  auto server = TelemetryServer::Start(options);
  ASSERT_TRUE(server) << server.error().message;
  std::atomic<int> answered{0};
  std::vector<std::thread> clients;
  for (int n = 0; n < 8; ++n) {
    clients.emplace_back([&] {
      for (int request = 0; request < 20; ++request) {
        if (Ask(options.port, "GET /metrics").rfind("HTTP/1.1 200", 0) == 0) ++answered;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(answered, 160);
}

}  // namespace
}  // namespace lanekeeper::telemetry

// cpprestsdk leaves what it had still to do for a closed connection behind when the process ends.
extern "C" const char* __lsan_default_suppressions() { return "leak:libcpprest"; }
// An exception's reference count lives in libstdc++, where ThreadSanitizer does not see it.
extern "C" const char* __tsan_default_suppressions() { return "race:_ExceptionHolder"; }

int main(int argc, char** argv) {
  lanekeeper::telemetry::SizeThreadPool(2);
  lanekeeper::telemetry::SizeThreadPool(3);  // Refused, without harm.
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
