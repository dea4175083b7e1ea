// The way to a gateway: a request goes out, an answer comes back. MakeHttpCaller's is plain HTTP,
// over connections that are kept; its file is the only one that knows cpprestsdk, and what that
// throws becomes an Error.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "worker-runtime/base/result.h"
#include "worker-runtime/base/time.h"

namespace lanekeeper::client {

struct HttpRequest {
  std::string method;
  std::string path;  // Escaped; below the path of the url.
  std::vector<std::pair<std::string, std::string>> headers;
  std::string content_type;  // Of the body; empty: no body.
  std::string body;
};

struct HttpReply {
  int status = 0;
  std::optional<std::chrono::seconds> retry_after;
  std::string body;
};

// Any thread, also several at once. Errors mean that no gateway answered: kRetryable without an
// answer; kInvalid for one that is too large; kForbidden for a certificate that is not trusted, or
// a token that cannot be read.
class HttpCaller {
 public:
  virtual ~HttpCaller() = default;

  virtual Result<HttpReply> Call(const HttpRequest& request, MonotonicTime deadline,
                                 const std::stop_token& stop) = 0;
  Result<HttpReply> Call(const HttpRequest& request, MonotonicTime deadline) {
    return Call(request, deadline, {});
  }

  // The bytes of an answer of status 200 as they come, until `take` returns false, nothing comes
  // for `silence_max`, or the answer or the time is over: the reply then has no body. Another
  // answer is returned whole.
  using Take = std::function<bool(std::string_view bytes)>;
  virtual Result<HttpReply> Stream(const HttpRequest& request, MonotonicTime deadline,
                                   std::chrono::milliseconds silence_max,
                                   const std::stop_token& stop, const Take& take) = 0;
};

struct HttpCallerOptions {
  std::string url;
  std::string token;
  std::string token_file;
  std::string ca_file;
  std::size_t answer_bytes_max = 16 * 1024 * 1024;
};

// kInvalid, naming the option. Does not connect.
Result<std::unique_ptr<HttpCaller>> MakeHttpCaller(HttpCallerOptions options);

}  // namespace lanekeeper::client
