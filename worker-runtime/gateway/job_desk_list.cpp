#include "worker-runtime/gateway/job_desk_list.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "worker-runtime/gateway/job_desk_find.h"
#include "worker-runtime/job/codec.h"
#include "worker-runtime/nats/stream_pages.h"

namespace lanekeeper::gateway {
namespace {

using nats::ApiCause;
using nats::StoredMessage;

constexpr std::size_t kListMax = 500;
constexpr int kPagesPerList = 40;
constexpr const char* kEverything = ">";
constexpr std::uint64_t kEndless = std::numeric_limits<std::uint64_t>::max() - 1;

// Where a list goes on: "r<sequence>" in the records, downwards from there, or "w<sequence>.<lane>"
// in the messages of a lane, upwards.
struct Cursor {
  enum class Part { kRecords, kWaiting };
  Part part = Part::kRecords;
  std::uint64_t sequence = 0;  // 0: at the beginning of the part.
  std::string lane;            // With kWaiting; empty: the first.
};

std::string Write(const Cursor& cursor) {
  if (cursor.part == Cursor::Part::kRecords) return "r" + std::to_string(cursor.sequence);
  return "w" + std::to_string(cursor.sequence) + "." + cursor.lane;
}

std::optional<Cursor> ReadCursor(std::string_view text) {
  if (text.size() < 2 || (text.front() != 'r' && text.front() != 'w')) return std::nullopt;
  Cursor cursor{.part = text.front() == 'r' ? Cursor::Part::kRecords : Cursor::Part::kWaiting,
                .lane = {}};
  text.remove_prefix(1);
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), cursor.sequence);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (cursor.part == Cursor::Part::kRecords) {
    return text.empty() && cursor.sequence > 0 ? std::optional(cursor) : std::nullopt;
  }
  if (text.size() < 2 || text.front() != '.') return std::nullopt;
  cursor.lane = text.substr(1);
  return cursor;
}

Problem ProblemOf(std::string_view what, const nats::ApiError& error) {
  return Unavailable(what, error.error);
}

// A page of a stream without direct gets: message by message, from its leader.
nats::ApiResult<std::uint64_t> ReadSlowPage(const DeskCore& core, const std::string& stream,
                                            const std::string& subject, std::uint64_t from,
                                            const std::function<void(StoredMessage)>& visit) {
  for (std::uint64_t n = 0; n < nats::kPageMessages; ++n) {
    const nlohmann::json request = {{"seq", from}, {"next_by_subj", subject}};
    auto answer = core.jetstream.Call("STREAM.MSG.GET." + stream, request.dump());
    if (!answer && answer.error().cause == ApiCause::kMessageMissing) return 0;
    if (!answer) return tl::unexpected(std::move(answer).error());
    auto stored = nats::ParseStoredMessage(*answer);
    if (!stored) return tl::unexpected(std::move(stored).error());
    from = stored->sequence + 1;
    visit(*std::move(stored));
  }
  return from;
}

// A user's own stream may not allow direct gets; the server leaves them without an answer then.
nats::ApiResult<bool> HasDirectGets(const DeskCore& core, const LaneBrief& lane) {
  if (!lane.external) return true;
  const auto state = core.jetstream.StreamInfo(lane.stream);
  if (!state) return tl::unexpected(state.error());
  const auto config =
      nlohmann::json::parse(state->config_json, nullptr, /*allow_exceptions=*/false);
  const auto direct = config.find("allow_direct");
  return direct != config.end() && direct->is_boolean() && direct->get<bool>();
}

class Lister {
 public:
  Lister(const DeskCore& core, const PoolBrief& pool, const JobListQuery& query)
      : core_(core), pool_(pool), query_(query) {}

  Answer<JobList> List() {
    if (auto problem = Check()) return tl::unexpected(*std::move(problem));
    if (cursor_.part == Cursor::Part::kRecords) {
      if (auto problem = ListRecords()) return tl::unexpected(*std::move(problem));
      if (!list_.next.empty()) return std::move(list_);
      cursor_ = {.part = Cursor::Part::kWaiting, .lane = {}};
    }
    if (query_.state.value_or(ViewState::kWaiting) == ViewState::kWaiting) {
      if (auto problem = ListWaiting()) return tl::unexpected(*std::move(problem));
    }
    return std::move(list_);
  }

