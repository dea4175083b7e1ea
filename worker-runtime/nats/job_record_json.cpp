#include "worker-runtime/nats/job_record_json.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "worker-runtime/base/text.h"
#include "worker-runtime/job/rfc3339.h"

namespace lanekeeper::nats {
namespace {

using nlohmann::json;

constexpr int kRecordVersion = 1;

// Appends the fields of one object; nlohmann would build a tree for every record of every job.
class ObjectText {
 public:
  ObjectText() { text_.reserve(512); }  // A record without a checkpoint or a result.

  void Number(std::string_view name, std::uint64_t value) {
    Name(name);
    text_ += std::to_string(value);
  }
  void Text(std::string_view name, std::string_view value) {
    Name(name);
    Quote(value);
  }
  void Raw(std::string_view name, std::string_view value) {
    Name(name);
    text_ += value;
  }
  std::string Take() { return std::move(text_) + '}'; }

 private:
  void Name(std::string_view name) {
    text_ += text_.empty() ? "{\"" : ",\"";
    text_.append(name).append("\":");
  }
  void Quote(std::string_view value) {
    const bool plain = std::all_of(value.begin(), value.end(), [](char c) {
      return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
    });
    if (plain) {
      text_.append(1, '"').append(value).append(1, '"');
    } else {
      text_ += json(value).dump(-1, ' ', false, json::error_handler_t::replace);
    }
  }

  std::string text_;
};

void AddText(ObjectText& object, std::string_view name, std::string_view value) {
  if (!value.empty()) object.Text(name, value);
}
void AddCount(ObjectText& object, std::string_view name, int value) {
  if (value != 0) object.Number(name, static_cast<std::uint64_t>(value));
}
void AddTime(ObjectText& object, std::string_view name, WallTime time) {
  if (time != WallTime{}) object.Text(name, FormatRfc3339Nanos(time));
}
void AddBytes(ObjectText& object, std::string_view name, std::string_view bytes) {
  if (bytes.empty()) return;
  if (IsUtf8Text(bytes)) {
    object.Text(name, bytes);
  } else {
    object.Text(std::string(name) + "_base64", EncodeBase64(bytes));
  }
}

std::string WritePastLife(const PastLife& past) {
  ObjectText object;
  object.Text("state", NameOf(past.state));
  AddText(object, "reason", past.reason);
  AddCount(object, "attempts", past.attempts);
  AddCount(object, "crashes", past.crashes);
  AddTime(object, "ended", past.ended_at);
  return object.Take();
}

std::string WritePastRun(const PastRun& run) {
  ObjectText object;
  object.Text("outcome", run.outcome);
  AddTime(object, "started", run.started_at);
  AddTime(object, "ended", run.ended_at);
  AddText(object, "worker", run.worker);
  AddText(object, "error", run.error);
  return object.Take();
}

template <typename T>
void AddList(ObjectText& object, std::string_view name, const std::vector<T>& entries,
             std::string (*write)(const T&)) {
  if (entries.empty()) return;
  std::string list;
  for (const T& entry : entries) list += (list.empty() ? "[" : ",") + write(entry);
  object.Raw(name, list + ']');
}

// Reads fields and remembers the first one that is not what it should be.
class RecordFields {
 public:
  explicit RecordFields(const json& object) : object_(object) {}

  std::string Text(const char* name) {
    const json* value = Find(name);
    if (value == nullptr) return {};
    if (!value->is_string()) return Bad(name), std::string();
    return value->get<std::string>();
  }
  std::uint64_t Number(const char* name, std::uint64_t max) {
    const json* value = Find(name);
    if (value == nullptr) return 0;
    if (!value->is_number_unsigned() || value->get<std::uint64_t>() > max) return Bad(name), 0;
    return value->get<std::uint64_t>();
  }
  int Count(const char* name) {
    return static_cast<int>(Number(name, std::numeric_limits<int>::max()));
  }
  double Fraction(const char* name) {
    const json* value = Find(name);
    if (value == nullptr) return 0;
    if (!value->is_number()) return Bad(name), 0;
    const double fraction = value->get<double>();
    if (!(fraction >= 0 && fraction <= 1)) return Bad(name), 0;
    return fraction;
  }
  WallTime Time(const char* name) {
    const std::string text = Text(name);
    if (text.empty()) return {};
    const auto time = ParseRfc3339(text);
    if (!time) return Bad(name), WallTime{};
    return *time;
  }
  std::string Bytes(const char* name) {
    const std::string encoded_name = std::string(name) + "_base64";
    if (!object_.contains(encoded_name)) return Text(name);
    auto bytes = DecodeBase64(Text(encoded_name.c_str()));
    if (!bytes) return Bad(encoded_name.c_str()), std::string();
    return *std::move(bytes);
  }
  JobState State() {
    const auto state = JobStateFromName(Text("state"));
    if (!state) Bad("state");
    return state.value_or(JobState::kDead);
  }
  void Bad(std::string_view name) {
    if (bad_.empty()) bad_ = name;
  }
  // Calls `read` for each of the objects in a list of at most `entries_max`.
  void List(const char* name, std::size_t entries_max,
            const std::function<void(RecordFields&)>& read) {
    const json* list = Find(name);
    if (list == nullptr) return;
    if (!list->is_array() || list->size() > entries_max) return Bad(name);
    for (const json& entry : *list) {
      if (!entry.is_object()) return Bad(name);
      RecordFields fields(entry);
      read(fields);
      if (!fields.bad().empty()) return Bad(std::string(name) + "." + fields.bad());
    }
  }
  const json* Find(const char* name) const {
    const auto found = object_.find(name);
    return found == object_.end() ? nullptr : &*found;
  }
  const std::string& bad() const { return bad_; }

