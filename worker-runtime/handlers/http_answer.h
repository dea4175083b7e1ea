// What the worker and an HTTP handler say to each other, apart from the transport. Pure.
//
// HANDLERS.md is the contract.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "worker-runtime/base/clock.h"
#include "worker-runtime/job/job.h"
#include "worker-runtime/job/outcome.h"

namespace lanekeeper::handlers {

inline constexpr std::size_t kHttpHeadersMax = 64;  // Of the job's own.
inline constexpr std::size_t kHttpHeaderValueBytesMax = 8192;

// Lk-Job-Id, Lk-Job-Type, Lk-Job-Attempt, Lk-Job-Attempts, Lk-Job-Run, Lk-Job-Fence,
// Lk-Job-Timeout-Ms, traceparent, Content-Type (the job's, else application/octet-stream), and the
// job's own as Lk-Header-<name>: the first of a name, at most kHttpHeadersMax of them. A header
// that HTTP cannot carry, or with a value of more than kHttpHeaderValueBytesMax bytes, is left out.
Headers HttpHeadersOf(const Job& job);

struct HttpAnswer {
  int status = 0;
  std::string retry_after;  // The header; empty when there is none.
  std::string body;
};

// 2xx: Done with the body as result. 408, 409, 425, 429, 3xx, 5xx: Failed, with Retry-After
// (seconds or an HTTP date; `now` is for the latter). Any other: Rejected. The class is "http
// <status>"; the end of the body is the output.
Outcome OutcomeOfAnswer(const HttpAnswer& answer, WallTime now);

}  // namespace lanekeeper::handlers
