// One request, until its answer is final, it was sent often enough, or the time is over. Waits.
#pragma once

#include <chrono>
#include <cstdint>

#include "worker-runtime/base/time.h"
#include "worker-runtime/client/client.h"
#include "worker-runtime/client/http_call.h"
#include "worker-runtime/client/retry.h"

namespace lanekeeper::client {

struct CallRules {
  RetryPolicy retry;
  MonotonicTime deadline{};
  std::chrono::milliseconds try_timeout{10'000};  // Of one try.
  bool may_repeat = true;      // Else it is sent once, and that try may take all the time.
  bool wait_when_busy = true;  // Else a 429 is final.
};

// What is no success is an error. `tries`: how often it was sent; may be null.
ClientResult<HttpReply> CallUntil(HttpCaller& http, const HttpRequest& request,
                                  const CallRules& rules, int* tries = nullptr);

// Of one that no gateway answered.
ClientError NoAnswer(const Error& error);
// For DecideRetry.
std::uint64_t RandomBits();

}  // namespace lanekeeper::client
