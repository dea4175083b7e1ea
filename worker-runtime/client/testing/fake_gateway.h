// A gateway of a test's own on a free port, of loopback unless told otherwise: what it answers is a
// function of the request, byte for byte.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace lanekeeper::client {

struct FakeRequest {
  std::string method;
  std::string path;
  std::map<std::string, std::string> headers;  // Names in small letters.
  std::string body;
};

class FakeGateway {
 public:
  // Bytes to send before the connection is closed; empty: it is closed without an answer. Called on
  // a thread a connection, one at a time.
  using Answer = std::function<std::string(const FakeRequest&)>;
  explicit FakeGateway(Answer answer);
  // Sends its answer itself, piece by piece; on a thread a connection, several at once.
  using Send = std::function<void(const std::string& bytes)>;
  using Serving = std::function<void(const FakeRequest& request, const Send& send)>;
  FakeGateway(Serving serving, const std::string& address);
  ~FakeGateway();
  FakeGateway(const FakeGateway&) = delete;

  std::string Url() const;
  int port() const { return port_; }
  std::vector<FakeRequest> Requests() const;

 private:
  void Accept();
  void Serve(int connection);

  Serving serving_;
  const std::string address_;
  int listener_;
  int port_;
  mutable std::mutex mutex_;
  std::vector<FakeRequest> requests_;
  std::vector<std::thread> connections_;
  std::thread acceptor_;  // The last: it uses the rest.
};

std::string HttpAnswerText(int status, const std::string& content_type, const std::string& body,
                           const std::string& more_headers = "");
// A problem of that name, e.g. "lane-full".
std::string ProblemText(int status, const std::string& name, const std::string& more_headers = "");

}  // namespace lanekeeper::client
