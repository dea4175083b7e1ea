#include "worker-runtime/gateway/job_view.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "worker-runtime/base/text.h"
#include "worker-runtime/job/settlement.h"

namespace lanekeeper::gateway {
namespace {

using nlohmann::json;

constexpr std::array<std::pair<ViewState, std::string_view>, 7> kStates{
    {{ViewState::kWaiting, "waiting"},
     {ViewState::kRunning, "running"},
     {ViewState::kParked, "parked"},
     {ViewState::kDone, "done"},
     {ViewState::kDead, "dead"},
     {ViewState::kMoved, "moved"},
     {ViewState::kCancelled, "cancelled"}}};

constexpr std::string_view kStreamPrefix = "LK_";

bool IsAlphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

ViewState StateOf(JobState state) {
  switch (state) {
    case JobState::kRunning:
      return ViewState::kRunning;
    case JobState::kWaiting:
      return ViewState::kParked;
    case JobState::kDone:
      return ViewState::kDone;
    case JobState::kDead:
      return ViewState::kDead;
    case JobState::kMoved:
      return ViewState::kMoved;
    case JobState::kCancelled:
      return ViewState::kCancelled;
  }
  return ViewState::kDead;
}

std::string Quoted(std::string_view text) {
  return json(text).dump(-1, ' ', false, json::error_handler_t::replace);
}

// Appends the members of one object. Values that are JSON already go in as they are: a result's
// numbers must not change on their way.
class ObjectText {
 public:
  void Raw(std::string_view name, std::string_view value) {
    text_.append(text_.empty() ? "{" : ",").append(Quoted(name)).append(":").append(value);
  }
  void Text(std::string_view name, std::string_view value) {
    if (!value.empty()) Raw(name, Quoted(value));
  }
  template <typename Integer>
  void Number(std::string_view name, Integer value) {
    Raw(name, std::to_string(value));
  }
  void Time(std::string_view name, WallTime time) {
    if (time != WallTime{}) Text(name, FormatRfc3339Micros(time));
  }
  bool empty() const { return text_.empty(); }
  std::string Take() { return text_.empty() ? "{}" : std::move(text_) + "}"; }

 private:
  std::string text_;
};

std::string ListOf(const std::vector<std::string>& entries) {
  std::string text = "[";
  for (const std::string& entry : entries) text.append(text.size() > 1 ? "," : "").append(entry);
  return text + "]";
}

// How the run that ended a job ended; nothing when no handler saw it.
std::string_view LastOutcome(const JobRecord& record) {
  if (record.state == JobState::kDone) return "done";
  if (record.state == JobState::kCancelled) return "cancelled";
  if (record.dead_reason == kDeadRejected) return "rejected";
  if (record.dead_reason == kDeadAttemptsUsedUp) return kRunFailed;
  if (record.dead_reason == kDeadCrashesUsedUp) return kRunCrashed;
  return {};
}

std::string RunText(const PastRun& run) {
  ObjectText text;
  text.Time("started_at", run.started_at);
  text.Time("ended_at", run.ended_at);
  text.Text("outcome", run.outcome);
  text.Text("worker", run.worker);
  text.Text("error", run.error);
  return text.Take();
}

std::string RunsText(const JobRecord& record) {
  std::vector<std::string> runs;
  for (const PastRun& run : record.past_runs) runs.push_back(RunText(run));
  const bool known =
      record.started_at == WallTime{} ||
      (!record.past_runs.empty() && record.past_runs.back().started_at == record.started_at);
  const std::string_view outcome = LastOutcome(record);
  const bool seen = !Finished(record) || !outcome.empty();
  if (!known && seen) {
    PastRun last{.started_at = record.started_at,
                 .ended_at = record.ended_at,
                 .outcome = std::string(outcome),
                 .worker = record.worker};
    if (record.state == JobState::kDead) last.error = record.error;
    runs.push_back(RunText(last));
  }
  return runs.empty() ? std::string() : ListOf(runs);
}

std::string HistoryText(const std::vector<PastLife>& history) {
  std::vector<std::string> lives;
  for (const PastLife& life : history) {
    ObjectText text;
    text.Text("state", NameOf(life.state));
    text.Text("reason", life.reason);
    text.Number("attempts", life.attempts);
    text.Number("crashes", life.crashes);
    text.Time("ended_at", life.ended_at);
    lives.push_back(text.Take());
  }
  return ListOf(lives);
}

void AddResult(ObjectText& object, const std::string& result) {
  if (result.empty()) return;
  if (!IsUtf8Text(result)) return object.Text("result_base64", EncodeBase64(result));
  if (!json::accept(result)) return object.Text("result", result);
  // Line ends stand between tokens only; without them it fits into one line of an event stream.
  std::string line = result;
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  object.Raw("result", line);
}

void AddRecord(ObjectText& object, const JobRecord& record) {
  object.Number("attempts", record.attempts);
  object.Number("crashes", record.crashes);
  object.Number("interruptions", record.interruptions);
  if (const std::string runs = RunsText(record); !runs.empty()) object.Raw("runs", runs);
  ObjectText progress;
  if (record.progress > 0) progress.Raw("fraction", json(record.progress).dump());
  progress.Text("note", record.progress_note);
  if (!progress.empty()) object.Raw("progress", progress.Take());
  AddResult(object, record.result);
  ObjectText error;
  error.Text("class", record.error_class);
  error.Text("message", record.error);
  if (!error.empty()) object.Raw("error", error.Take());
  if (record.state == JobState::kDead) {
    ObjectText dead;
    dead.Text("reason", record.dead_reason);
    object.Raw("dead", dead.Take());
  }
  if (record.state == JobState::kMoved) object.Text("moved_to", record.moved_to);
  if (!record.history.empty()) object.Raw("history", HistoryText(record.history));
}

// As a segment of a path.
std::string Encoded(std::string_view text) {
  constexpr std::string_view hex = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (IsAlphanumeric(c) || std::string_view("-._~").find(c) != std::string_view::npos) {
      encoded += c;
    } else {
      encoded.append({'%', hex[byte >> 4], hex[byte & 15]});
    }
  }
  return encoded;
}

std::string SelfOf(const JobView& view) {
  const auto place = PlaceOfJobId(view.id);
  const auto lane = place ? LaneOfStream(place->stream) : std::nullopt;
  if (lane && lane->pool_namespace == view.lane.pool_namespace && lane->pool == view.lane.pool) {
    return "/v1/jobs/" + Encoded(view.id);
  }
  return "/v1/pools/" + view.lane.pool_namespace + "/" + view.lane.pool + "/jobs/" +
         Encoded(view.id);
}

}  // namespace

