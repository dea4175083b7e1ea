// An HTTP server of one answer on a free port of loopback, byte for byte as a test wants it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace lanekeeper::handlers {

class FakeHttpServer {
 public:
  FakeHttpServer();
  ~FakeHttpServer();
  FakeHttpServer(const FakeHttpServer&) = delete;

  // Also before Start, when connections are refused.
  std::string Url() const;

  // Answers each request with these bytes and closes the connection; with `hold`, it leaves it open
  // until the client closes it. Again: the answer of the next requests.
  void Start(const std::string& answer, bool hold = false);

  // Until a request has come in since the last Start, and until its client has gone.
  void AwaitRequest();
  void AwaitHangUp();
  std::string LastRequest() const;
  int Requests() const;  // Since the last Start.

 private:
  void Accept();
  void Serve(int connection);

  int listener_;
  int port_;
  std::atomic<bool> ending_{false};
  std::thread acceptor_;
  std::vector<std::thread> connections_;  // Of the acceptor, until it has ended.

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::string answer_;
  bool hold_ = false;
  int requests_ = 0;
  int hang_ups_ = 0;
  std::string last_request_;
};

}  // namespace lanekeeper::handlers
