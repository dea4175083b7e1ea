#include "worker-runtime/job/rfc3339.h"

#include <cstddef>
#include <cstdint>

namespace lanekeeper {
namespace {

using std::chrono::seconds;
using std::chrono::sys_days;

// Takes exactly `digits` digits off the front of `text`; nothing when they are not there.
std::optional<int> TakeNumber(std::string_view& text, std::size_t digits) {
  if (text.size() < digits) return std::nullopt;
  int number = 0;
  for (std::size_t n = 0; n < digits; ++n) {
    if (text[n] < '0' || text[n] > '9') return std::nullopt;
    number = number * 10 + (text[n] - '0');
  }
  text.remove_prefix(digits);
  return number;
}

bool TakeOneOf(std::string_view& text, std::string_view characters) {
  if (text.empty() || characters.find(text.front()) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

// ".25" at the front of `text`, cut to nanoseconds; zero when there is none.
std::optional<std::chrono::nanoseconds> TakeFraction(std::string_view& text) {
  if (!TakeOneOf(text, ".")) return std::chrono::nanoseconds(0);
  std::int64_t nanos = 0;
  std::int64_t unit = 100'000'000;
  std::size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') {
    nanos += unit * (text[digits] - '0');
    unit /= 10;
    ++digits;
  }
  if (digits == 0) return std::nullopt;
  text.remove_prefix(digits);
  return std::chrono::nanoseconds(nanos);
}

// "Z" or "+01:00", which has to be all that is left.
std::optional<seconds> TakeOffset(std::string_view& text) {
  if (TakeOneOf(text, "Zz")) return text.empty() ? std::optional(seconds(0)) : std::nullopt;
  const bool west = !text.empty() && text.front() == '-';
  if (!TakeOneOf(text, "+-")) return std::nullopt;
  const auto hours = TakeNumber(text, 2);
  if (!hours || *hours > 23 || !TakeOneOf(text, ":")) return std::nullopt;
  const auto minutes = TakeNumber(text, 2);
  if (!minutes || *minutes > 59 || !text.empty()) return std::nullopt;
  const seconds offset = std::chrono::hours(*hours) + std::chrono::minutes(*minutes);
  return west ? -offset : offset;
}

}  // namespace

std::optional<std::chrono::system_clock::time_point> ParseRfc3339(std::string_view text) {
  const auto year = TakeNumber(text, 4);
  if (!year || !TakeOneOf(text, "-")) return std::nullopt;
  const auto month = TakeNumber(text, 2);
  if (!month || !TakeOneOf(text, "-")) return std::nullopt;
  const auto day = TakeNumber(text, 2);
  if (!day || !TakeOneOf(text, "Tt")) return std::nullopt;
  const auto hour = TakeNumber(text, 2);
  if (!hour || *hour > 23 || !TakeOneOf(text, ":")) return std::nullopt;
  const auto minute = TakeNumber(text, 2);
  if (!minute || *minute > 59 || !TakeOneOf(text, ":")) return std::nullopt;
  const auto second = TakeNumber(text, 2);
  if (!second || *second > 60) return std::nullopt;  // 60: a leap second.
  const auto fraction = TakeFraction(text);
  if (!fraction) return std::nullopt;
  const auto offset = TakeOffset(text);
  if (!offset) return std::nullopt;

  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok()) return std::nullopt;
  // The clock counts nanoseconds in 64 bits and would overflow outside 1678..2262.
  if (*year < 1970) return std::chrono::system_clock::time_point{};
  constexpr std::chrono::sys_seconds latest{sys_days(std::chrono::year(2200) / 1 / 1)};
  if (*year >= 2200) return latest;
  return sys_days(date) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
         seconds(*second) + *fraction - *offset;
}

}  // namespace lanekeeper
