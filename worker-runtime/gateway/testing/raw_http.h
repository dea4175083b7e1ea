// HTTP as bytes on a socket: what a test says is what is sent. For tests.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lanekeeper::gateway {

struct RawAnswer {
  int status = 0;  // 0: the connection ended without an answer.
  std::vector<std::pair<std::string, std::string>> headers;  // Names in lower case.
  std::string body;                                          // Chunks put together.
  std::string Header(std::string_view name) const;           // Empty: none.
};

using RawHeaders = std::vector<std::pair<std::string, std::string>>;

// One request on a connection of its own; waits at most a minute.
RawAnswer Ask(int port, const std::string& method, const std::string& target,
              const std::string& body = "", const RawHeaders& headers = {});
RawAnswer AskJson(int port, const std::string& method, const std::string& target,
                  const std::string& body, RawHeaders headers = {});
// The bytes as they are; the answer is what comes until the connection ends.
RawAnswer AskRaw(int port, const std::string& bytes);

// An answer that goes on: server-sent events.
class RawStream {
 public:
  RawStream(int port, const std::string& target, const RawHeaders& headers = {});
  ~RawStream();
  RawStream(const RawStream&) = delete;
  RawStream& operator=(const RawStream&) = delete;

  // What came so far, once `text` is in it; waits at most a minute, then without it.
  const std::string& Until(std::string_view text);
  // All, once the server has ended it.
  const std::string& UntilEnd();

 private:
  bool Read();  // False: ended.

  int socket_ = -1;
  std::string seen_;
};

// A port of 127.0.0.1 that was free a moment ago.
int FreePort();

}  // namespace lanekeeper::gateway
