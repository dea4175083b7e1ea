#include "operator/kubernetes/leader_api.h"

#include <algorithm>

namespace lanekeeper::kubernetes {

Result<Answer> LeaderApi::Exchange(const Request& request, const CallOptions& options) {
  if (leadership_ == nullptr || !IsWrite(request)) return api_.Exchange(request, options);
  const std::optional<Lead> lead = leadership_->Current();
  const auto left = lead ? std::chrono::floor<std::chrono::milliseconds>(lead->ends - clock_.Now())
                         : std::chrono::milliseconds(0);
  if (left.count() <= 0) {
    return Fail(ErrorKind::kRetryable, "not written: this operator does not lead any more");
  }
  CallOptions bounded = options;
  bounded.deadline = std::min(options.deadline, left);
  return api_.Exchange(request, bounded);
}

}  // namespace lanekeeper::kubernetes
