#include "worker-runtime/client/testing/fake_gateway.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <sstream>
#include <stdexcept>

namespace lanekeeper::client {
namespace {

// Nothing when the connection ended before the request did.
bool ReadRequest(int connection, FakeRequest& request) {
  std::string text;
  std::size_t head_end = std::string::npos;
  std::size_t whole = std::string::npos;
  std::array<char, 16384> block{};
  while (text.size() < whole) {
    const ssize_t size = recv(connection, block.data(), block.size(), 0);
    if (size <= 0) return false;
    text.append(block.data(), static_cast<std::size_t>(size));
    if (head_end == std::string::npos) {
      head_end = text.find("\r\n\r\n");
      if (head_end == std::string::npos) continue;
      std::istringstream head(text.substr(0, head_end + 2));
      std::string line;
      std::getline(head, line);
      std::istringstream(line) >> request.method >> request.path;
      while (std::getline(head, line)) {
        const std::size_t colon = line.find(':');
        if (colon == std::string::npos) continue;
        std::string name = line.substr(0, colon);
        std::transform(name.begin(), name.end(), name.begin(), [](unsigned char letter) {
          return static_cast<char>(std::tolower(letter));
        });
        const std::size_t begin = std::min(line.find_first_not_of(' ', colon + 1), line.size());
        request.headers[name] = line.substr(begin, line.find_last_not_of('\r') + 1 - begin);
      }
      whole = head_end + 4 + std::strtoul(request.headers["content-length"].c_str(), nullptr, 10);
    }
  }
  request.body = text.substr(head_end + 4);
  return true;
}

}  // namespace

FakeGateway::FakeGateway(Answer answer)
    : FakeGateway(
          [this, answer = std::move(answer)](const FakeRequest& request, const Send& send) {
            const std::lock_guard lock(mutex_);
            send(answer(request));
          },
          "127.0.0.1") {}

FakeGateway::FakeGateway(Serving serving, const std::string& host)
    : serving_(std::move(serving)),
      address_(host),
      listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = inet_addr(address_.c_str());
  socklen_t size = sizeof(address);
  if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(listener_, 64) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("no port for the fake gateway");
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { Accept(); });
}

FakeGateway::~FakeGateway() {
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  for (std::thread& connection : connections_) connection.join();
  close(listener_);
}

std::string FakeGateway::Url() const { return "http://" + address_ + ":" + std::to_string(port_); }

std::vector<FakeRequest> FakeGateway::Requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void FakeGateway::Accept() {
  while (true) {
    const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) return;
    connections_.emplace_back([this, connection] { Serve(connection); });
  }
}

void FakeGateway::Serve(int connection) {
  FakeRequest request;
  if (ReadRequest(connection, request)) {
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    serving_(request, [connection](const std::string& bytes) {
      send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    });
  }
  shutdown(connection, SHUT_WR);
  std::array<char, 1024> rest{};
  while (recv(connection, rest.data(), rest.size(), 0) > 0) {
  }
  close(connection);
}

std::string HttpAnswerText(int status, const std::string& content_type, const std::string& body,
                           const std::string& more_headers) {
  return "HTTP/1.1 " + std::to_string(status) + " Said\r\nContent-Type: " + content_type +
         "\r\nContent-Length: " + std::to_string(body.size()) + "\r\nConnection: close\r\n" +
         more_headers + "\r\n" + body;
}

std::string ProblemText(int status, const std::string& name, const std::string& more_headers) {
  return HttpAnswerText(status, "application/problem+json",
                        R"({"type":"https://lanekeeper.dev/problems/)" + name +
                            R"(","title":"T","status":)" + std::to_string(status) +
                            R"(,"detail":"as the test wants it"})",
                        more_headers);
}

}  // namespace lanekeeper::client
