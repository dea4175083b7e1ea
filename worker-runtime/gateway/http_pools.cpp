// Pools and their lanes, as the operator told of them and as the gateway sees them.
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "worker-runtime/gateway/http_api.h"
#include "worker-runtime/gateway/http_json.h"

namespace lanekeeper::gateway {
namespace {

using Pools = std::vector<std::shared_ptr<const PoolBrief>>;

// A lane that nobody asked about is looked at for the first time now; the answer waits so long.
constexpr std::chrono::milliseconds kGaugeWait{500};
constexpr std::chrono::milliseconds kGaugeLook{20};
constexpr std::chrono::seconds kAuthorizerWait{10};
constexpr std::size_t kNamespacesMax = 1000;  // To be asked about for one list.

// What the authorizer says, waited for.
Answer<Caller> Ask(HttpParts& parts, const std::string& token, std::string_view pool_namespace) {
  const auto answer = std::make_shared<std::promise<Answer<Caller>>>();
  std::future<Answer<Caller>> answered = answer->get_future();
  parts.authorizer.Authorize(token, Verb::kGet, pool_namespace, {},
                             [answer](Answer<Caller> said) { answer->set_value(std::move(said)); });
  if (answered.wait_for(kAuthorizerWait) == std::future_status::ready) return answered.get();
  return Refuse(ProblemType::kAuthUnavailable, "the caller's rights could not be checked",
                std::chrono::seconds(2));
}

// The pools of all namespaces, or of those that the caller may read.
Answer<Pools> ReadablePools(HttpParts& parts, const std::string& token,
                            const std::string& only_namespace) {
  const Pools pools = parts.pools.List(only_namespace);
  const Answer<Caller> caller = Ask(parts, token, only_namespace);
  if (caller) return pools;
  if (!only_namespace.empty() || caller.error().type != ProblemType::kForbidden) {
    return tl::unexpected(caller.error());
  }
  Pools readable;
  std::optional<std::string> asked;
  bool may_read = false;
  std::size_t questions = 0;
  for (const auto& pool : pools) {  // Sorted by namespace.
    if (asked != pool->pool_namespace) {
      if (++questions > kNamespacesMax) {
        return Refuse(ProblemType::kInvalidRequest,
                      "there are too many namespaces to ask about; add ?namespace=");
      }
      asked = pool->pool_namespace;
      const Answer<Caller> here = Ask(parts, token, *asked);
      if (!here && here.error().type != ProblemType::kForbidden) {
        return tl::unexpected(here.error());
      }
      may_read = here.has_value();
    }
    if (may_read) readable.push_back(pool);
  }
  return readable;
}

void ListPools(HttpParts& parts, const ExchangePtr& exchange) {
  const Answer<std::string> token = exchange->Token();
  if (!token) return exchange->Refuse(token.error());
  RunSlowly(parts, exchange, [&parts, exchange, token = *token](const std::stop_token&) {
    const std::string* only = exchange->Query("namespace");
    const Answer<Pools> pools =
        ReadablePools(parts, token, only != nullptr ? *only : std::string());
    if (!pools) return exchange->Refuse(pools.error());
    exchange->Reply({.body = WritePoolList(*pools)});
  });
}

std::vector<LanePicture> LookAtLanes(HttpParts& parts, const PoolBrief& pool,
                                     const std::stop_token& stop) {
  const auto end = std::chrono::steady_clock::now() + kGaugeWait;
  while (true) {
    std::vector<LanePicture> lanes;
    bool all = true;
    for (const LaneBrief& lane : pool.lanes) {
      const LaneKey key = pool.KeyOf(lane);
      lanes.push_back({&lane, parts.gateway.Gauge(key), parts.pools.PauseOf(key)});
      if (lanes.back().gauge) {
        lanes.back().gauge->predicted_wait = parts.pools.PredictedWait(key);
      }
      all = all && lanes.back().gauge;
    }
    if (all || stop.stop_requested() || std::chrono::steady_clock::now() >= end) return lanes;
    std::this_thread::sleep_for(kGaugeLook);
  }
}

void GetPool(HttpParts& parts, const ExchangePtr& exchange) {
  const auto pool = FindPool(parts, exchange);
  if (!pool) return;
  RunSlowly(parts, exchange, [&parts, exchange, pool](const std::stop_token& stop) {
    const std::vector<LanePicture> lanes = LookAtLanes(parts, *pool, stop);
    exchange->Reply(
        {.body = WritePool(*pool, lanes, parts.pools.Status(pool->pool_namespace, pool->pool))});
  });
}

}  // namespace

void AddPoolRoutes(HttpRoutes& routes, HttpParts& parts) {
  routes.push_back(
      {.method = "GET",
       .path = "/v1/pools",
       .access = Access::kOwn,
       .media = "application/json",
       .query = {"namespace"},
       .handler = [&parts](const ExchangePtr& exchange) { ListPools(parts, exchange); }});
  routes.push_back(
      {.method = "GET",
       .path = "/v1/pools/{namespace}/{pool}",
       .media = "application/json",
       .handler = [&parts](const ExchangePtr& exchange) { GetPool(parts, exchange); }});
}

}  // namespace lanekeeper::gateway
