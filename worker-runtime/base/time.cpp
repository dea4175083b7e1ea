#include "worker-runtime/base/time.h"

#include <cstdint>

namespace lanekeeper {
namespace {

// By hand: several of these stand in every record of a job.
std::string Format(WallTime time, int fraction_digits) {
  const auto days = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(days);
  const std::chrono::hh_mm_ss clock(std::chrono::floor<std::chrono::nanoseconds>(time - days));
  std::string text;
  const auto add = [&text](std::int64_t number, int digits, char end) {
    std::int64_t unit = 1;
    for (int n = 1; n < digits; ++n) unit *= 10;
    for (; unit > 0; unit /= 10) text += static_cast<char>('0' + number / unit % 10);
    text += end;
  };
  text.reserve(32);
  add(static_cast<int>(date.year()), 4, '-');
  add(static_cast<unsigned>(date.month()), 2, '-');
  add(static_cast<unsigned>(date.day()), 2, 'T');
  add(clock.hours().count(), 2, ':');
  add(clock.minutes().count(), 2, ':');
  add(clock.seconds().count(), 2, fraction_digits > 0 ? '.' : 'Z');
  if (fraction_digits == 0) return text;
  std::int64_t fraction = clock.subseconds().count();
  for (int n = fraction_digits; n < 9; ++n) fraction /= 10;
  add(fraction, fraction_digits, 'Z');
  return text;
}

}  // namespace

std::string FormatRfc3339(WallTime time) { return Format(time, 0); }
std::string FormatRfc3339Micros(WallTime time) { return Format(time, 6); }
std::string FormatRfc3339Nanos(WallTime time) { return Format(time, 9); }

}  // namespace lanekeeper