std::optional<JobPlace> PlaceOfJobId(std::string_view id) {
  const std::size_t dot = id.find('.');
  if (dot == std::string_view::npos || dot == 0) return std::nullopt;
  JobPlace place{.stream = std::string(id.substr(0, dot))};
  std::string_view rest = id.substr(dot + 1);
  if (rest.empty() || rest.front() < '1' || rest.front() > '9') return std::nullopt;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), place.sequence);
  if (error != std::errc()) return std::nullopt;
  rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
  if (rest.empty()) return place;
  const std::string_view tail = rest.substr(1);
  const bool good =
      rest.front() == '.' && !tail.empty() && std::all_of(tail.begin(), tail.end(), IsAlphanumeric);
  return good ? std::optional(std::move(place)) : std::nullopt;
}

std::optional<LaneKey> LaneOfStream(std::string_view stream) {
  if (!stream.starts_with(kStreamPrefix)) return std::nullopt;
  std::string_view rest = stream.substr(kStreamPrefix.size());
  std::array<std::string, 3> parts;
  for (std::size_t n = 0; n < parts.size(); ++n) {
    const std::size_t end = n + 1 < parts.size() ? rest.find('_') : rest.size();
    if (end == std::string_view::npos) return std::nullopt;
    parts[n] = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  LaneKey key{std::move(parts[0]), std::move(parts[1]), std::move(parts[2])};
  if (!CheckLaneKey(key)) return std::nullopt;
  return key;
}

std::string_view NameOf(ViewState state) {
  for (const auto& [candidate, name] : kStates) {
    if (candidate == state) return name;
  }
  return {};
}

std::optional<ViewState> ViewStateFromName(std::string_view name) {
  for (const auto& [state, candidate] : kStates) {
    if (candidate == name) return state;
  }
  return std::nullopt;
}

bool Ended(ViewState state) {
  return state == ViewState::kDone || state == ViewState::kDead || state == ViewState::kCancelled;
}

JobView ViewOfRecord(const LaneKey& lane, JobRecord record, std::uint64_t revision) {
  JobView view{.id = record.id,
               .lane = lane,
               .type = record.type,
               .state = StateOf(record.state),
               .sequence = record.sequence,
               .submitted_at = record.stored_at,
               .revision = revision};
  record.checkpoint.clear();
  view.record = std::move(record);
  return view;
}

std::string WriteJobView(const JobView& view) {
  ObjectText object;
  object.Text("id", view.id);
  object.Text("namespace", view.lane.pool_namespace);
  object.Text("pool", view.lane.pool);
  object.Text("lane", view.lane.lane);
  object.Text("type", view.type);
  object.Text("state", NameOf(view.state));
  if (view.gone) object.Raw("gone", "true");
  object.Time("submitted_at", view.submitted_at);
  if (view.position) object.Number("position", *view.position);
  if (view.eta) object.Number("eta_seconds", view.eta->count());
  if (view.record) AddRecord(object, *view.record);
  if (view.revision != 0) object.Number("revision", view.revision);
  const std::string self = SelfOf(view);
  ObjectText links;
  links.Text("self", self);
  links.Text("events", self + "/events");
  object.Raw("links", links.Take());
  return object.Take();
}

}  // namespace lanekeeper::gateway
