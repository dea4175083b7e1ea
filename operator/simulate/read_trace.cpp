#include "operator/simulate/read_trace.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace lanekeeper::simulate {
namespace {

// Ten years, in seconds: more than that is a slip, and nanoseconds would overflow not far beyond.
constexpr double kSecondsMax = 10.0 * 366 * 86400;

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::vector<std::string_view> Fields(std::string_view line) {
  std::vector<std::string_view> fields;
  for (;;) {
    const std::size_t comma = line.find(',');
    fields.push_back(Trimmed(line.substr(0, comma)));
    if (comma == std::string_view::npos) return fields;
    line.remove_prefix(comma + 1);
  }
}

std::optional<double> Number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (!std::isfinite(value)) return std::nullopt;
  return value;
}

// "2023-11-16 18:15:46.6805900", as seconds since 1970; the zone does not matter here.
std::optional<double> DateTime(std::string_view text) {
  constexpr std::string_view kForm = "dddd-dd-dd dd:dd:dd";
  if (text.size() < kForm.size()) return std::nullopt;
  for (std::size_t i = 0; i < kForm.size(); ++i) {
    const bool fits = kForm[i] == 'd' ? text[i] >= '0' && text[i] <= '9'
                                      : text[i] == kForm[i] || (i == 10 && text[i] == 'T');
    if (!fits) return std::nullopt;
  }
  const auto part = [&](std::size_t at, std::size_t digits) {
    return static_cast<int>(*Number(text.substr(at, digits)));
  };
  const std::chrono::year_month_day day{std::chrono::year(part(0, 4)),
                                        std::chrono::month(static_cast<unsigned>(part(5, 2))),
                                        std::chrono::day(static_cast<unsigned>(part(8, 2)))};
  const std::optional<double> seconds = Number(text.substr(17));
  if (!day.ok() || part(11, 2) > 23 || part(14, 2) > 59 || !seconds || *seconds >= 61) {
    return std::nullopt;
  }
  const auto days = std::chrono::sys_days(day).time_since_epoch().count();
  return static_cast<double>(days) * 86400.0 + part(11, 2) * 3600 + part(14, 2) * 60 + *seconds;
}

struct Columns {
  std::string_view arrival;
  std::string_view service;
  std::string_view type;  // May be missing.
};

Columns ColumnsOf(TraceFormat format) {
  switch (format) {
    case TraceFormat::kPlain:
      return {"arrival_seconds", "service_seconds", "type"};
    case TraceFormat::kAzureLlm:
      return {"TIMESTAMP", "GeneratedTokens", "Type"};
    case TraceFormat::kAlibabaGenAi:
      return {"gmt_create", "exec_time_seconds", "predict_type"};
  }
  return {};
}

// Where the columns stand in a line.
struct Places {
  std::size_t arrival = 0;
  std::size_t service = 0;
  std::optional<std::size_t> type;
};

tl::unexpected<Error> Bad(std::size_t line, const std::string& what) {
  return Fail(ErrorKind::kInvalid, "line " + std::to_string(line) + ": " + what);
}

std::optional<std::size_t> Find(const std::vector<std::string_view>& header,
                                std::string_view column) {
  const auto found = std::find(header.begin(), header.end(), column);
  if (found == header.end()) return std::nullopt;
  return static_cast<std::size_t>(found - header.begin());
}

Result<Places> ReadHeader(std::string_view line, const Columns& columns) {
  const std::vector<std::string_view> header = Fields(line);
  const std::optional<std::size_t> arrival = Find(header, columns.arrival);
  const std::optional<std::size_t> service = Find(header, columns.service);
  if (!arrival || !service) {
    return Bad(1, "the header must name the columns " + std::string(columns.arrival) + " and " +
                      std::string(columns.service) + ", it is \"" + std::string(Trimmed(line)) +
                      "\"");
  }
  return Places{*arrival, *service, Find(header, columns.type)};
}

struct Row {
  double arrival_seconds;
  Job job;
};

Result<Row> ReadRow(std::string_view text, std::size_t line, const Places& places,
                    const TraceReading& reading) {
  const Columns columns = ColumnsOf(reading.format);
  const std::vector<std::string_view> fields = Fields(text);
  if (fields.size() <= std::max(places.arrival, places.service)) {
    return Bad(line, "has " + std::to_string(fields.size()) + " columns, too few to hold " +
                         std::string(columns.arrival) + " and " + std::string(columns.service));
  }
  const auto refuse = [&](std::string_view column, std::size_t place, const char* must) {
    return Bad(line, std::string(column) + " must be " + must + ", is \"" +
                         std::string(fields[place]) + "\"");
  };
  const bool plain = reading.format == TraceFormat::kPlain;
  const std::optional<double> arrival =
      plain ? Number(fields[places.arrival]) : DateTime(fields[places.arrival]);
  if (!arrival || *arrival < 0 || (plain && *arrival > kSecondsMax)) {
    return refuse(
        columns.arrival, places.arrival,
        plain ? "a number of seconds from 0 to ten years" : "a time like 2023-11-16 18:15:46.68");
  }
  std::optional<double> service = Number(fields[places.service]);
  if (!service || *service < 0 || *service > kSecondsMax) {
    return refuse(columns.service, places.service,
                  reading.format == TraceFormat::kAzureLlm
                      ? "a number of tokens"
                      : "a number of seconds from 0 to ten years");
  }
  if (reading.format == TraceFormat::kAzureLlm) {
    *service = reading.seconds_per_request + reading.seconds_per_token * *service;
  }
  Row row{*arrival, {Duration{0}, FromSeconds(*service), ""}};
  if (places.type && *places.type < fields.size()) row.job.type = fields[*places.type];
  return row;
}

}  // namespace

Result<Trace> ReadTrace(std::string_view text, const TraceReading& reading) {
  if (!(reading.speed_up > 0)) return Fail(ErrorKind::kInvalid, "the speed-up must be above 0");
  std::optional<Places> places;
  std::vector<Row> rows;
  for (std::size_t line = 1; !text.empty(); ++line) {
    const std::size_t end = text.find('\n');
    const std::string_view row = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (Trimmed(row).empty()) continue;
    if (!places) {
      Result<Places> header = ReadHeader(row, ColumnsOf(reading.format));
      if (!header) return tl::unexpected<Error>(std::move(header).error());
      places = *header;
      continue;
    }
    Result<Row> read = ReadRow(row, line, *places, reading);
    if (!read) return tl::unexpected<Error>(std::move(read).error());
    rows.push_back(*std::move(read));
  }
  if (rows.empty())
    return Fail(ErrorKind::kInvalid, "no job in the trace: it has no line after its header");

  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    return a.arrival_seconds < b.arrival_seconds;
  });
  const double first = reading.format == TraceFormat::kPlain ? 0 : rows.front().arrival_seconds;
  Trace trace;
  trace.reserve(rows.size());
  for (Row& row : rows) {
    row.job.arrival = FromSeconds((row.arrival_seconds - first) / reading.speed_up);
    trace.push_back(std::move(row.job));
  }
  return trace;
}

}  // namespace lanekeeper::simulate
