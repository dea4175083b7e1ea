#include "worker-runtime/handlers/testing/fake_http_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <string_view>

namespace lanekeeper::handlers {
namespace {

constexpr int kPollMs = 20;
constexpr std::chrono::seconds kPatience{60};

// The whole request is there: its head, and as many bytes as that announces.
bool IsWhole(const std::string& request) {
  const std::size_t head = request.find("\r\n\r\n");
  if (head == std::string::npos) return false;
  constexpr std::string_view kLength = "\r\nContent-Length:";
  const std::size_t length = request.find(kLength);
  if (length > head) return true;
  return request.size() >= head + 4 + std::strtoul(&request[length + kLength.size()], nullptr, 10);
}

bool IsReadable(int fd) {
  pollfd waiting{fd, POLLIN, 0};
  return poll(&waiting, 1, kPollMs) > 0;
}

}  // namespace

FakeHttpServer::FakeHttpServer() : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* name = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(bind(listener_, name, size), 0);
  EXPECT_EQ(getsockname(listener_, name, &size), 0);
  port_ = ntohs(address.sin_port);
}

FakeHttpServer::~FakeHttpServer() {
  ending_ = true;
  if (acceptor_.joinable()) acceptor_.join();
  for (std::thread& connection : connections_) connection.join();
  close(listener_);
}

std::string FakeHttpServer::Url() const {
  return "http://127.0.0.1:" + std::to_string(port_) + "/jobs";
}

void FakeHttpServer::Start(const std::string& answer, bool hold) {
  const std::lock_guard lock(mutex_);
  answer_ = answer;
  hold_ = hold;
  requests_ = hang_ups_ = 0;
  if (acceptor_.joinable()) return;
  EXPECT_EQ(listen(listener_, 64), 0);
  acceptor_ = std::thread([this] { Accept(); });
}

void FakeHttpServer::AwaitRequest() {
  std::unique_lock lock(mutex_);
  EXPECT_TRUE(changed_.wait_for(lock, kPatience, [this] { return requests_ > 0; }));
}

void FakeHttpServer::AwaitHangUp() {
  std::unique_lock lock(mutex_);
  EXPECT_TRUE(changed_.wait_for(lock, kPatience, [this] { return hang_ups_ > 0; }));
}

std::string FakeHttpServer::LastRequest() const {
  const std::lock_guard lock(mutex_);
  return last_request_;
}

int FakeHttpServer::Requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void FakeHttpServer::Accept() {
  while (!ending_) {
    if (!IsReadable(listener_)) continue;
    const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) continue;
    connections_.emplace_back([this, connection] { Serve(connection); });
  }
}

void FakeHttpServer::Serve(int connection) {
  std::array<char, 16384> buffer;
  std::string request;
  bool answered = false;
  while (!ending_) {
    if (!IsReadable(connection)) continue;
    const ssize_t got = read(connection, buffer.data(), buffer.size());
    if (got <= 0) break;
    request.append(buffer.data(), static_cast<std::size_t>(got));
    if (answered || !IsWhole(request)) continue;
    answered = true;
    std::unique_lock lock(mutex_);
    const std::string answer = answer_;
    const bool hold = hold_;
    ++requests_;
    last_request_ = request;
    changed_.notify_all();
    lock.unlock();
    for (std::string_view left = answer; !left.empty();) {
      const ssize_t written = send(connection, left.data(), left.size(), MSG_NOSIGNAL);
      if (written <= 0) break;
      left.remove_prefix(static_cast<std::size_t>(written));
    }
    if (!hold) break;
  }
  close(connection);
  const std::lock_guard lock(mutex_);
  ++hang_ups_;
  changed_.notify_all();
}

}  // namespace lanekeeper::handlers
