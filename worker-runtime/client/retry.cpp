#include "worker-runtime/client/retry.h"

#include <cassert>

namespace lanekeeper::client {

using std::chrono::milliseconds;

bool MayPass(int status) {
  if (status == 0 || status == 408 || status == 425 || status == 429) return true;
  return status >= 500 && status != 501 && status != 505;
}

std::optional<milliseconds> DecideRetry(const RetryPolicy& policy, const TryEnd& end, int tries,
                                        milliseconds left, std::uint64_t random) {
  assert(tries >= 1);
  if (!MayPass(end.status) || tries > policy.retries) return std::nullopt;
  milliseconds wait = Jittered(policy.backoff.After(tries), random);
  if (end.retry_after) wait += *end.retry_after;
  if (wait >= left) return std::nullopt;
  return wait;
}

}  // namespace lanekeeper::client
