#include "worker-runtime/gateway/http_api.h"

#include <charconv>
#include <exception>
#include <system_error>

#include "worker-runtime/base/log.h"
#include "worker-runtime/gateway/find_pool.h"
#include "worker-runtime/gateway/http_openapi.h"

namespace lanekeeper::gateway {

void RunSlowly(HttpParts& parts, const ExchangePtr& exchange, CallQueue::Call call) {
  const auto guarded = [exchange, call = std::move(call)](const std::stop_token& stop) {
    try {
      call(stop);
    } catch (const std::exception& error) {
      log::Error("http", "failed",
                 {{"request", exchange->request_id()}, {"error", std::string(error.what())}});
      exchange->Refuse(Problem{ProblemType::kQueueUnavailable, "the gateway could not do this",
                               std::chrono::seconds(1)});
    }
  };
  if (parts.slow.Add(guarded)) return;
  exchange->Refuse(Problem{ProblemType::kTooManyRequests,
                           "too many lists and other slow requests are in hand; try again",
                           std::chrono::seconds(2)});
}

std::shared_ptr<const PoolBrief> FindPool(HttpParts& parts, const ExchangePtr& exchange) {
  auto found = gateway::FindPool(parts.pools, exchange->pool_namespace(), exchange->pool());
  if (found) return *std::move(found);
  exchange->Refuse(std::move(found).error());
  return nullptr;
}

void FindJob(HttpParts& parts, const ExchangePtr& exchange, std::function<void(JobView)> then) {
  const std::string& id = exchange->Param("id");
  parts.desk.Find(exchange->pool_namespace(), exchange->pool(), id,
                  [exchange, then = std::move(then)](Answer<JobView> found) {
                    if (!found) return exchange->Refuse(found.error());
                    if (found->lane.pool_namespace != exchange->pool_namespace() ||
                        found->lane.pool != exchange->pool()) {
                      // Of a pool the caller was not asked about.
                      return exchange->Refuse(ProblemType::kJobNotFound,
                                              "there is no job " + Excerpt(exchange->Param("id")) +
                                                  " in pool " + exchange->pool_namespace() + "/" +
                                                  exchange->pool());
                    }
                    then(*std::move(found));
                  });
}

Answer<std::optional<std::uint64_t>> NumberOf(const Exchange& exchange, std::string_view name,
                                              std::uint64_t min, std::uint64_t max) {
  const std::string* text = exchange.Query(name);
  if (text == nullptr) return std::nullopt;
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc() || end != text->data() + text->size() || number < min || number > max) {
    return Refuse(ProblemType::kInvalidRequest,
                  std::string(name) + "=" + Excerpt(*text) + " must be a number from " +
                      std::to_string(min) + " to " + std::to_string(max));
  }
  return number;
}

bool TakesMedia(const ExchangePtr& exchange, std::string_view media, const std::string& body) {
  if (body.empty()) return true;
  const std::string type = exchange->Header("Content-Type");
  if (MediaTypeOf(type) == media) return true;
  exchange->Refuse(ProblemType::kUnsupportedMedia,
                   "the body is \"" + Excerpt(type) + "\"; this path takes " + std::string(media));
  return false;
}

HttpReply JobReply(const JobView& job) {
  HttpReply reply{.status = 200, .body = WriteJobView(job)};
  if (job.revision != 0) {
    reply.headers.emplace_back("ETag", "\"" + std::to_string(job.revision) + "\"");
  }
  return reply;
}

void AddOwnRoutes(HttpRoutes& routes, HttpParts& parts) {
  routes.push_back({.method = "GET",
                    .path = "/v1/openapi.json",
                    .access = Access::kPublic,
                    .media = "application/json",
                    .handler = [](const ExchangePtr& exchange) {
                      exchange->Reply({.body = std::string(OpenApiDocument()),
                                       .headers = {{"Cache-Control", "max-age=300"}}});
                    }});
  routes.push_back({.method = "GET",
                    .path = "/healthz",
                    .access = Access::kPublic,
                    .media = "text/plain",
                    .handler = [](const ExchangePtr& exchange) {
                      exchange->Reply({.body = "ok\n", .media = "text/plain"});
                    }});
  routes.push_back({.method = "GET",
                    .path = "/readyz",
                    .access = Access::kPublic,
                    .media = "text/plain",
                    .handler = [&parts](const ExchangePtr& exchange) {
                      const auto [ready, why] = parts.ready();
                      exchange->Reply(
                          {.status = ready ? 200 : 503, .body = why + "\n", .media = "text/plain"});
                    }});
}

HttpRoutes MakeRoutes(HttpParts& parts) {
  HttpRoutes routes;
  AddSubmitRoutes(routes, parts);
  AddJobRoutes(routes, parts);
  AddEventRoutes(routes, parts);
  AddPoolRoutes(routes, parts);
  AddLaneRoutes(routes, parts);
  AddWorkerRoutes(routes, parts);
  AddDeadLetterRoutes(routes, parts);
  AddOwnRoutes(routes, parts);
  return routes;
}

}  // namespace lanekeeper::gateway
