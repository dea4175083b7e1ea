// Traces that are made up: the same for the same seed, on every machine. Pure.
#pragma once

#include <cstdint>
#include <functional>

#include "operator/simulate/trace.h"

namespace lanekeeper::simulate {

// Own sampling on top of a plain generator: the distributions of the standard library differ from
// one library to the next.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}
  double Uniform();  // In (0, 1).
  double Exponential(double mean);
  double LogNormal(double mean, double sigma);  // `sigma` of the logarithm.
  double Pareto(double mean, double shape);     // `shape` > 1.

 private:
  std::uint64_t state_;
};

// Jobs that come by chance, `rate_at(t)` of them per second at second t, never more than
// `rate_max`; each takes what `service` draws, in seconds.
Trace MakeTrace(std::uint64_t seed, double seconds, double rate_max,
                const std::function<double(double)>& rate_at,
                const std::function<double(Dice&)>& service);

// `rate` jobs per second from the beginning to the end.
Trace SteadyTrace(std::uint64_t seed, double seconds, double rate,
                  const std::function<double(Dice&)>& service);

// `rate` jobs per second for `on` seconds, none for `off`, in turns; each turn's length is drawn
// from an exponential distribution.
Trace BurstyTrace(std::uint64_t seed, double seconds, double rate, double on, double off,
                  const std::function<double(Dice&)>& service);

// Follows the day as a sine, from `low` to `high` jobs per second, lowest at second 0.
Trace DailyTrace(std::uint64_t seed, double seconds, double low, double high,
                 const std::function<double(Dice&)>& service);

}  // namespace lanekeeper::simulate
