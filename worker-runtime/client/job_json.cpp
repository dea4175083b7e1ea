#include "worker-runtime/client/job_json.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "worker-runtime/base/duration.h"
#include "worker-runtime/base/text.h"

namespace lanekeeper::client {
namespace {

using nlohmann::json;

json Parse(std::string_view text) { return json::parse(text, nullptr, /*allow_exceptions=*/false); }

std::string Text(const json& object, const char* field) {
  const auto found = object.find(field);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

template <typename Number>
Number NumberOf(const json& object, const char* field) {
  const auto found = object.find(field);
  return found != object.end() && found->is_number() ? found->get<Number>() : Number{};
}

std::optional<std::int64_t> Count(const json& object, const char* field) {
  const auto found = object.find(field);
  if (found == object.end() || !found->is_number()) return std::nullopt;
  return found->get<std::int64_t>();
}

std::optional<std::chrono::seconds> Seconds(const json& object, const char* field) {
  const auto count = Count(object, field);
  if (!count) return std::nullopt;
  return std::chrono::seconds(*count);
}

const json& Part(const json& object, const char* field) {
  static const json kNone = json::object();
  const auto found = object.find(field);
  return found != object.end() && found->is_object() ? *found : kNone;
}

std::string ResultOf(const json& job) {
  if (const auto bytes = DecodeBase64(Text(job, "result_base64")); bytes && !bytes->empty()) {
    return *bytes;
  }
  const auto found = job.find("result");
  if (found == job.end()) return "";
  return found->is_string() ? found->get<std::string>() : found->dump();
}

ErrorKind KindOf(int status) {
  if (status == 404 || status == 410) return ErrorKind::kNotFound;
  if (status == 401 || status == 403) return ErrorKind::kForbidden;
  const bool may_pass = status == 408 || status == 425 || status == 429 || status >= 500;
  return may_pass ? ErrorKind::kRetryable : ErrorKind::kInvalid;
}

SubmittedJob ToSubmittedJob(const json& job) {
  return {.id = Text(job, "id"),
          .lane = Text(job, "lane"),
          .position = Count(job, "position"),
          .eta = Seconds(job, "eta_seconds")};
}

// A gateway's text is short; what else answers may send a page.
std::string Shortened(std::string_view text) {
  constexpr std::size_t kMax = 300;
  std::string line(text.substr(0, kMax));
  for (char& letter : line) {
    if (static_cast<unsigned char>(letter) < ' ') letter = ' ';
  }
  return line;
}

ClientError ToClientError(int status, std::optional<std::chrono::seconds> retry_after,
                          const json& problem, std::string_view body) {
  ClientError error{.kind = KindOf(status),
                    .message = std::to_string(status),
                    .problem = {},
                    .status = status,
                    .retry_after = retry_after};
  if (!problem.is_object()) {
    if (!body.empty()) error.message += ": " + Shortened(body);
    return error;
  }
  const std::string type = Text(problem, "type");
  error.problem = type.substr(type.find_last_of("/:#") + 1);  // npos + 1 is 0.
  if (!error.retry_after) error.retry_after = Seconds(problem, "retry_after_seconds");
  if (!error.problem.empty()) error.message += " " + error.problem;
  const std::string detail = Text(problem, "detail");
  error.message += ": " + (detail.empty() ? Text(problem, "title") : detail);
  return error;
}

}  // namespace

Result<std::string> WriteNewJob(const NewJob& job, std::string_view idempotency_key) {
  json body = json::object();
  const auto put = [&body](const char* field, std::string_view value) {
    if (!value.empty()) body[field] = value;
  };
  put("type", job.type);
  put("lane", job.lane);
  put("payload_base64", EncodeBase64(job.payload));
  put("idempotency_key", idempotency_key);
  if (job.deadline) body["deadline"] = FormatRfc3339Micros(*job.deadline);
  if (job.timeout) body["timeout"] = FormatDuration(*job.timeout);
  for (const auto& [name, value] : job.headers) body["headers"][name] = value;
  try {
    return body.dump();
  } catch (const json::exception&) {
    return Fail(ErrorKind::kInvalid,
                "type, lane, headers and idempotency_key must be UTF-8; bytes go into the payload");
  }
}

Result<SubmittedJob> ReadSubmittedJob(std::string_view text) {
  const json job = Parse(text);
  if (!job.is_object() || Text(job, "id").empty()) {
    return Fail(ErrorKind::kRetryable, "the answer is no accepted job: " + Shortened(text));
  }
  return ToSubmittedJob(job);
}

Result<JobStatus> ReadJobStatus(std::string_view text) {
  const json job = Parse(text);
  if (!job.is_object() || Text(job, "id").empty() || Text(job, "state").empty()) {
    return Fail(ErrorKind::kRetryable, "the answer is no job: " + Shortened(text));
  }
  const json& progress = Part(job, "progress");
  const json& error = Part(job, "error");
  return JobStatus{.id = Text(job, "id"),
                   .pool_namespace = Text(job, "namespace"),
                   .pool = Text(job, "pool"),
                   .lane = Text(job, "lane"),
                   .type = Text(job, "type"),
                   .state = Text(job, "state"),
                   .revision = NumberOf<std::uint64_t>(job, "revision"),
                   .attempts = NumberOf<int>(job, "attempts"),
                   .crashes = NumberOf<int>(job, "crashes"),
                   .progress = NumberOf<double>(progress, "fraction"),
                   .progress_note = Text(progress, "note"),
                   .result = ResultOf(job),
                   .error = Text(error, "message"),
                   .error_class = Text(error, "class"),
                   .dead_reason = Text(Part(job, "dead"), "reason"),
                   .position = Count(job, "position"),
                   .eta = Seconds(job, "eta_seconds"),
                   .json = std::string(text)};
}

ClientError ReadProblem(int status, std::optional<std::chrono::seconds> retry_after,
                        std::string_view body) {
  return ToClientError(status, retry_after, Parse(body), body);
}

Result<BulkLine> ReadBulkLine(std::string_view text) {
  const json line = Parse(text);
  const auto number = line.is_object() ? Count(line, "line") : std::nullopt;
  if (!number || *number < 1) {
    return Fail(ErrorKind::kRetryable, "a line of the answer is no result: " + Shortened(text));
  }
  BulkLine read{.line = static_cast<std::size_t>(*number), .result = {}};
  const json& job = Part(line, "job");
  if (!Text(job, "id").empty()) {
    read.result = ToSubmittedJob(job);
  } else {
    read.result = tl::unexpected<ClientError>(
        ToClientError(NumberOf<int>(line, "status"), {}, Part(line, "problem"), ""));
  }
  return read;
}

}  // namespace lanekeeper::client
