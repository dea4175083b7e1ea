// Dead letters: list, group, show, replay, discard. Everything here waits for NATS.
#include <charconv>
#include <memory>
#include <stop_token>
#include <system_error>
#include <utility>

#include "worker-runtime/base/log.h"
#include "worker-runtime/gateway/http_api.h"
#include "worker-runtime/gateway/http_json.h"
#include "worker-runtime/nats/dead_letters.h"

namespace lanekeeper::gateway {
namespace {

// Of the threads that may wait, so many are left to others while replays go on.
constexpr int kLongCallsMax = 2;
constexpr std::chrono::seconds kLongCallMax{25};
constexpr std::chrono::milliseconds kReplayOneWait{5'000};
constexpr std::size_t kFilterBytesMax = 128;

Problem ToProblem(const Error& error) {
  switch (error.kind) {
    case ErrorKind::kNotFound:
      return {ProblemType::kDeadLetterNotFound, error.message, std::nullopt};
    case ErrorKind::kInvalid:
      return {ProblemType::kInvalidRequest, error.message, std::nullopt};
    case ErrorKind::kForbidden:
    case ErrorKind::kRetryable:
      break;
  }
  return {ProblemType::kQueueUnavailable, error.message, std::chrono::seconds(2)};
}

// One dead letter: what is not there is named as the client knows it.
Problem ToProblem(const Error& error, const Exchange& exchange) {
  Problem problem = ToProblem(error);
  if (problem.type == ProblemType::kDeadLetterNotFound) {
    problem.detail = "there is no dead letter " + exchange.Param("sequence") + " in pool " +
                     exchange.pool_namespace() + "/" + exchange.pool();
  }
  return problem;
}

using Call = std::function<void(const nats::DeadLetters&, const std::stop_token&)>;

void WithDeadLetters(HttpParts& parts, const ExchangePtr& exchange, Call call) {
  const auto pool = FindPool(parts, exchange);
  if (!pool) return;
  if (parts.jetstream == nullptr) {
    return exchange->Refuse(Problem{ProblemType::kQueueUnavailable,
                                    "there is no connection to NATS", std::chrono::seconds(2)});
  }
  RunSlowly(parts, exchange, [&parts, pool, call = std::move(call)](const std::stop_token& stop) {
    call(nats::DeadLetters(*parts.jetstream, pool->pool_namespace, pool->pool), stop);
  });
}

Answer<DeadFilter> ReadFilter(const Exchange& exchange) {
  DeadFilter filter;
  for (const auto& [name, field] :
       {std::pair("lane", &filter.lane), std::pair("type", &filter.type),
        std::pair("reason", &filter.reason), std::pair("fingerprint", &filter.fingerprint)}) {
    const std::string* text = exchange.Query(name);
    if (text == nullptr) continue;
    if (text->size() > kFilterBytesMax) {
      return Refuse(ProblemType::kInvalidRequest,
                    std::string(name) + " is longer than anything it could match");
    }
    *field = *text;
  }
  // It becomes a part of a subject.
  if (filter.lane && !CheckLaneKey({"n", "p", *filter.lane})) {
    return Refuse(ProblemType::kInvalidRequest,
                  "lane=" + Excerpt(*filter.lane) +
                      " is not a name: lower-case letters, digits and '-', at most 63");
  }
  return filter;
}

void List(HttpParts& parts, const ExchangePtr& exchange) {
  Answer<DeadFilter> filter = ReadFilter(*exchange);
  if (!filter) return exchange->Refuse(filter.error());
  const auto limit = NumberOf(*exchange, "limit", 1, 500);
  if (!limit) return exchange->Refuse(limit.error());
  const auto from = NumberOf(*exchange, "from", 1, ~std::uint64_t{0});
  if (!from) return exchange->Refuse(from.error());
  const nats::DeadListOptions options{.filter = *std::move(filter),
                                      .from = from->value_or(0),
                                      .limit = static_cast<std::size_t>(limit->value_or(50))};
  WithDeadLetters(parts, exchange,
                  [exchange, options](const nats::DeadLetters& letters, const std::stop_token&) {
                    const Result<nats::DeadList> list = letters.List(options);
                    if (!list) return exchange->Refuse(ToProblem(list.error()));
                    exchange->Reply({.body = WriteDeadList(list->entries, list->next)});
                  });
}

void Group(HttpParts& parts, const ExchangePtr& exchange) {
  const Answer<DeadFilter> filter = ReadFilter(*exchange);
  if (!filter) return exchange->Refuse(filter.error());
  WithDeadLetters(
      parts, exchange,
      [exchange, filter = *filter](const nats::DeadLetters& letters, const std::stop_token&) {
        const Result<DeadGroups> groups = letters.Group(filter);
        if (!groups) return exchange->Refuse(ToProblem(groups.error()));
        exchange->Reply({.body = WriteDeadGroups(*groups)});
      });
}

// Nothing, and refused, when it is no number.
std::optional<std::uint64_t> SequenceOf(const ExchangePtr& exchange) {
  const std::string& text = exchange->Param("sequence");
  std::uint64_t sequence = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), sequence);
  if (error == std::errc() && end == text.data() + text.size() && sequence > 0) return sequence;
  exchange->Refuse(
      ProblemType::kInvalidRequest,
      "\"" + Excerpt(text) + "\" is not the sequence of a dead letter: a number from 1");
  return std::nullopt;
}

void Show(HttpParts& parts, const ExchangePtr& exchange) {
  const std::optional<std::uint64_t> sequence = SequenceOf(exchange);
  if (!sequence) return;
  const std::string* asked = exchange->Query("payload");
  if (asked != nullptr && *asked != "true" && *asked != "false") {
    return exchange->Refuse(ProblemType::kInvalidRequest,
                            "payload=" + Excerpt(*asked) + " must be true or false");
  }
  const bool payload = asked != nullptr && *asked == "true";
  WithDeadLetters(parts, exchange,
                  [exchange, sequence = *sequence, payload](const nats::DeadLetters& letters,
                                                            const std::stop_token&) {
                    const Result<DeadEntry> entry = letters.Show(sequence);
                    if (!entry) return exchange->Refuse(ToProblem(entry.error(), *exchange));
                    exchange->Reply({.body = WriteDeadEntry(*entry, payload)});
                  });
}

void LogChange(const ExchangePtr& exchange, const char* event, std::int64_t done) {
  log::Info("http", event,
            {{"request", exchange->request_id()},
             {"pool", exchange->pool_namespace() + "/" + exchange->pool()},
             {"by", exchange->caller()},
             {"done", done}});
}

void ReplayOne(HttpParts& parts, const ExchangePtr& exchange) {
  const std::optional<std::uint64_t> sequence = SequenceOf(exchange);
  if (!sequence) return;
  const std::string body = exchange->TakeBody();
  if (!TakesMedia(exchange, "application/json", body)) return;
  const Answer<std::string> lane = ReadReplayOne(body);
  if (!lane) return exchange->Refuse(lane.error());
  WithDeadLetters(parts, exchange,
                  [exchange, sequence = *sequence, lane = *lane](const nats::DeadLetters& letters,
                                                                 const std::stop_token& stop) {
                    const Result<void> sent = letters.Replay(
                        sequence, {.lane = lane, .wait_max = kReplayOneWait, .stop = stop});
                    if (!sent) return exchange->Refuse(ToProblem(sent.error(), *exchange));
                    LogChange(exchange, "dead_letter_replayed", 1);
                    exchange->Reply({.body = WriteDeadCount({.done = 1})});
                  });
}

void DiscardOne(HttpParts& parts, const ExchangePtr& exchange) {
  const std::optional<std::uint64_t> sequence = SequenceOf(exchange);
  if (!sequence) return;
  WithDeadLetters(
      parts, exchange,
      [exchange, sequence = *sequence](const nats::DeadLetters& letters, const std::stop_token&) {
        const Result<void> gone = letters.Discard(sequence);
        if (!gone) return exchange->Refuse(ToProblem(gone.error(), *exchange));
        LogChange(exchange, "dead_letter_discarded", 1);
        exchange->Reply({.status = 204});
      });
}

// Stops a long call at its time, when the client has gone, or with the gateway.
class Patience {
 public:
  Patience(HttpParts& parts, const ExchangePtr& exchange, const std::stop_token& stop)
      : alarms_(parts.alarms),
        alarm_(alarms_.In(kLongCallMax, [source = source_]() mutable { source.request_stop(); })),
        ends_(stop, [source = source_]() mutable { source.request_stop(); }) {
    exchange->OnGone([source = source_]() mutable { source.request_stop(); });
  }
  ~Patience() { alarms_.Cancel(alarm_); }
  Patience(const Patience&) = delete;
  Patience& operator=(const Patience&) = delete;

