// DecideRetry: whether a request is sent once more. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "worker-runtime/base/backoff.h"

namespace lanekeeper::client {

struct RetryPolicy {
  int retries = 8;
  Backoff backoff{.initial = std::chrono::milliseconds(100),
                  .max = std::chrono::milliseconds(5000)};
};

// How a try ended.
struct TryEnd {
  int status = 0;  // 0: no answer.
  std::optional<std::chrono::seconds> retry_after;
};

// Whether another try may end otherwise: no answer, 408, 425, 429, and 5xx but 501 and 505.
bool MayPass(int status);

// How long to wait before the next try; nothing: there is none. `tries`: how many there were, >= 1.
// A Retry-After is obeyed, with the back-off on top, so that not all come at once; when that is
// longer than `left`, there is no next try. `random`: any uniformly drawn 64 bits.
std::optional<std::chrono::milliseconds> DecideRetry(const RetryPolicy& policy, const TryEnd& end,
                                                     int tries, std::chrono::milliseconds left,
                                                     std::uint64_t random);

}  // namespace lanekeeper::client
