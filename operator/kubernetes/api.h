// The API server, as the rest of this room sees it: a request goes in, an answer comes out.
// ApiClient is the real one; tests script their own.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "operator/kubernetes/requests.h"
#include "worker-runtime/base/result.h"

namespace lanekeeper::kubernetes {

// What the server said, whether it was yes or no.
struct Answer {
  int status = 0;  // HTTP status code.
  std::string body;
  std::optional<std::chrono::seconds> retry_after;  // With 429 and 503: not before that.
  bool operator==(const Answer&) const = default;
};

// The answer when its status is 2xx. Otherwise an error of the kind that says what to do, with the
// message of the server's Status object:
//   404 kNotFound · 400, 405, 413, 415, 422 and other 4xx kInvalid · 401, 403 kForbidden ·
//   409, 410, 429, 5xx, everything unexpected, and an object of another uid kRetryable
Result<Answer> Accepted(Answer answer);

struct CallOptions {
  std::chrono::milliseconds deadline{5000};  // For all of it, from connecting to the last byte.
  std::stop_token stop;                      // Ends the call early, with kRetryable.
};

// Called by any thread, by several at once. Errors of Exchange and Stream mean that there was no
// whole answer: kRetryable, or kForbidden when the connection cannot be trusted.
class Api {
 public:
  virtual ~Api() = default;

  virtual Result<Answer> Exchange(const Request& request, const CallOptions& options) = 0;

  // Hands over the lines of a watch as they come, until the server ends it (the answer then has
  // status 200 and no body), `on_line` returns false, nothing came for `silence_max`, or `stop`. An
  // answer other than 200 is returned as it is, without a line. Returns within 200 ms of a stop.
  using OnLine = std::function<bool(std::string_view line)>;
  virtual Result<Answer> Stream(const Request& request, std::chrono::milliseconds silence_max,
                                const OnLine& on_line, std::stop_token stop) = 0;

  // Exchange, with a "no" as an error: see Accepted.
  Result<Answer> Call(const Request& request, const CallOptions& options = {}) {
    Result<Answer> answer = Exchange(request, options);
    return answer ? Accepted(*std::move(answer)) : answer;
  }
};

}  // namespace lanekeeper::kubernetes