  std::stop_token token() const { return source_.get_token(); }

 private:
  std::stop_source source_;
  Alarms& alarms_;
  const Alarms::Id alarm_;
  std::stop_callback<std::function<void()>> ends_;
};

using Many = std::function<nats::DeadOutcome(const nats::DeadLetters&, const std::stop_token&)>;

void ChangeMany(HttpParts& parts, const ExchangePtr& exchange, const char* event, Many many) {
  // Given back when the last copy of the call has gone, whether it ran or not.
  const std::shared_ptr<void> seat(nullptr, [&parts](void*) { --parts.long_calls; });
  if (++parts.long_calls > kLongCallsMax) {
    return exchange->Refuse(Problem{ProblemType::kTooManyRequests,
                                    "two replays or discards are going on already; try again",
                                    std::chrono::seconds(10)});
  }
  WithDeadLetters(parts, exchange,
                  [&parts, exchange, event, many = std::move(many), seat](
                      const nats::DeadLetters& letters, const std::stop_token& stop) {
                    const Patience patience(parts, exchange, stop);
                    const nats::DeadOutcome outcome = many(letters, patience.token());
                    LogChange(exchange, event, outcome.progress.done);
                    DeadCount count{.done = outcome.progress.done,
                                    .kept = outcome.progress.kept,
                                    .kept_why = outcome.progress.kept_why};
                    if (outcome.ended_by) {
                      count.complete = false;
                      // That its time was over is no news.
                      if (!patience.token().stop_requested())
                        count.ended_by = outcome.ended_by->message;
                      if (count.done == 0 && !count.ended_by.empty()) {
                        return exchange->Refuse(ToProblem(*outcome.ended_by));
                      }
                    }
                    exchange->Reply({.body = WriteDeadCount(count)});
                  });
}

void ReplayMany(HttpParts& parts, const ExchangePtr& exchange) {
  const std::string body = exchange->TakeBody();
  if (!TakesMedia(exchange, "application/json", body)) return;
  const Answer<ReplayRequest> request = ReadReplayMany(body);
  if (!request) return exchange->Refuse(request.error());
  ChangeMany(parts, exchange, "dead_letters_replayed",
             [request = *request](const nats::DeadLetters& letters, const std::stop_token& stop) {
               return letters.Replay(
                   request.filter,
                   {.lane = request.lane, .per_second = request.per_second, .stop = stop});
             });
}

void DiscardMany(HttpParts& parts, const ExchangePtr& exchange) {
  const std::string body = exchange->TakeBody();
  if (!TakesMedia(exchange, "application/json", body)) return;
  const Answer<DeadFilter> filter = ReadDiscardMany(body);
  if (!filter) return exchange->Refuse(filter.error());
  ChangeMany(parts, exchange, "dead_letters_discarded",
             [filter = *filter](const nats::DeadLetters& letters, const std::stop_token& stop) {
               return letters.Discard(filter, stop);
             });
}

}  // namespace

