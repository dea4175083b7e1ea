#include "worker-runtime/handlers/job_lines.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>

#include "worker-runtime/base/text.h"

namespace lanekeeper::handlers {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

// Reads the fields of one line and remembers the first that is not what it should be.
class Fields {
 public:
  explicit Fields(const json& object) : object_(object) {}

  bool Has(const char* name) const { return object_.contains(name); }

  bool IsTrue(const char* name) const { return Has(name) && object_[name] == true; }

  std::string Text(const char* name, std::size_t bytes_max) {
    const json* value = Find(name);
    if (value == nullptr) return {};
    if (!value->is_string()) return Bad(name, "a string"), std::string();
    return value->get_ref<const std::string&>().substr(0, bytes_max);
  }
  // "<name>" as it is, or "<name>_base64".
  std::optional<std::string> Bytes(const char* name) {
    if (Has(name)) return Text(name, std::string::npos);
    const std::string encoded_name = std::string(name) + "_base64";
    if (!Has(encoded_name.c_str())) return std::nullopt;
    auto bytes = DecodeBase64(Text(encoded_name.c_str(), std::string::npos));
    if (!bytes) Bad(encoded_name.c_str(), "base64");
    return bytes;
  }
  double Number(const char* name) {
    const json* value = Find(name);
    if (value != nullptr && value->is_number()) return value->get<double>();
    return Bad(name, "a number from 0 to 1"), 0;
  }
  std::optional<milliseconds> Milliseconds(const char* name) {
    const json* value = Find(name);
    if (value == nullptr) return std::nullopt;
    if (!value->is_number_unsigned()) return Bad(name, "a number of milliseconds"), std::nullopt;
    constexpr std::uint64_t kMax = milliseconds(kRetryAfterMax).count();
    return milliseconds(std::min(value->get<std::uint64_t>(), kMax));
  }
  void Bad(std::string_view name, std::string_view wanted) {
    if (!problem_.empty()) return;
    problem_.append("\"").append(name).append("\" is not ").append(wanted);
  }
  const std::string& problem() const { return problem_; }

 private:
  const json* Find(const char* name) const {
    const auto found = object_.find(name);
    return found == object_.end() ? nullptr : &*found;
  }

  const json& object_;
  std::string problem_;
};

std::optional<Outcome> ReadOutcome(Fields& fields) {
  if (!fields.Has("outcome")) return std::nullopt;
  const std::string word = fields.Text("outcome", 32);
  std::string why = fields.Text("why", kWhyBytesMax);
  std::string error_class = fields.Text("error_class", kErrorClassBytesMax);
  const auto retry_after = fields.Milliseconds("retry_after_ms");
  if (word == "done") return Done{};
  if (word == "failed") {
    return Failed{std::move(why), std::move(error_class), /*output=*/{}, retry_after};
  }
  if (word == "rejected") return Rejected{std::move(why), std::move(error_class)};
  if (word == "interrupted") return Interrupted{};
  fields.Bad("outcome", "done, failed, rejected or interrupted");
  return std::nullopt;
}

void SetBytes(json& object, const std::string& name, const std::string& bytes) {
  if (IsUtf8Text(bytes)) {
    object[name] = bytes;
  } else {
    object[name + "_base64"] = EncodeBase64(bytes);
  }
}

// What comes from outside may hold any bytes.
std::string Line(const json& object) {
  return object.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace

Result<JobLine> ReadJobLine(std::string_view line) {
  if (line.size() >= kJobLineBytesMax) {
    return Fail(ErrorKind::kInvalid,
                "a line of more than " + std::to_string(kJobLineBytesMax) + " bytes");
  }
  const json object = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return Fail(ErrorKind::kInvalid, "a line that is no JSON object");
  Fields fields(object);
  JobLine read;
  read.ready = fields.IsTrue("ready");
  if (fields.Has("progress")) {
    read.progress = {fields.Number("progress"), fields.Text("note", std::string::npos)};
  }
  read.checkpoint = fields.Bytes("checkpoint");
  read.result = fields.Bytes("result");
  read.outcome = ReadOutcome(fields);
  if (!fields.problem().empty()) return Fail(ErrorKind::kInvalid, fields.problem());
  if (read == JobLine{}) {
    return Fail(ErrorKind::kInvalid,
                "a line without \"progress\", \"checkpoint\", \"result\", \"outcome\" or "
                "\"ready\"");
  }
  return read;
}

std::string Apply(const JobLine& line, Job& job) {
  if (line.progress) job.Progress(line.progress->fraction, line.progress->note);
  if (!line.checkpoint) return {};
  return CheckpointAnswer(job.Checkpoint(*line.checkpoint));
}

std::string JobStartLine(const Job& job, const LaneKey& lane) {
  json headers = json::object();
  for (const auto& [name, value] : job.headers()) {
    if (!headers.contains(name)) headers[name] = value;
  }
  json start{{"id", job.id()},
             {"type", job.type()},
             {"attempt", job.attempt()},
             {"attempts_max", job.attempts_max()},
             {"run", job.run()},
             {"fence", job.fence()},
             {"timeout_ms", job.timeout().count()},
             {"lane", lane.lane},
             {"pool", lane.pool},
             {"namespace", lane.pool_namespace},
             {"headers", std::move(headers)}};
  if (!job.traceparent().empty()) start["traceparent"] = job.traceparent();
  SetBytes(start, "payload", job.payload());
  if (!job.checkpoint().empty()) SetBytes(start, "checkpoint", job.checkpoint());
  return Line({{"job", std::move(start)}});
}

std::string CheckpointAnswer(const Result<void>& stored) {
  if (stored) return Line({{"stored", true}});
  return Line({{"stored", false}, {"error", stored.error().message}});
}

}  // namespace lanekeeper::handlers
