#include "worker-runtime/gateway/admission.h"

#include <algorithm>
#include <cmath>

namespace lanekeeper::gateway {
namespace {

using std::chrono::seconds;

constexpr seconds kRetryMin{1};
constexpr seconds kRetryMax{300};
constexpr seconds kRetryUnknown{10};

// Until `jobs` have left the lane.
seconds RetryAfter(std::int64_t jobs, double drained_per_second) {
  if (!(drained_per_second > 0)) return kRetryUnknown;
  const double needed =
      std::ceil(static_cast<double>(std::max<std::int64_t>(1, jobs)) / drained_per_second);
  if (needed >= static_cast<double>(kRetryMax.count())) return kRetryMax;
  return std::max(kRetryMin, seconds(static_cast<std::int64_t>(needed)));
}

// Until a job that comes now starts. Nothing when nobody knows.
std::optional<std::chrono::milliseconds> WaitOf(const LaneGauge& gauge) {
  if (gauge.predicted_wait) return gauge.predicted_wait;
  // Without a drain seen, an empty lane may have free workers or none at all.
  if (!(gauge.drained_per_second > 0)) return std::nullopt;
  const double wait_s = static_cast<double>(gauge.waiting) / gauge.drained_per_second;
  constexpr double kLongest = 30.0 * 24 * 3600;
  return std::chrono::milliseconds(static_cast<std::int64_t>(std::min(wait_s, kLongest) * 1000));
}

}  // namespace

Admission DecideAdmission(const LaneBrief& lane, const LaneGauge& gauge,
                          std::int64_t caller_waiting) {
  // The stream of an external lane has a limit of its own, which the lane's brief does not know.
  if (!lane.external && gauge.depth >= lane.depth_max) {
    return BusyWhenFull(lane, gauge);
  }
  const auto wait = WaitOf(gauge);
  if (lane.admission.wait_max && wait && *wait > *lane.admission.wait_max) {
    // By then the lane's backlog has become short enough.
    const seconds over = std::chrono::ceil<seconds>(*wait - *lane.admission.wait_max);
    return Busy{BusyCause::kWaitTooLong, std::clamp(over, kRetryMin, kRetryMax)};
  }
  const std::int64_t caller_max = lane.admission.caller_depth_max;
  if (caller_max > 0 && caller_waiting >= caller_max) {
    // Its jobs stand among the others: about one in (waiting / caller_waiting) is its own.
    const double share = gauge.waiting > 0 ? std::min(1.0, static_cast<double>(caller_waiting) /
                                                               static_cast<double>(gauge.waiting))
                                           : 1.0;
    return Busy{BusyCause::kCallerQuota,
                RetryAfter(caller_waiting - caller_max + 1, gauge.drained_per_second * share)};
  }
  Accept accept{.position = gauge.waiting, .eta = std::nullopt};
  if (wait) accept.eta = std::chrono::ceil<seconds>(*wait);
  return accept;
}

Busy BusyWhenFull(const LaneBrief& lane, const LaneGauge& gauge) {
  const std::int64_t over =
      lane.external ? 0 : std::max<std::int64_t>(0, gauge.depth - lane.depth_max);
  return {BusyCause::kLaneFull, RetryAfter(over + 1, gauge.drained_per_second)};
}

}  // namespace lanekeeper::gateway