 private:
  const json& object_;
  std::string bad_;
};

}  // namespace

std::string WriteJobRecord(const JobRecord& record) {
  ObjectText object;
  object.Number("v", kRecordVersion);
  object.Text("id", record.id);
  AddText(object, "type", record.type);
  object.Text("state", NameOf(record.state));
  object.Number("sequence", record.sequence);
  AddTime(object, "stored", record.stored_at);
  AddText(object, "moved_from", record.moved_from);
  AddCount(object, "attempts", record.attempts);
  AddCount(object, "crashes", record.crashes);
  AddCount(object, "interruptions", record.interruptions);
  AddCount(object, "runs", record.runs);
  AddText(object, "worker", record.worker);
  AddText(object, "instance", record.instance);
  AddTime(object, "first_started", record.first_started_at);
  AddTime(object, "started", record.started_at);
  AddTime(object, "ended", record.ended_at);
  if (record.progress > 0) object.Raw("progress", json(record.progress).dump());
  AddText(object, "progress_note", record.progress_note);
  AddBytes(object, "checkpoint", record.checkpoint);
  AddBytes(object, "result", record.result);
  AddText(object, "error", record.error);
  AddText(object, "error_class", record.error_class);
  AddText(object, "dead_reason", record.dead_reason);
  AddText(object, "moved_to", record.moved_to);
  AddList(object, "history", record.history, &WritePastLife);
  AddList(object, "past_runs", record.past_runs, &WritePastRun);
  return object.Take();
}

Result<JobRecord> ReadJobRecord(std::string_view text) {
  const json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return Fail(ErrorKind::kInvalid, "job record: not a JSON object");
  RecordFields fields(object);
  JobRecord record;
  record.id = fields.Text("id");
  if (record.id.empty()) fields.Bad("id");
  record.type = fields.Text("type");
  record.state = fields.State();
  record.sequence = fields.Number("sequence", std::numeric_limits<std::uint64_t>::max());
  record.stored_at = fields.Time("stored");
  record.moved_from = fields.Text("moved_from");
  record.attempts = fields.Count("attempts");
  record.crashes = fields.Count("crashes");
  record.interruptions = fields.Count("interruptions");
  record.runs = fields.Count("runs");
  record.worker = fields.Text("worker");
  record.instance = fields.Text("instance");
  record.first_started_at = fields.Time("first_started");
  record.started_at = fields.Time("started");
  record.ended_at = fields.Time("ended");
  record.progress = fields.Fraction("progress");
  record.progress_note = fields.Text("progress_note");
  record.checkpoint = fields.Bytes("checkpoint");
  record.result = fields.Bytes("result");
  record.error = fields.Text("error");
  record.error_class = fields.Text("error_class");
  record.dead_reason = fields.Text("dead_reason");
  record.moved_to = fields.Text("moved_to");
  fields.List("history", kRecordHistoryMax, [&](RecordFields& past) {
    record.history.push_back({.state = past.State(),
                              .reason = past.Text("reason"),
                              .attempts = past.Count("attempts"),
                              .crashes = past.Count("crashes"),
                              .ended_at = past.Time("ended")});
  });
  fields.List("past_runs", kPastRunsMax, [&](RecordFields& past) {
    record.past_runs.push_back({.started_at = past.Time("started"),
                                .ended_at = past.Time("ended"),
                                .outcome = past.Text("outcome"),
                                .worker = past.Text("worker"),
                                .error = past.Text("error")});
  });
  if (!fields.bad().empty()) return Fail(ErrorKind::kInvalid, "job record: " + fields.bad());
  return record;
}

}  // namespace lanekeeper::nats
