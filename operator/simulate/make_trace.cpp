#include "operator/simulate/make_trace.h"

#include <cmath>
#include <numbers>
#include <vector>

namespace lanekeeper::simulate {

// SplitMix64: small, and good enough for arrivals.
double Dice::Uniform() {
  state_ += 0x9e3779b97f4a7c15ULL;
  std::uint64_t mixed = state_;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
  mixed ^= mixed >> 31;
  return (static_cast<double>(mixed >> 11) + 0.5) * 0x1.0p-53;
}

double Dice::Exponential(double mean) { return -mean * std::log(Uniform()); }

double Dice::LogNormal(double mean, double sigma) {
  const double radius = std::sqrt(-2.0 * std::log(Uniform()));
  const double normal = radius * std::cos(2.0 * std::numbers::pi * Uniform());
  return mean * std::exp(sigma * normal - sigma * sigma / 2.0);
}

double Dice::Pareto(double mean, double shape) {
  return mean * (shape - 1.0) / shape / std::pow(Uniform(), 1.0 / shape);
}

Trace MakeTrace(std::uint64_t seed, double seconds, double rate_max,
                const std::function<double(double)>& rate_at,
                const std::function<double(Dice&)>& service) {
  Dice dice(seed);
  Trace trace;
  double now = 0;
  for (;;) {
    now += dice.Exponential(1.0 / rate_max);
    if (now >= seconds) return trace;
    // Thinning: of the jobs of the highest rate, those that the rate of the moment leaves.
    if (dice.Uniform() * rate_max > rate_at(now)) continue;
    trace.push_back({FromSeconds(now), FromSeconds(service(dice)), ""});
  }
}

Trace SteadyTrace(std::uint64_t seed, double seconds, double rate,
                  const std::function<double(Dice&)>& service) {
  return MakeTrace(
      seed, seconds, rate, [rate](double) { return rate; }, service);
}

Trace BurstyTrace(std::uint64_t seed, double seconds, double rate, double on, double off,
                  const std::function<double(Dice&)>& service) {
  Dice turns(seed ^ 0x5bd1e995);
  std::vector<double> changes;  // Off at first; on from each even one to the next.
  for (double at = turns.Exponential(off); at < seconds;) {
    changes.push_back(at);
    at += turns.Exponential(changes.size() % 2 == 1 ? on : off);
  }
  std::size_t passed = 0;
  const auto rate_at = [&, rate](double now) {
    while (passed < changes.size() && changes[passed] <= now) ++passed;
    return passed % 2 == 1 ? rate : 0.0;
  };
  return MakeTrace(seed, seconds, rate, rate_at, service);
}

Trace DailyTrace(std::uint64_t seed, double seconds, double low, double high,
                 const std::function<double(Dice&)>& service) {
  const auto rate_at = [low, high](double now) {
    const double share = (1.0 - std::cos(2.0 * std::numbers::pi * now / 86400.0)) / 2.0;
    return low + (high - low) * share;
  };
  return MakeTrace(seed, seconds, high, rate_at, service);
}

}  // namespace lanekeeper::simulate
