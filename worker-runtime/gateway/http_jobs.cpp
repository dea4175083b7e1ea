// Jobs by id, and lists of them.
#include <limits>
#include <utility>

#include "worker-runtime/gateway/http_api.h"
#include "worker-runtime/gateway/http_json.h"
#include "worker-runtime/job/rfc3339.h"

namespace lanekeeper::gateway {
namespace {

constexpr std::size_t kTypeBytesMax = 128;
constexpr std::size_t kCursorBytesMax = 1024;

void AnswerJob(const ExchangePtr& exchange, const JobView& job,
               std::optional<std::chrono::seconds> wait) {
  HttpReply reply = JobReply(job);
  if (wait) {
    reply.headers.emplace_back("Preference-Applied", "wait=" + std::to_string(wait->count()));
  }
  const std::string etag = "\"" + std::to_string(job.revision) + "\"";
  if (job.revision != 0 && NamesETag(exchange->Header("If-None-Match"), etag)) {
    reply.status = 304;
    reply.body.clear();
  }
  exchange->Reply(std::move(reply));
}

void GetJob(HttpParts& parts, const ExchangePtr& exchange) {
  const auto wait = ParsePreferWait(exchange->Header("Prefer"));
  if (!wait) return exchange->Refuse(wait.error());
  FindJob(parts, exchange, [&parts, exchange, wait = *wait](const JobView& job) {
    AwaitEnd(parts, exchange, job, wait.value_or(std::chrono::seconds(0)),
             [exchange, wait](const JobView& now) { AnswerJob(exchange, now, wait); });
  });
}

void CancelJob(HttpParts& parts, const ExchangePtr& exchange) {
  FindJob(parts, exchange, [&parts, exchange](const JobView& job) {
    parts.desk.Cancel(job, exchange->caller(), [exchange](Answer<JobView> cancelled) {
      if (!cancelled) return exchange->Refuse(cancelled.error());
      exchange->Reply(JobReply(*cancelled));
    });
  });
}

Answer<std::optional<WallTime>> TimeOf(const Exchange& exchange, std::string_view name) {
  const std::string* text = exchange.Query(name);
  if (text == nullptr) return std::nullopt;
  const std::optional<WallTime> time = ParseRfc3339(*text);
  if (!time) {
    return Refuse(ProblemType::kInvalidRequest,
                  std::string(name) + "=" + Excerpt(*text) +
                      " is not an RFC 3339 time such as 2026-11-26T02:14:07Z");
  }
  return time;
}

Answer<std::optional<std::string>> TextOf(const Exchange& exchange, std::string_view name,
                                          std::size_t bytes_max) {
  const std::string* text = exchange.Query(name);
  if (text == nullptr) return std::nullopt;
  if (text->size() > bytes_max) {
    return Refuse(ProblemType::kInvalidRequest,
                  std::string(name) + " has more than " + std::to_string(bytes_max) + " bytes");
  }
  return *text;
}

Answer<JobListQuery> ReadListQuery(const Exchange& exchange) {
  JobListQuery query;
  if (const std::string* lane = exchange.Query("lane")) query.lane = *lane;
  if (const std::string* state = exchange.Query("state")) {
    query.state = ViewStateFromName(*state);
    if (!query.state) {
      return Refuse(ProblemType::kInvalidRequest,
                    "state=" + Excerpt(*state) +
                        " must be waiting, running, parked, done, dead, moved or cancelled");
    }
  }
  auto type = TextOf(exchange, "type", kTypeBytesMax);
  if (!type) return tl::unexpected(std::move(type).error());
  query.type = *std::move(type);
  const auto since = TimeOf(exchange, "since");
  if (!since) return tl::unexpected(since.error());
  query.since = *since;
  const auto until = TimeOf(exchange, "until");
  if (!until) return tl::unexpected(until.error());
  query.until = *until;
  const auto limit = NumberOf(exchange, "limit", 1, 500);
  if (!limit) return tl::unexpected(limit.error());
  query.limit = static_cast<std::size_t>(limit->value_or(50));
  auto cursor = TextOf(exchange, "cursor", kCursorBytesMax);
  if (!cursor) return tl::unexpected(std::move(cursor).error());
  query.cursor = cursor->value_or("");
  return query;
}

void ListJobs(HttpParts& parts, const ExchangePtr& exchange) {
  const Answer<JobListQuery> query = ReadListQuery(*exchange);
  if (!query) return exchange->Refuse(query.error());
  const auto pool = FindPool(parts, exchange);
  if (!pool) return;
  if (query->lane && pool->FindLane(*query->lane) == nullptr) {
    return exchange->Refuse(ProblemType::kLaneNotFound,
                            "pool " + pool->pool + " has no lane " + Excerpt(*query->lane));
  }
  RunSlowly(parts, exchange, [&parts, exchange, pool, query = *query](const std::stop_token&) {
    const Answer<JobList> list = parts.desk.List(*pool, query);
    if (!list) return exchange->Refuse(list.error());
    exchange->Reply({.body = WriteJobList(*list)});
  });
}

}  // namespace

void AddJobRoutes(HttpRoutes& routes, HttpParts& parts) {
  routes.push_back(
      {.method = "GET",
       .path = "/v1/pools/{namespace}/{pool}/jobs",
       .media = "application/json",
       .query = {"lane", "state", "type", "since", "until", "limit", "cursor"},
       .handler = [&parts](const ExchangePtr& exchange) { ListJobs(parts, exchange); }});
  for (const auto& [path, access] :
       {std::pair("/v1/jobs/{id}", Access::kJob),
        std::pair("/v1/pools/{namespace}/{pool}/jobs/{id}", Access::kPool)}) {
    routes.push_back(
        {.method = "GET",
         .path = path,
         .access = access,
         .media = "application/json",
         .handler = [&parts](const ExchangePtr& exchange) { GetJob(parts, exchange); }});
    routes.push_back(
        {.method = "DELETE",
         .path = path,
         .access = access,
         .verb = Verb::kUpdate,
         .media = "application/json",
         .handler = [&parts](const ExchangePtr& exchange) { CancelJob(parts, exchange); }});
  }
}

}  // namespace lanekeeper::gateway
