#include "operator/scaling/lane_model.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace lanekeeper::scaling {
namespace {

// A job counts for 1/e once this many have ended after it.
constexpr double kServiceMemoryJobs = 200;
// The longest jobs, this share of all and at least one and a half, count as the longest of the
// rest.
constexpr double kOutlierShare = 0.01;
constexpr double kOutliersMin = 1.5;
// With fewer jobs than this none is an outlier: who knows what the others will be.
constexpr double kOutlierJobsMin = 4;
// Who was away for longer does not know when the jobs came.
constexpr double kBlindToArrivalsSeconds = 60;
// The recent rate leans on the longer one as if it had seen this many jobs come at that rate.
constexpr double kPriorJobs = 2;
// A rate is reckoned with up to this many standard deviations of its count.
constexpr double kHighDeviations = 2;

double Seconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

void LaneModel::FadingCount::Fade(double passed_seconds) {
  const double kept = std::exp(-passed_seconds / tau_seconds);
  events *= kept;
  covered_seconds = covered_seconds * kept + tau_seconds * (1 - kept);
}

void LaneModel::SeeArrivals(Time now, std::int64_t total) {
  const double passed = arrivals_at_ ? Seconds(now - *arrivals_at_) : 0.0;
  const std::int64_t came = arrivals_at_ ? std::max<std::int64_t>(0, total - arrivals_seen_) : 0;
  arrivals_at_ = now;
  arrivals_seen_ = total;
  if (passed <= 0 || passed > kBlindToArrivalsSeconds) return;
  for (FadingCount* count : {&lately_, &longer_}) {
    count->Fade(passed);
    count->events += static_cast<double>(came);
  }
}

void LaneModel::SeeService(Time /*now*/, const ServiceCounts& total) {
  if (service_seen_.empty()) {
    if (std::all_of(total.begin(), total.end(), [](auto count) { return count == 0; })) return;
    service_seen_.resize(kServiceBuckets);
    service_.resize(kServiceBuckets);
  }
  if (std::equal(total.begin(), total.end(), service_seen_.begin())) return;
  double ended = 0;
  bool reset = false;
  for (std::size_t i = 0; i < kServiceBuckets; ++i) {
    if (total[i] < service_seen_[i]) reset = true;
    if (total[i] > service_seen_[i]) ended += static_cast<double>(total[i] - service_seen_[i]);
  }
  if (!reset) {
    const auto kept = static_cast<float>(std::exp(-ended / kServiceMemoryJobs));
    // However many come at once, they weigh no more than all that is remembered.
    const double weight = std::min(1.0, kServiceMemoryJobs / ended);
    for (std::size_t i = 0; i < kServiceBuckets; ++i) {
      const auto fresh = static_cast<double>(total[i] - service_seen_[i]);
      service_[i] = service_[i] * kept + static_cast<float>(fresh * weight);
    }
    LearnService();
  }
  service_seen_.assign(total.begin(), total.end());
}

void LaneModel::LearnService() {
  const double all = std::accumulate(service_.begin(), service_.end(), 0.0);
  const double outliers = all < kOutlierJobsMin ? 0.0 : std::max(kOutlierShare * all, kOutliersMin);
  double below = 0;  // Jobs in shorter buckets.
  double sum = 0;
  double longest = 0;  // Of those that are no outliers.
  service_p95_ = 0;
  for (std::size_t i = 0; i < kServiceBuckets; ++i) {
    const double jobs = service_[i];
    if (jobs <= 0) continue;
    if (below < all - outliers) longest = ServiceSecondsOf(i);
    sum += jobs * longest;
    below += jobs;
    if (service_p95_ == 0 && below >= 0.95 * all) service_p95_ = ServiceSecondsOf(i);
  }
  service_mean_ = sum / all;
  service_jobs_ = all;
}

void LaneModel::SeeColdStart(Time /*now*/, std::chrono::nanoseconds took) {
  cold_starts_[cold_starts_seen_++ % kColdStartsMax] =
      static_cast<float>(std::max(0.0, Seconds(took)));
  std::array<float, kColdStartsMax> sorted = cold_starts_;
  const std::size_t count = std::min(cold_starts_seen_, kColdStartsMax);
  std::sort(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(count));
  cold_start_ = sorted[count / 2];
}

void LaneModel::SeeJobs(Time now, std::int64_t jobs) {
  habits_.See(now, jobs, {service_mean_, cold_start_});
}

Estimate LaneModel::At(Time now) const {
  Estimate estimate;
  estimate.service_seconds_mean = service_mean_;
  estimate.service_seconds_p95 = service_p95_;
  estimate.service_jobs = service_jobs_;
  estimate.cold_start_seconds = cold_start_;
  estimate.slots_next = habits_.next();
  if (!arrivals_at_) return estimate;

  FadingCount lately = lately_;
  FadingCount longer = longer_;
  const double passed = std::clamp(Seconds(now - *arrivals_at_), 0.0, kBlindToArrivalsSeconds);
  lately.Fade(passed);
  longer.Fade(passed);
  if (longer.events <= 0) return estimate;
  const double rate = longer.events / std::max(longer.covered_seconds, 1.0);
  const double jobs = lately.events + kPriorJobs;
  const double seconds = lately.covered_seconds + kPriorJobs / rate;
  estimate.arrivals_per_second = jobs / seconds;
  estimate.arrivals_per_second_high = (jobs + kHighDeviations * std::sqrt(jobs)) / seconds;
  return estimate;
}

}  // namespace lanekeeper::scaling
