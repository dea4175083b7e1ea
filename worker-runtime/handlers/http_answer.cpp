#include "worker-runtime/handlers/http_answer.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <chrono>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "worker-runtime/handlers/job_lines.h"
#include "worker-runtime/handlers/lines.h"

namespace lanekeeper::handlers {
namespace {

using std::chrono::milliseconds;

// RFC 9110, 5.6.2.
bool IsToken(std::string_view text) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [kMarks](unsigned char c) {
    return std::isalnum(c) != 0 || kMarks.find(static_cast<char>(c)) != std::string_view::npos;
  });
}

bool IsHeaderValue(std::string_view text) {
  return text.size() <= kHttpHeaderValueBytesMax &&
         std::none_of(text.begin(), text.end(),
                      [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7f; });
}

std::string LowerCase(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

template <typename Number>
std::optional<Number> ReadNumber(std::string_view text) {
  Number number{};
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || rest != end) return std::nullopt;
  return number;
}

// "Sun, 06 Nov 1994 08:49:37 GMT", the form of RFC 9110 that is not obsolete.
std::optional<std::chrono::sys_seconds> ReadHttpDate(std::string_view text) {
  constexpr std::array kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                               "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  if (text.size() != 29 || text.substr(25) != " GMT") return std::nullopt;
  const auto month = std::find(kMonths.begin(), kMonths.end(), text.substr(8, 3));
  const auto day = ReadNumber<unsigned>(text.substr(5, 2));
  const auto year = ReadNumber<int>(text.substr(12, 4));
  const auto hour = ReadNumber<unsigned>(text.substr(17, 2));
  const auto minute = ReadNumber<unsigned>(text.substr(20, 2));
  const auto second = ReadNumber<unsigned>(text.substr(23, 2));
  if (month == kMonths.end() || !day || !year || !hour || !minute || !second) return std::nullopt;
  const std::chrono::year_month_day date(
      std::chrono::year(*year),
      std::chrono::month(static_cast<unsigned>(month - kMonths.begin()) + 1),
      std::chrono::day(*day));
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
         std::chrono::seconds(*second);
}

std::optional<milliseconds> ReadRetryAfter(const std::string& text, WallTime now) {
  if (const auto seconds = ReadNumber<unsigned>(text)) {
    return std::min<milliseconds>(std::chrono::seconds(*seconds), kRetryAfterMax);
  }
  const auto date = ReadHttpDate(text);
  if (!date) return std::nullopt;
  return std::clamp<milliseconds>(*date - std::chrono::floor<milliseconds>(now), milliseconds(0),
                                  kRetryAfterMax);
}

// Of these statuses below 500 the next attempt may see nothing.
bool IsWorthAnotherAttempt(int status) {
  constexpr std::array kBelow500{408, 409, 425, 429};
  return status < 400 || status >= 500 ||
         std::find(kBelow500.begin(), kBelow500.end(), status) != kBelow500.end();
}

std::vector<std::string> LastLinesOf(const std::string& body) {
  LastLines last;
  LineSplitter lines(kOutputLineBytesMax, LineSplitter::LongLines::kInPieces,
                     [&last](std::string_view line) { last.Add(line); });
  lines.Append(body);
  lines.Finish();
  return last.lines();
}

}  // namespace

Headers HttpHeadersOf(const Job& job) {
  const std::string content_type(job.Header("Content-Type").value_or(""));
  const bool has_content_type = !content_type.empty() && IsHeaderValue(content_type);
  Headers headers{{"Lk-Job-Id", job.id()},
                  {"Lk-Job-Type", job.type()},
                  {"Lk-Job-Attempt", std::to_string(job.attempt())},
                  {"Lk-Job-Attempts", std::to_string(job.attempts_max())},
                  {"Lk-Job-Run", std::to_string(job.run())},
                  {"Lk-Job-Fence", std::to_string(job.fence())},
                  {"Lk-Job-Timeout-Ms", std::to_string(job.timeout().count())},
                  {"Content-Type", has_content_type ? content_type : "application/octet-stream"}};
  if (!job.traceparent().empty()) headers.emplace_back("traceparent", job.traceparent());
  std::set<std::string> names;
  for (const auto& [name, value] : job.headers()) {
    if (names.size() == kHttpHeadersMax) break;
    if (!IsToken(name) || !IsHeaderValue(value)) continue;
    if (names.insert(LowerCase(name)).second) headers.emplace_back("Lk-Header-" + name, value);
  }
  return headers;
}

Outcome OutcomeOfAnswer(const HttpAnswer& answer, WallTime now) {
  if (answer.status >= 200 && answer.status < 300) return Done{answer.body};
  std::vector<std::string> output = LastLinesOf(answer.body);
  std::string error_class = "http " + std::to_string(answer.status);
  std::string why = "answered " + std::to_string(answer.status) + LastOf(output);
  if (!IsWorthAnotherAttempt(answer.status)) {
    return Rejected{std::move(why), std::move(error_class), std::move(output)};
  }
  return Failed{std::move(why), std::move(error_class), std::move(output),
                ReadRetryAfter(answer.retry_after, now)};
}

}  // namespace lanekeeper::handlers
