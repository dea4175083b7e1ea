#include "worker-runtime/gateway/testing/raw_http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstdlib>

namespace lanekeeper::gateway {
namespace {

// A socket with a timeout does not go on by itself when the process was stopped meanwhile.
ssize_t Receive(int socket, char* into, std::size_t size) {
  ssize_t got = 0;
  do {
    got = recv(socket, into, size, 0);
  } while (got < 0 && errno == EINTR);
  return got;
}

int Connect(int port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const timeval minute{60, 0};
  setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &minute, sizeof minute);
  if (connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    return socket;
  }
  close(socket);
  return -1;
}

void SendAll(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

std::string Unchunk(std::string_view bytes) {
  std::string body;
  while (true) {
    const std::size_t line = bytes.find("\r\n");
    if (line == std::string_view::npos) return body;
    const auto size = static_cast<std::size_t>(
        std::strtoul(std::string(bytes.substr(0, line)).c_str(), nullptr, 16));
    bytes.remove_prefix(line + 2);
    if (size == 0 || bytes.size() < size) return body;
    body.append(bytes.substr(0, size));
    bytes.remove_prefix(std::min(size + 2, bytes.size()));
  }
}

RawAnswer Parse(std::string_view bytes) {
  RawAnswer answer;
  const std::size_t end = bytes.find("\r\n\r\n");
  if (!bytes.starts_with("HTTP/1.1 ") || end == std::string_view::npos) return answer;
  answer.status = std::atoi(std::string(bytes.substr(9, 3)).c_str());
  std::string_view head = bytes.substr(0, end + 2);
  head.remove_prefix(head.find("\r\n") + 2);
  while (!head.empty()) {
    const std::size_t line = head.find("\r\n");
    const std::string_view header = head.substr(0, line);
    const std::size_t colon = header.find(": ");
    std::string name(header.substr(0, colon));
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (colon != std::string_view::npos) {
      answer.headers.emplace_back(std::move(name), header.substr(colon + 2));
    }
    head.remove_prefix(line + 2);
  }
  answer.body = bytes.substr(end + 4);
  if (answer.Header("transfer-encoding") == "chunked") answer.body = Unchunk(answer.body);
  return answer;
}

std::string Write(const std::string& method, const std::string& target, const std::string& body,
                  const RawHeaders& headers) {
  std::string bytes = method + " " + target + " HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n";
  for (const auto& [name, value] : headers) bytes += name + ": " + value + "\r\n";
  if (!body.empty()) bytes += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  return bytes + "\r\n" + body;
}

}  // namespace

std::string RawAnswer::Header(std::string_view name) const {
  for (const auto& [each, value] : headers) {
    if (each == name) return value;
  }
  return {};
}

RawAnswer AskRaw(int port, const std::string& bytes) {
  const int socket = Connect(port);
  if (socket < 0) return {};
  SendAll(socket, bytes);
  std::string answer;
  std::array<char, 65536> piece;
  while (true) {
    const ssize_t got = Receive(socket, piece.data(), piece.size());
    if (got <= 0) break;
    answer.append(piece.data(), static_cast<std::size_t>(got));
  }
  close(socket);
  return Parse(answer);
}

RawAnswer Ask(int port, const std::string& method, const std::string& target,
              const std::string& body, const RawHeaders& headers) {
  return AskRaw(port, Write(method, target, body, headers));
}

RawAnswer AskJson(int port, const std::string& method, const std::string& target,
                  const std::string& body, RawHeaders headers) {
  headers.emplace_back("Content-Type", "application/json");
  return Ask(port, method, target, body, headers);
}

RawStream::RawStream(int port, const std::string& target, const RawHeaders& headers)
    : socket_(Connect(port)) {
  SendAll(socket_, Write("GET", target, "", headers));
}

RawStream::~RawStream() { close(socket_); }

bool RawStream::Read() {
  std::array<char, 65536> piece;
  const ssize_t got = Receive(socket_, piece.data(), piece.size());
  if (got <= 0) return false;
  seen_.append(piece.data(), static_cast<std::size_t>(got));
  return true;
}

const std::string& RawStream::Until(std::string_view text) {
  while (seen_.find(text) == std::string::npos && Read()) {
  }
  return seen_;
}

const std::string& RawStream::UntilEnd() {
  while (Read()) {
  }
  return seen_;
}

int FreePort() {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  int port = 0;
  if (bind(socket, reinterpret_cast<const sockaddr*>(&address), size) == 0 &&
      getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) == 0) {
    port = ntohs(address.sin_port);
  }
  close(socket);
  return port;
}

}  // namespace lanekeeper::gateway
