// Lanes: pauses, and what the operator decided about them.
#include <utility>

#include "worker-runtime/base/log.h"
#include "worker-runtime/gateway/decisions.h"
#include "worker-runtime/gateway/find_pool.h"
#include "worker-runtime/gateway/http_api.h"
#include "worker-runtime/gateway/http_json.h"

namespace lanekeeper::gateway {
namespace {

void Pause(HttpParts& parts, const ExchangePtr& exchange) {
  const std::string body = exchange->TakeBody();
  if (!TakesMedia(exchange, "application/json", body)) return;
  Answer<LanePause> pause = ReadPause(body, std::chrono::system_clock::now());
  if (!pause) return exchange->Refuse(pause.error());
  pause->by = exchange->caller();
  const std::optional<LaneKey> lane = FindLane(parts, exchange);
  if (!lane) return;
  RunSlowly(parts, exchange,
            [&parts, exchange, lane = *lane, pause = *pause](const std::stop_token&) {
              const Answer<void> paused = parts.desk.Pause(lane, pause);
              if (!paused) return exchange->Refuse(paused.error());
              log::Info("http", "lane_paused",
                        {{"request", exchange->request_id()},
                         {"lane", ToString(lane)},
                         {"until", FormatRfc3339(pause.until)},
                         {"by", pause.by}});
              exchange->Reply({.body = WritePause(lane.lane, pause)});
            });
}

void Resume(HttpParts& parts, const ExchangePtr& exchange) {
  const std::optional<LaneKey> lane = FindLane(parts, exchange);
  if (!lane) return;
  RunSlowly(parts, exchange, [&parts, exchange, lane = *lane](const std::stop_token&) {
    const Answer<void> resumed = parts.desk.Resume(lane);
    if (!resumed) return exchange->Refuse(resumed.error());
    log::Info("http", "lane_resumed",
              {{"request", exchange->request_id()},
               {"lane", ToString(lane)},
               {"by", exchange->caller()}});
    exchange->Reply({.status = 204});
  });
}

constexpr std::uint64_t kDecisionsMax = 200;
constexpr std::uint64_t kDecisionsShown = 20;

void ShowDecisions(HttpParts& parts, const ExchangePtr& exchange) {
  const auto limit = NumberOf(*exchange, "limit", 1, kDecisionsMax);
  if (!limit) return exchange->Refuse(limit.error());
  const std::optional<LaneKey> lane = FindLane(parts, exchange);
  if (!lane) return;
  if (parts.decisions == nullptr) {
    return exchange->Refuse(ProblemType::kNoSuchPath, "this gateway does not know of decisions");
  }
  const std::size_t count = limit->value_or(kDecisionsShown);
  RunSlowly(parts, exchange, [&parts, exchange, lane = *lane, count](const std::stop_token&) {
    const auto decisions = parts.decisions->Last(lane, count);
    if (!decisions) return exchange->Refuse(decisions.error());
    exchange->Reply({.body = WriteDecisions(*decisions)});
  });
}

}  // namespace

std::optional<LaneKey> FindLane(HttpParts& parts, const ExchangePtr& exchange) {
  const auto pool = FindPool(parts, exchange);
  if (!pool) return std::nullopt;
  const LaneBrief* lane = pool->FindLane(exchange->Param("lane"));
  if (lane != nullptr) return pool->KeyOf(*lane);
  exchange->Refuse(NoSuchLane(*pool, exchange->Param("lane")));
  return std::nullopt;
}

void AddLaneRoutes(HttpRoutes& routes, HttpParts& parts) {
  routes.push_back({.method = "POST",
                    .path = "/v1/pools/{namespace}/{pool}/lanes/{lane}/pause",
                    .verb = Verb::kUpdate,
                    .media = "application/json",
                    .handler = [&parts](const ExchangePtr& exchange) { Pause(parts, exchange); }});
  routes.push_back({.method = "POST",
                    .path = "/v1/pools/{namespace}/{pool}/lanes/{lane}/resume",
                    .verb = Verb::kUpdate,
                    .handler = [&parts](const ExchangePtr& exchange) { Resume(parts, exchange); }});
  routes.push_back(
      {.method = "GET",
       .path = "/v1/pools/{namespace}/{pool}/lanes/{lane}/decisions",
       .media = "application/json",
       .query = {"limit"},
       .handler = [&parts](const ExchangePtr& exchange) { ShowDecisions(parts, exchange); }});
}

}  // namespace lanekeeper::gateway
