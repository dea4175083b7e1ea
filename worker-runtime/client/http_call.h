// One HTTP request at a time per call, over connections that are kept: the only file that knows
// cpprestsdk. Any thread; what cpprestsdk throws becomes an Error.
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

struct HttpCallerOptions {
  std::string url;
  std::string token;
  std::string token_file;
  std::string ca_file;
  std::size_t answer_bytes_max = 16 * 1024 * 1024;
};

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

class HttpCaller {
 public:
  // kInvalid, naming the option.
  static Result<std::unique_ptr<HttpCaller>> Create(HttpCallerOptions options);
  ~HttpCaller();

  // kRetryable without an answer; kInvalid for one that is too large; kForbidden for a certificate
  // that is not trusted, or a token file that cannot be read.
  Result<HttpReply> Call(const HttpRequest& request, MonotonicTime deadline,
                         const std::stop_token& stop = {});

  // The bytes of an answer of status 200 as they come, until `take` returns false, nothing comes
  // for `silence_max`, or the answer or the time is over: the reply then has no body. Another
  // answer is returned whole.
  Result<HttpReply> Stream(const HttpRequest& request, MonotonicTime deadline,
                           std::chrono::milliseconds silence_max, const std::stop_token& stop,
                           const std::function<bool(std::string_view)>& take);

 private:
  class Impl;
  explicit HttpCaller(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

// Of one segment of a path: everything but letters, digits and "-._~" as %XX.
std::string EscapeSegment(std::string_view text);

}  // namespace lanekeeper::client
