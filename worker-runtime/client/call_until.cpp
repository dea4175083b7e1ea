#include "worker-runtime/client/call_until.h"

#include <algorithm>
#include <random>
#include <thread>
#include <utility>

#include "worker-runtime/client/job_json.h"

namespace lanekeeper::client {
namespace {

using std::chrono::milliseconds;

MonotonicTime Now() { return std::chrono::steady_clock::now(); }

// A try timeout may mean "for ever".
MonotonicTime EndOfTry(const CallRules& rules) {
  const MonotonicTime now = Now();
  if (!rules.may_repeat || rules.deadline - now <= rules.try_timeout) return rules.deadline;
  return now + rules.try_timeout;
}

}  // namespace

ClientResult<HttpReply> CallUntil(HttpCaller& http, const HttpRequest& request,
                                  const CallRules& rules, int* tries) {
  for (int n = 1;; ++n) {
    if (tries != nullptr) *tries = n;
    auto reply = http.Call(request, EndOfTry(rules));
    if (reply && reply->status >= 200 && reply->status < 300) return *std::move(reply);
    ClientError error = reply ? ReadProblem(reply->status, reply->retry_after, reply->body)
                              : NoAnswer(reply.error());
    const bool busy = error.status == 429 && !rules.wait_when_busy;
    const bool may_pass = !busy && (reply || error.kind == ErrorKind::kRetryable);
    const auto left =
        std::max(milliseconds(0), std::chrono::duration_cast<milliseconds>(rules.deadline - Now()));
    const auto wait =
        DecideRetry(rules.retry, {.status = error.status, .retry_after = error.retry_after}, n,
                    left, RandomBits());
    if (!rules.may_repeat || !may_pass || !wait) {
      return tl::unexpected<ClientError>(std::move(error));
    }
    std::this_thread::sleep_for(*wait);
  }
}

ClientError NoAnswer(const Error& error) {
  return {
      .kind = error.kind, .message = error.message, .problem = {}, .status = 0, .retry_after = {}};
}

std::uint64_t RandomBits() {
  thread_local std::mt19937_64 engine{std::random_device{}()};
  return engine();
}

}  // namespace lanekeeper::client
