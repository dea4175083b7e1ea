#include "cli/jobs/submission.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "worker-runtime/base/duration.h"
#include "worker-runtime/base/text.h"
#include "worker-runtime/job/rfc3339.h"

namespace lanekeeper::jobs {
namespace {

using nlohmann::json;

tl::unexpected<Error> Wrong(const std::string& field, const std::string& why) {
  return Fail(ErrorKind::kInvalid, field + ": " + why);
}

Result<std::chrono::milliseconds> Timeout(const std::string& text) {
  auto time = ParseDuration(text);
  if (time && *time <= std::chrono::milliseconds(0)) {
    return Fail(ErrorKind::kInvalid, "must be longer than nothing");
  }
  return time;
}

// Of one field of a line into `job`. An error says what is wrong with it.
Result<void> SetHeaders(const json& value, NewJob& job) {
  if (!value.is_object()) return Fail(ErrorKind::kInvalid, "must be an object of texts");
  job.headers.clear();
  for (const auto& [name, text] : value.items()) {
    if (!text.is_string()) return Fail(ErrorKind::kInvalid, name + " must be a text");
    job.headers.emplace_back(name, text.get<std::string>());
  }
  return {};
}

Result<void> SetField(const std::string& name, const json& value, WallTime now, NewJob& job) {
  if (name == "payload") {
    job.payload = value.is_string() ? value.get<std::string>() : value.dump();
    return {};
  }
  if (name == "headers") return SetHeaders(value, job);
  constexpr std::array<std::string_view, 6> kTexts{"type",    "lane",     "payload_base64",
                                                   "timeout", "deadline", "idempotency_key"};
  if (std::find(kTexts.begin(), kTexts.end(), name) == kTexts.end()) {
    return Fail(ErrorKind::kInvalid,
                "does not exist; there are type, lane, payload, payload_base64, idempotency_key, "
                "timeout, deadline, headers");
  }
  if (!value.is_string()) return Fail(ErrorKind::kInvalid, "must be a text");
  const auto text = value.get<std::string>();
  if (name == "type") job.type = text;
  if (name == "lane") job.lane = text;
  if (name == "idempotency_key") job.idempotency_key = text;
  if (name == "payload_base64") {
    auto bytes = DecodeBase64(text);
    if (!bytes) return Fail(ErrorKind::kInvalid, "is no base64");
    job.payload = *std::move(bytes);
  }
  if (name == "timeout") {
    const auto time = Timeout(text);
    if (!time) return tl::unexpected<Error>(time.error());
    job.timeout = *time;
  }
  if (name == "deadline") {
    const auto time = ReadTime(text, now, /*after=*/true);
    if (!time) return tl::unexpected<Error>(time.error());
    job.deadline = *time;
  }
  return {};
}

Result<NewJob> ReadLine(std::string_view text, const NewJob& defaults, WallTime now) {
  const json line = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!line.is_object()) {
    return Fail(ErrorKind::kInvalid,
                R"(is no JSON object such as {"type": "thumbnail", "payload": "…"})");
  }
  if (line.contains("payload") && line.contains("payload_base64")) {
    return Fail(ErrorKind::kInvalid, "payload and payload_base64 are both given");
  }
  NewJob job = defaults;
  for (const auto& [name, value] : line.items()) {
    const auto set = SetField(name, value, now, job);
    if (!set) return Wrap(set.error(), name);
  }
  return job;
}

}  // namespace

Result<WallTime> ReadTime(std::string_view text, WallTime now, bool after) {
  if (const auto time = ParseRfc3339(text)) return *time;
  if (const auto span = ParseDuration(text)) return after ? now + *span : now - *span;
  return Fail(ErrorKind::kInvalid, "'" + std::string(text) +
                                       "' is neither a time such as 2026-11-26T02:14:07Z nor a "
                                       "duration such as 10m");
}

Result<NewJob> ReadJobFlags(const JobFlags& flags, WallTime now) {
  NewJob job{.type = flags.type, .lane = flags.lane, .idempotency_key = flags.key};
  if (!flags.timeout.empty()) {
    const auto time = Timeout(flags.timeout);
    if (!time) return Wrong("--job-timeout", time.error().message);
    job.timeout = *time;
  }
  if (!flags.deadline.empty()) {
    const auto time = ReadTime(flags.deadline, now, /*after=*/true);
    if (!time) return Wrong("--deadline", time.error().message);
    job.deadline = *time;
  }
  for (const std::string& header : flags.headers) {
    const std::size_t sign = header.find('=');
    if (sign == std::string::npos || sign == 0) {
      return Wrong("--header", "'" + header + "' must be NAME=VALUE");
    }
    job.headers.emplace_back(header.substr(0, sign), header.substr(sign + 1));
  }
  return job;
}

Result<std::vector<Line>> ReadLines(std::string_view text, const NewJob& defaults, WallTime now) {
  std::vector<Line> lines;
  std::size_t number = 0;
  while (!text.empty()) {
    ++number;
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    auto job = ReadLine(line, defaults, now);
    if (!job) return Wrap(std::move(job).error(), "line " + std::to_string(number));
    lines.push_back({number, *std::move(job)});
  }
  if (lines.empty()) return Fail(ErrorKind::kInvalid, "there is no job in it");
  return lines;
}

Result<std::string> ReadInput(const std::string& file, std::istream& in, std::size_t bytes_max) {
  std::ifstream opened;
  if (file != "-") {
    opened.open(file, std::ios::binary);
    if (!opened) return Fail(ErrorKind::kInvalid, "cannot read " + file);
  }
  std::istream& stream = file == "-" ? in : opened;
  std::string text;
  std::array<char, 64 * 1024> piece;
  while (stream.read(piece.data(), piece.size()) || stream.gcount() > 0) {
    text.append(piece.data(), static_cast<std::size_t>(stream.gcount()));
    if (text.size() > bytes_max) {
      return Fail(ErrorKind::kInvalid,
                  file + " has more than " + std::to_string(bytes_max >> 20) + " MiB");
    }
  }
  if (stream.bad()) return Fail(ErrorKind::kInvalid, "cannot read " + file);
  return text;
}

}  // namespace lanekeeper::jobs
