// A plain HTTP server on loopback for tests: reads a request, then does to the connection whatever
// the test says, however rude.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "operator/kubernetes/kubeconfig.h"

namespace lanekeeper::kubernetes {

class CannedServer {
 public:
  // Runs on a thread of the connection once the head of a request has come; the connection is
  // closed when it returns. `request` counts from 0 over all connections.
  using Behaviour = std::function<void(int connection, int request)>;

  explicit CannedServer(Behaviour behaviour, bool ipv6 = false)
      : behaviour_(std::move(behaviour)), ipv6_(ipv6), listener_(Listen()) {
    acceptor_ = std::jthread([this](const std::stop_token& stop) { Accept(stop); });
  }
  ~CannedServer() {
    acceptor_.request_stop();
    acceptor_.join();
    stopping_ = true;
    connections_.clear();  // Joins.
    close(listener_);
  }

  KubeConfig Config() const {
    return {.scheme = "http", .host = ipv6_ ? "::1" : "127.0.0.1", .port = port_};
  }
  std::vector<std::string> heads() const {
    const std::lock_guard lock(mutex_);
    return heads_;
  }

  // For behaviours.
  static void Send(int connection, std::string_view bytes) {
    send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  static std::string Response(std::string_view status, std::string_view body,
                              std::string_view headers = "") {
    return "HTTP/1.1 " + std::string(status) +
           "\r\nContent-Length: " + std::to_string(body.size()) + "\r\nConnection: close\r\n" +
           std::string(headers) + "\r\n" + std::string(body);
  }
  static std::string ChunkedHead() {
    return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  }
  static std::string Chunk(std::string_view bytes) {
    char size[20];
    std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
    return size + std::string(bytes) + "\r\n";
  }
  // Until the client closes the connection or the server ends.
  void Hang(int connection) const {
    while (!HungUp(connection, std::chrono::milliseconds(20))) {
    }
  }
  // Whether the client has closed the connection within `time`, or the server ends.
  bool HungUp(int connection, std::chrono::milliseconds time) const {
    pollfd event{connection, POLLIN, 0};
    char byte;
    const bool closed =
        poll(&event, 1, static_cast<int>(time.count())) > 0 && recv(connection, &byte, 1, 0) <= 0;
    return closed || stopping_;
  }

 private:
  int Listen() {
    const int listener = socket(ipv6_ ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_addr = in6addr_loopback;
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* address = ipv6_ ? reinterpret_cast<sockaddr*>(&v6) : reinterpret_cast<sockaddr*>(&v4);
    socklen_t size = ipv6_ ? sizeof v6 : sizeof v4;
    if (bind(listener, address, size) != 0 || listen(listener, 16) != 0) return listener;
    getsockname(listener, address, &size);
    port_ = ntohs(ipv6_ ? v6.sin6_port : v4.sin_port);
    return listener;
  }
  void Accept(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      pollfd event{listener_, POLLIN, 0};
      if (poll(&event, 1, 20) <= 0) continue;
      const int connection = accept(listener_, nullptr, nullptr);
      if (connection >= 0) connections_.emplace_back([this, connection] { Serve(connection); });
    }
  }
  void Serve(int connection) {
    std::string head;
    char byte;
    while (head.find("\r\n\r\n") == std::string::npos && recv(connection, &byte, 1, 0) == 1) {
      head += byte;
    }
    int request;
    {
      const std::lock_guard lock(mutex_);
      request = static_cast<int>(heads_.size());
      heads_.push_back(head);
    }
    behaviour_(connection, request);
    close(connection);
  }

  const Behaviour behaviour_;
  const bool ipv6_;
  int port_ = 0;
  const int listener_;
  std::atomic<bool> stopping_{false};
  mutable std::mutex mutex_;
  std::vector<std::string> heads_;
  std::vector<std::jthread> connections_;
  std::jthread acceptor_;
};

}  // namespace lanekeeper::kubernetes
