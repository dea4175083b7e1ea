// What a request is answered that cannot be done: RFC 9457 problem details. Pure.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace lanekeeper::gateway {

// Stable: programs branch on them. NameOf is the last part of the problem's `type`, and the `cause`
// label of metrics.
enum class ProblemType {
  kInvalidRequest,      // 400 invalid-request: `detail` names the field and the remedy.
  kUnauthenticated,     // 401 unauthenticated
  kForbidden,           // 403 forbidden
  kPoolNotFound,        // 404 pool-not-found
  kLaneNotFound,        // 404 lane-not-found
  kJobNotFound,         // 404 job-not-found
  kDeadLetterNotFound,  // 404 dead-letter-not-found
  kWorkerNotFound,      // 404 worker-not-found
  kNoSuchPath,          // 404 no-such-path
  kMethodNotAllowed,    // 405 method-not-allowed
  kNotAcceptable,       // 406 not-acceptable
  kJobFinished,         // 409 job-finished: cannot be cancelled any more.
  kJobNotTracked,       // 409 job-not-tracked: the lane keeps no records, so it cannot be told.
  kPayloadTooLarge,     // 413 payload-too-large
  kUnsupportedMedia,    // 415 unsupported-media-type
  kKeyReused,           // 422 key-reused: the Idempotency-Key stands for another request.
  kLaneFull,            // 429 lane-full: the lane is at its maxDepth.
  kWaitTooLong,         // 429 wait-too-long: admission.maxWait.
  kCallerQuota,         // 429 caller-quota: admission.maxPerCaller.
  kTooManyRequests,     // 429 too-many-requests: this gateway has too much in hand.
  kQueueUnavailable,  // 503 queue-unavailable: NATS away, disk full. Nothing is known to be stored.
  kAuthUnavailable,   // 503 auth-unavailable: the API server could not be asked.
  kWorkerSilent,      // 504 worker-silent: it has not said that it does what it was asked.
};
std::string_view NameOf(ProblemType type);   // "lane-full"
int StatusOf(ProblemType type);              // 429
std::string_view TitleOf(ProblemType type);  // "The lane is full"

struct Problem {
  ProblemType type = ProblemType::kInvalidRequest;
  std::string detail;  // A sentence for people, with the remedy.
  // >= 1 where it is set; every 429, 503 and 504 has one.
  std::optional<std::chrono::seconds> retry_after;
  bool operator==(const Problem&) const = default;
};

template <typename T>
using Answer = tl::expected<T, Problem>;

inline tl::unexpected<Problem> Refuse(ProblemType type, std::string detail,
                                      std::optional<std::chrono::seconds> retry_after = {}) {
  return tl::unexpected(Problem{type, std::move(detail), retry_after});
}

// Called exactly once, on a thread of the NATS connection or before the call it was given to
// returns. Short, and never waits.
template <typename T>
using Then = std::function<void(Answer<T>)>;

}  // namespace lanekeeper::gateway
