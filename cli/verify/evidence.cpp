#include "cli/verify/evidence.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <thread>
#include <utility>

#include "worker-runtime/job/codec.h"
#include "worker-runtime/nats/job_record_json.h"

namespace lanekeeper::verify {
namespace {

using nats::ApiCause;
using nats::ApiResult;
using nats::StoredMessage;
using nlohmann::json;

// A stream is read in as many pieces at once: each message is one question and one answer.
constexpr std::uint64_t kReaders = 16;
constexpr int kTriesMax = 10;
constexpr std::chrono::milliseconds kTryPause{500};

// Called with one message at a time, in no order. An error ends the reading.
using Visitor = std::function<Result<void>(const StoredMessage&)>;

// Asks again while the answer may come: the leader has just gone.
template <typename Question>
auto Ask(const Question& question) {
  for (int tries = 1;; ++tries) {
    auto answer = question();
    if (answer || answer.error().error.kind != ErrorKind::kRetryable || tries == kTriesMax) {
      return answer;
    }
    std::this_thread::sleep_for(kTryPause);
  }
}

// The first message on `filter` at or after `sequence`. Not a direct get: any replica answers that,
// also one that lags behind.
ApiResult<StoredMessage> NextFromLeader(const nats::JetStream& jetstream, const std::string& stream,
                                        std::uint64_t sequence, const std::string& filter) {
  const std::string request = json{{"seq", sequence}, {"next_by_subj", filter}}.dump();
  auto answer = Ask([&] { return jetstream.Call("STREAM.MSG.GET." + stream, request); });
  if (!answer) return tl::unexpected(std::move(answer).error());
  return nats::ParseStoredMessage(*answer);
}

// Visits what lies in [first, last].
Result<void> VisitRange(const nats::JetStream& jetstream, const std::string& stream,
                        const std::string& filter, std::uint64_t first, std::uint64_t last,
                        const Visitor& visit) {
  for (std::uint64_t next = first; next <= last;) {
    const auto message = NextFromLeader(jetstream, stream, next, filter);
    if (!message && message.error().cause == ApiCause::kMessageMissing) return {};
    if (!message) return tl::unexpected(message.error().error);
    if (message->sequence > last) return {};
    if (auto visited = visit(*message); !visited) {
      return Wrap(std::move(visited).error(), "message " + std::to_string(message->sequence));
    }
    next = message->sequence + 1;
  }
  return {};
}

enum class Missing { kIsEmpty, kIsAnError };

Result<void> VisitStream(const nats::JetStream& jetstream, const std::string& stream,
                         const std::string& filter, Missing missing, const Visitor& visit) {
  const auto state = Ask([&] { return jetstream.StreamInfo(stream); });
  if (!state) {
    const bool absent = state.error().cause == ApiCause::kStreamMissing;
    if (absent && missing == Missing::kIsEmpty) return {};
    return tl::unexpected(state.error().error);
  }
  if (state->messages == 0) return {};
  std::mutex mutex;
  Result<void> all;
  const Visitor visit_one = [&](const StoredMessage& message) -> Result<void> {
    const std::lock_guard lock(mutex);
    return visit(message);
  };
  const std::uint64_t length = state->last_sequence - state->first_sequence + 1;
  const std::uint64_t piece = (length + kReaders - 1) / kReaders;
  {
    std::vector<std::jthread> readers;
    for (std::uint64_t first = state->first_sequence; first <= state->last_sequence;
         first += piece) {
      readers.emplace_back([&, first] {
        const std::uint64_t last = std::min(first + piece - 1, state->last_sequence);
        auto read = VisitRange(jetstream, stream, filter, first, last, visit_one);
        const std::lock_guard lock(mutex);
        if (!read && all) all = std::move(read);
      });
    }
  }
  if (!all) return Wrap(std::move(all).error(), "reading stream " + stream);
  return {};
}

std::string HeaderOr(const StoredMessage& message, std::string_view name, std::string fallback) {
  const auto value = FindHeader(message.headers, name);
  return value ? std::string(*value) : std::move(fallback);
}

std::string TextAt(const json& object, const char* field) {
  const auto found = object.find(field);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

int IntegerAt(const json& object, const char* field) {
  const auto found = object.find(field);
  return found != object.end() && found->is_number_integer() ? found->get<int>() : 0;
}

Result<EndedRun> ReadEndedRun(const std::string& text) {
  const json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return Fail(ErrorKind::kInvalid, "a result is a JSON object with an id");
  EndedRun run{.id = TextAt(object, "id"),
               .worker = TextAt(object, "worker"),
               .started = TextAt(object, "started"),
               .run = IntegerAt(object, "run")};
  if (run.id.empty()) return Fail(ErrorKind::kInvalid, "a result without an id");
  return run;
}

// Results are any bytes; those that say who wrote them are {"worker":…,"run":…}.
std::optional<Author> AuthorOf(const std::string& result) {
  const json object = json::parse(result, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return std::nullopt;
  Author author{.worker = TextAt(object, "worker"), .run = IntegerAt(object, "run")};
  if (author.worker.empty() || author.run == 0) return std::nullopt;
  return author;
}

Result<void> AddRecord(const StoredMessage& message, Evidence& evidence) {
  if (FindHeader(message.headers, "KV-Operation") || message.payload.empty())
    return {};  // Removed.
  auto record = nats::ReadJobRecord(message.payload);
  if (!record) return tl::unexpected(std::move(record).error());
  if (auto author = AuthorOf(record->result)) evidence.authors.emplace(record->id, *author);
  std::string id = record->id;
  evidence.records.insert_or_assign(std::move(id), *std::move(record));
  return {};
}

void AddLetter(const StoredMessage& message, Evidence& evidence) {
  // The second part of a large one.
  if (HeaderOr(message, kHeaderDeadPart, "1/").rfind("1/", 0) != 0) return;
  evidence.dead.push_back({.id = HeaderOr(message, kHeaderDeadJobId, ""),
                           .reason = HeaderOr(message, kHeaderDeadReason, "")});
}

}  // namespace

std::vector<std::string> ReadIds(std::istream& lines) {
  constexpr const char* kSpace = " \t\r";
  std::vector<std::string> ids;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t begin = line.find_first_not_of(kSpace);
    if (begin == std::string::npos) continue;
    ids.push_back(line.substr(begin, line.find_last_not_of(kSpace) + 1 - begin));
  }
  return ids;
}

Result<Evidence> ReadEvidence(const nats::JetStream& jetstream, const Sources& sources,
                              std::vector<std::string> accepted) {
  const LaneKey& lane = sources.lane;
  const std::string stream = sources.stream.empty() ? JobStreamName(lane) : sources.stream;
  const std::string dead = sources.dead_stream.empty()
                               ? DeadStreamName(lane.pool_namespace, lane.pool)
                               : sources.dead_stream;
  Evidence evidence{.accepted = std::move(accepted), .has_runs = !sources.results_stream.empty()};

  struct Part {
    std::string stream;
    std::string filter;
    Missing missing;
    Visitor visit;
  };
  // The lane first: what is settled while the rest is read then shows up there.
  const std::vector<Part> parts{
      {stream, ">", Missing::kIsAnError,
       [&](const StoredMessage& message) -> Result<void> {
         evidence.queued.push_back(
             JobIdOf({.stream = stream, .sequence = message.sequence, .headers = message.headers}));
         return {};
       }},
      {sources.accepted_stream, ">", Missing::kIsAnError,
       [&](const StoredMessage& message) -> Result<void> {
         std::istringstream lines(message.payload);
         for (std::string& id : ReadIds(lines)) evidence.accepted.push_back(std::move(id));
         return {};
       }},
      {sources.results_stream, ">", Missing::kIsAnError,
       [&](const StoredMessage& message) -> Result<void> {
         auto run = ReadEndedRun(message.payload);
         if (!run) return tl::unexpected(std::move(run).error());
         evidence.runs.push_back(*std::move(run));
         return {};
       }},
      {dead, DeadSubject(lane), Missing::kIsEmpty,
       [&](const StoredMessage& message) -> Result<void> {
         AddLetter(message, evidence);
         return {};
       }},
      {std::string(kRecordStream), RecordSubjectFilter(lane), Missing::kIsEmpty,
       [&](const StoredMessage& message) { return AddRecord(message, evidence); }},
  };
  for (const Part& part : parts) {
    if (part.stream.empty()) continue;
    auto read = VisitStream(jetstream, part.stream, part.filter, part.missing, part.visit);
    if (!read) return tl::unexpected(std::move(read).error());
  }
  return evidence;
}

}  // namespace lanekeeper::verify