void AddDeadLetterRoutes(HttpRoutes& routes, HttpParts& parts) {
  const std::vector<std::string_view> filter{"lane", "type", "reason", "fingerprint"};
  std::vector<std::string_view> list = filter;
  list.insert(list.end(), {"limit", "from"});
  const auto add = [&](std::string_view method, std::string_view path, Verb verb,
                       std::string_view media, std::vector<std::string_view> query, auto handle) {
    routes.push_back(
        {.method = method,
         .path = path,
         .verb = verb,
         .media = media,
         .query = std::move(query),
         .handler = [&parts, handle](const ExchangePtr& exchange) { handle(parts, exchange); }});
  };
  constexpr std::string_view kJson = "application/json";
  // Words before {sequence}: a path belongs to the first template that fits.
  add("GET", "/v1/pools/{namespace}/{pool}/dead", Verb::kGet, kJson, list, List);
  add("GET", "/v1/pools/{namespace}/{pool}/dead/groups", Verb::kGet, kJson, filter, Group);
  add("POST", "/v1/pools/{namespace}/{pool}/dead/replay", Verb::kUpdate, kJson, {}, ReplayMany);
  add("POST", "/v1/pools/{namespace}/{pool}/dead/discard", Verb::kUpdate, kJson, {}, DiscardMany);
  add("GET", "/v1/pools/{namespace}/{pool}/dead/{sequence}", Verb::kGet, kJson, {"payload"}, Show);
  add("DELETE", "/v1/pools/{namespace}/{pool}/dead/{sequence}", Verb::kUpdate, {}, {}, DiscardOne);
  add("POST", "/v1/pools/{namespace}/{pool}/dead/{sequence}/replay", Verb::kUpdate, kJson, {},
      ReplayOne);
}

}  // namespace lanekeeper::gateway
