// Learns a lane's service time, arrival rate, cold start and habits. Bounded memory whatever comes;
// one outlier moves no estimate far. Pure: the time is an argument. Not thread-safe.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "operator/scaling/estimate.h"
#include "operator/scaling/slot_habits.h"
#include "worker-runtime/job/service_times.h"

namespace lanekeeper::scaling {

class LaneModel {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // How many jobs have ever come. Never falls, except when the queue was made anew: then it is
  // counted from there. Any rate of calls; jobs that came while nobody looked for long are passed
  // over, as nobody knows when they did.
  void SeeArrivals(Time now, std::int64_t total);
  // How many jobs took how long, ever. Counts that fall were reset: counted from there.
  void SeeService(Time now, const ServiceCounts& total);
  // One worker was asked for and could take jobs after `took`.
  void SeeColdStart(Time now, std::chrono::nanoseconds took);
  // The lane has this many jobs waiting or running.
  void SeeJobs(Time now, std::int64_t jobs);

  Estimate At(Time now) const;

 private:
  // Events that fade: their sum over the time that they cover is their rate.
  struct FadingCount {
    double tau_seconds;
    double events = 0;
    double covered_seconds = 0;  // Grows to tau_seconds.
    void Fade(double passed_seconds);
  };
  void LearnService();

  std::vector<float> service_;  // Fading counts; empty before the first.
  std::vector<std::uint64_t> service_seen_;
  double service_mean_ = 0;
  double service_p95_ = 0;
  double service_jobs_ = 0;

  std::optional<Time> arrivals_at_;
  std::int64_t arrivals_seen_ = 0;
  FadingCount lately_{.tau_seconds = 30};
  FadingCount longer_{.tau_seconds = 600};

  static constexpr std::size_t kColdStartsMax = 9;
  std::array<float, kColdStartsMax> cold_starts_{};  // The last ones, in seconds.
  std::size_t cold_starts_seen_ = 0;
  double cold_start_ = 0;

  SlotHabits habits_;
};

}  // namespace lanekeeper::scaling