 private:
  std::optional<Problem> Check() {
    const auto bad = [](std::string detail) {
      return Problem{.type = ProblemType::kInvalidRequest, .detail = std::move(detail)};
    };
    if (query_.limit < 1 || query_.limit > kListMax) {
      return bad("limit: give a number from 1 to " + std::to_string(kListMax));
    }
    if (query_.lane && pool_.FindLane(*query_.lane) == nullptr) {
      std::string lanes;
      for (const LaneBrief& lane : pool_.lanes) lanes += (lanes.empty() ? "" : ", ") + lane.name;
      return Problem{.type = ProblemType::kLaneNotFound,
                     .detail = "lane: pool " + pool_.pool + " has no lane \"" +
                               query_.lane->substr(0, 64) + "\"; it has " + lanes};
    }
    if (query_.state == ViewState::kWaiting) cursor_.part = Cursor::Part::kWaiting;
    if (query_.cursor.empty()) return std::nullopt;
    const auto cursor = ReadCursor(query_.cursor);
    const bool good =
        cursor && (cursor->part == Cursor::Part::kWaiting ? pool_.FindLane(cursor->lane) != nullptr
                                                          : query_.state != ViewState::kWaiting);
    if (!good) return bad("cursor: not one of this list; give `next` of the page before, or none");
    cursor_ = *cursor;
    return std::nullopt;
  }

  bool Wanted(const JobView& view, WallTime changed_at) const {
    return (!query_.state || *query_.state == view.state) &&
           (!query_.type || *query_.type == view.type) &&
           (!query_.since || changed_at >= *query_.since) &&
           (!query_.until || changed_at < *query_.until);
  }

  // False: the page is full, and goes on at `here`.
  bool Add(JobView view, WallTime changed_at, const Cursor& here) {
    if (!Wanted(view, changed_at)) return true;
    if (list_.jobs.size() == query_.limit) {
      list_.next = Write(here);
      return false;
    }
    list_.jobs.push_back(std::move(view));
    return true;
  }

  // ---- Records, the last changed first ----

  std::string RecordFilter() const {
    return RecordSubjectFilter({pool_.pool_namespace, pool_.pool, query_.lane.value_or("*")});
  }

  std::optional<Problem> ListRecords() {
    const std::string stream(kRecordStream);
    const auto state = core_.jetstream.StreamInfo(stream);
    if (!state && state.error().cause == ApiCause::kStreamMissing) return std::nullopt;
    if (!state) return ProblemOf("listing jobs", state.error());
    if (state->messages == 0) return std::nullopt;
    std::uint64_t high = state->last_sequence;
    if (cursor_.sequence != 0) high = std::min(high, cursor_.sequence);
    nats::BackwardWindows windows(state->first_sequence, high);
    while (!windows.Over()) {
      if (pages_left_ <= 0) {
        list_.next =
            Write({.part = Cursor::Part::kRecords, .sequence = windows.high(), .lane = {}});
        return std::nullopt;
      }
      std::vector<StoredMessage> window;
      bool narrowed = false;
      for (std::uint64_t at = windows.low(); at != 0 && !narrowed; --pages_left_) {
        const auto next =
            nats::ReadPage(core_.jetstream, stream, RecordFilter(), at, windows.high(),
                           core_.options.answer_timeout,
                           [&](StoredMessage stored) { window.push_back(std::move(stored)); });
        if (!next) return ProblemOf("listing jobs", next.error());
        at = *next;
        narrowed = at != 0 && windows.Narrow();
      }
      if (narrowed) continue;
      std::reverse(window.begin(), window.end());
      for (const StoredMessage& stored : window) {
        if (query_.since && stored.stored_at < *query_.since) return std::nullopt;
        if (!AddRecord(stored)) return std::nullopt;
      }
      windows.Next(window.empty());
    }
    return std::nullopt;
  }

  bool AddRecord(const StoredMessage& stored) {
    constexpr int kSubjectPrefixTokens = 2;  // $KV.LK_jobs
    auto lane = LaneKeyFromSubject(stored.subject, kSubjectPrefixTokens);
    RecordSeen seen = ReadSeen(stored);
    if (!lane || !seen.record) return true;
    return Add(ViewOfRecord(*lane, *std::move(seen.record), seen.revision), stored.stored_at,
               {.part = Cursor::Part::kRecords, .sequence = stored.sequence, .lane = {}});
  }

  // ---- Messages that wait, the oldest first, lane by lane ----

  std::optional<Problem> ListWaiting() {
    bool reached = cursor_.lane.empty();
    for (const LaneBrief& lane : pool_.lanes) {
      const bool here = lane.name == cursor_.lane;
      reached = reached || here;
      if (!reached || (query_.lane && *query_.lane != lane.name)) continue;
      if (auto problem = ListLane(lane, here ? cursor_.sequence : 0)) return problem;
      if (!list_.next.empty()) return std::nullopt;
    }
    return std::nullopt;
  }

  std::optional<Problem> ListLane(const LaneBrief& lane, std::uint64_t from) {
    const LaneKey key = pool_.KeyOf(lane);
    const auto predicted = core_.pools.PredictedWait(key);
    std::optional<nats::ConsumerState> consumer;
    const auto at = [&lane](std::uint64_t sequence) {
      return Cursor{.part = Cursor::Part::kWaiting, .sequence = sequence, .lane = lane.name};
    };
    const auto next = VisitLane(
        core_, lane,
        {.from = from, .on_consumer = [&](const nats::ConsumerState& state) { consumer = state; }},
        pages_left_, [&](const StoredMessage& stored) {
          if (query_.until && stored.stored_at >= *query_.until) return false;
          JobView view = ViewOfMessage(key, HeadOnly(lane.stream, stored));
          if (consumer) SetPosition(view, *consumer, predicted);
          return Add(std::move(view), stored.stored_at, at(stored.sequence));
        });
    if (!next) return next.error();
    if (*next != 0 && list_.next.empty()) list_.next = Write(at(*next));
    return std::nullopt;
  }

  const DeskCore& core_;
  const PoolBrief& pool_;
  const JobListQuery& query_;
  Cursor cursor_;
  int pages_left_ = kPagesPerList;
  JobList list_;
};

}  // namespace

Answer<std::uint64_t> VisitLane(const DeskCore& core, const LaneBrief& lane, const LaneVisit& how,
                                int& pages_left,
                                const std::function<bool(const StoredMessage&)>& visit) {
  const auto consumer = core.jetstream.ConsumerInfo(lane.stream, lane.consumer);
  if (!consumer && consumer.error().cause == ApiCause::kStreamMissing) return 0;
  if (!consumer && consumer.error().cause != ApiCause::kConsumerMissing) {
    return tl::unexpected(ProblemOf("reading lane " + lane.name, consumer.error()));
  }
  std::uint64_t at = std::max<std::uint64_t>(how.from, 1);
  std::string subject = kEverything;
  if (consumer) {
    if (!how.started_too) at = std::max(at, consumer->delivered_stream_sequence + 1);
    if (!consumer->filter_subject.empty()) subject = consumer->filter_subject;
    if (how.on_consumer) how.on_consumer(*consumer);
  }
  const auto direct = HasDirectGets(core, lane);
  if (!direct && direct.error().cause == ApiCause::kStreamMissing) return 0;
  if (!direct) return tl::unexpected(ProblemOf("reading lane " + lane.name, direct.error()));
  bool goes_on = true;
  const auto one = [&](const StoredMessage& stored) { goes_on = goes_on && visit(stored); };
  while (at != 0 && goes_on) {
    if (pages_left-- <= 0) return at;
    const auto next = *direct ? nats::ReadPage(core.jetstream, lane.stream, subject, at, kEndless,
                                               core.options.answer_timeout, one)
                              : ReadSlowPage(core, lane.stream, subject, at, one);
    if (!next && next.error().cause == ApiCause::kStreamMissing) return 0;
    if (!next) return tl::unexpected(ProblemOf("reading lane " + lane.name, next.error()));
    at = *next;
  }
  return 0;
}

Answer<JobList> ListJobs(const DeskCore& core, const PoolBrief& pool, const JobListQuery& query) {
  return Lister(core, pool, query).List();
}

}  // namespace lanekeeper::gateway
