#include "worker-runtime/gateway/http_server.h"

#include <cpprest/http_listener.h>
#include <sys/random.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "worker-runtime/base/log.h"
#include "worker-runtime/gateway/http_api.h"
#include "worker-runtime/gateway/http_metrics.h"
#include "worker-runtime/gateway/http_router.h"
#include "worker-runtime/job/names.h"

namespace lanekeeper::gateway {
namespace {

using web::http::http_request;
using web::http::experimental::listener::http_listener;

constexpr std::string_view kAllowedHeaders =
    "Authorization, Content-Type, Idempotency-Key, Prefer, traceparent, X-Request-Id, "
    "Last-Event-ID, If-None-Match, Lk-Type, Lk-Lane, Lk-Deadline, Lk-Timeout";
constexpr std::string_view kExposedHeaders =
    "Location, Retry-After, ETag, Idempotency-Replayed, Preference-Applied, X-Request-Id";

// How long a drain takes is not known: as long as the longest job.
constexpr std::chrono::seconds kDrainRetryAfter{5};

// Unlikely to be the same twice; no secret.
std::string NewRequestId() {
  static const std::uint64_t start = [] {
    std::uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed) {
      seed =
          static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
    }
    return seed;
  }();
  static std::atomic<std::uint64_t> count{0};
  // A odd factor makes neighbours look different, and keeps all of them different.
  const std::uint64_t id = (start + ++count) * 0x9E3779B97F4A7C15ULL;
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text(16, '0');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = kHex[(id >> (60 - 4 * i)) & 0xf];
  return text;
}

// What a request's end is counted in; outlives the server as long as a request does.
struct Tally {
  explicit Tally(HttpMetrics& metrics_of) : metrics(metrics_of) {}
  HttpMetrics& metrics;
  std::atomic<std::size_t> in_hand{0};

  void Count(const ExchangeEnd& end) {
    std::string route = "-";
    if (end.route != nullptr)
      route = std::string(end.route->method) + " " + std::string(end.route->path);
    metrics.OnAnswer(route, end.status, end.took);
    if (end.problem) metrics.OnRefusal(*end.problem);
    --in_hand;
  }
};

// New ones, or dead ones again.
bool HandsInJobs(const HttpRoute& route) {
  return route.verb == Verb::kCreate || route.path.ends_with("/replay");
}

// namespace, pool and lane become parts of subjects and streams.
Answer<void> CheckLabels(const Exchange& exchange) {
  for (const std::string_view name : {"namespace", "pool", "lane"}) {
    const std::string& label = exchange.Param(name);
    if (label.empty() || CheckLaneKey({label, label, label})) continue;
    return Refuse(ProblemType::kInvalidRequest,
                  std::string(name) + " \"" + Excerpt(label) +
                      "\" is not a name: lower-case letters, digits and '-', at most 63");
  }
  if (exchange.Param("id").size() > 256) {
    return Refuse(ProblemType::kInvalidRequest, "a job's id has at most 256 bytes");
  }
  return {};
}

Answer<std::map<std::string, std::string, std::less<>>> CheckQuery(const HttpRoute& route,
                                                                   HttpTarget& target) {
  std::map<std::string, std::string, std::less<>> query;
  for (auto& [name, value] : target.query) {
    if (std::find(route.query.begin(), route.query.end(), name) == route.query.end()) {
      std::string known;
      for (const std::string_view each : route.query) {
        known.append(known.empty() ? "" : ", ").append(each);
      }
      return Refuse(ProblemType::kInvalidRequest,
                    "there is no query parameter \"" + Excerpt(name) + "\" here; " +
                        (known.empty() ? "this path has none" : "there are " + known));
    }
    if (!query.emplace(name, std::move(value)).second) {
      return Refuse(ProblemType::kInvalidRequest, "query parameter " + name + " is given twice");
    }
  }
  if (const auto lane = query.find("lane");
      lane != query.end() && !CheckLaneKey({"n", "p", lane->second})) {
    return Refuse(ProblemType::kInvalidRequest,
                  "lane=" + Excerpt(lane->second) +
                      " is not a name: lower-case letters, digits and '-', at most 63");
  }
  if (const auto space = query.find("namespace");
      space != query.end() && !CheckLaneKey({space->second, "p", "l"})) {
    return Refuse(ProblemType::kInvalidRequest,
                  "namespace=" + Excerpt(space->second) +
                      " is not a name: lower-case letters, digits and '-', at most 63");
  }
  return query;
}

class Server final : public HttpServer {
 public:
  Server(HttpServerOptions options, const HttpBackends& backends)
      : options_(std::move(options)),
        connection_(backends.connection),
        tally_(std::make_shared<Tally>(backends.metrics)),
        origins_(options_.cors_origins.begin(), options_.cors_origins.end()),
        slow_(options_.slow_threads, options_.slow_queue_max),
        parts_{backends.gateway,
               backends.desk,
               backends.pools,
               backends.authorizer,
               nullptr,
               backends.metrics,
               alarms_,
               slow_,
               live_,
               options_.heartbeat,
               [this] { return Ready(); },
               backends.workers,
               backends.decisions},
        router_(MakeRoutes(parts_)),
        listener_((options_.tls ? "https://" : "http://") + options_.address) {
    if (connection_ != nullptr) parts_.jetstream = &jetstream_.emplace(*connection_);
    const auto serve = [this](const http_request& request) { Serve(request); };
    listener_.support(serve);
    // cpprestsdk would answer these two itself, and TRACE with everything the request had in it.
    listener_.support(web::http::methods::OPTIONS, serve);
    listener_.support(web::http::methods::TRCE, serve);
  }
  ~Server() override { Stop(); }

  void Open() { listener_.open().wait(); }

  void Drain() override { draining_ = true; }

  void Stop() override {
    if (stopping_.exchange(true)) return;
    live_.EndAll();
    slow_.Hurry();
    const auto end = std::chrono::steady_clock::now() + options_.finish_max;
    while (tally_->in_hand > 0 && std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    // Watches that ended are let go there.
    std::promise<void> rung;
    alarms_.Soon([&rung] { rung.set_value(); });
    rung.get_future().wait();
    try {
      listener_.close().wait();
    } catch (const std::exception& error) {
      log::Debug("http", "close_failed", {{"error", error.what()}});
    }
    log::Info("http", "stopped", {{"left_in_hand", tally_->in_hand.load()}});
  }

  std::pair<bool, std::string> Ready() const override {
    if (stopping_) return {false, "stopping"};
    if (draining_) return {false, "draining"};
    if (connection_ != nullptr && !connection_->Connected()) {
      return {false, "not connected to NATS"};
    }
    if (!parts_.pools.Ready()) return {false, "the pools have not been read from NATS yet"};
    return {true, "ok"};
  }

  std::size_t InHand() const override { return tally_->in_hand; }

 private:
  void Serve(const http_request& request) {
    const auto& headers = request.headers();
    const auto given = headers.find("X-Request-Id");
    const bool take = given != headers.end() && IsRequestId(given->second);
    ++tally_->in_hand;
    const auto exchange = std::make_shared<Exchange>(
        request, take ? given->second : NewRequestId(), std::chrono::steady_clock::now(),
        [tally = tally_](const ExchangeEnd& end) { tally->Count(end); });
    try {
      Dispatch(exchange);
    } catch (const std::exception& error) {
      Failed(exchange, error);
    }
  }

  static void Failed(const ExchangePtr& exchange, const std::exception& error) {
    log::Error("http", "failed",
               {{"request", exchange->request_id()}, {"error", std::string(error.what())}});
    exchange->Refuse(Problem{ProblemType::kQueueUnavailable, "the gateway could not do this",
                             std::chrono::seconds(1)});
  }

  void Dispatch(const ExchangePtr& exchange) {
    AddCors(*exchange);
    if (stopping_) {
      return exchange->Refuse(Problem{ProblemType::kQueueUnavailable,
                                      "this gateway stops; another one is there",
                                      std::chrono::seconds(1)});
    }
    const web::uri& uri = exchange->request().request_uri();
    Answer<HttpTarget> target = ParseTarget(uri.path(), uri.query());
    if (!target) return exchange->Refuse(target.error());
    HttpRouter::Match match = router_.Find(exchange->Method(), target->segments);
    // "//host/v1/pools" would be the path of another host.
    if (match.allow.empty() || (uri.scheme().empty() && !uri.host().empty())) {
      return exchange->Refuse(
          ProblemType::kNoSuchPath,
          "there is nothing at " + Excerpt(uri.path()) + "; /v1/openapi.json lists the paths");
    }
    if (exchange->Method() == "OPTIONS") return AnswerOptions(exchange, match.allow);
    if (match.route == nullptr) {
      exchange->AddAnswerHeader("Allow", match.allow);
      return exchange->Refuse(
          ProblemType::kMethodNotAllowed,
          "this path has no " + Excerpt(exchange->Method()) + "; it has " + match.allow);
    }
    exchange->SetRoute(match.route, std::move(match.params));
    const Answer<void> labels = CheckLabels(*exchange);
    if (!labels) return exchange->Refuse(labels.error());
    Authorize(exchange, std::make_shared<HttpTarget>(*std::move(target)));
  }

  void Authorize(const ExchangePtr& exchange, std::shared_ptr<HttpTarget> target) {
    const HttpRoute& route = *exchange->route();
    if (route.access == Access::kPublic || route.access == Access::kOwn) {
      return Enter(exchange, *target);
    }
    const Answer<std::string> token = exchange->Token();
    if (!token) return exchange->Refuse(token.error());
    std::optional<Problem> unknown;
    if (route.access == Access::kJob) {
      const Answer<LaneKey> lane = parts_.desk.LaneOfJob(exchange->Param("id"));
      if (lane) {
        exchange->SetPool(lane->pool_namespace, lane->pool);
      } else {
        unknown = lane.error();
      }
    }
    parts_.authorizer.Authorize(
        *token, route.verb, exchange->pool_namespace(), exchange->pool(),
        [this, exchange, target = std::move(target), unknown](Answer<Caller> caller) {
          // Whether there is such a job is not told to somebody who is nobody.
          if (unknown && (caller || caller.error().type == ProblemType::kForbidden)) {
            return exchange->Refuse(*unknown);
          }
          if (!caller) return exchange->Refuse(caller.error());
          exchange->SetCaller(*std::move(caller));
          try {
            Enter(exchange, *target);
          } catch (const std::exception& error) {
            Failed(exchange, error);
          }
        });
  }

  void Enter(const ExchangePtr& exchange, HttpTarget& target) const {
    const HttpRoute& route = *exchange->route();
    if (draining_ && HandsInJobs(route)) {
      return exchange->Refuse(
          Problem{ProblemType::kQueueUnavailable,
                  "this gateway drains and takes no more jobs; try again when it is back",
                  kDrainRetryAfter});
    }
    if (!Accepts(exchange->Header("Accept"), route.media)) {
      return exchange->Refuse(
          ProblemType::kNotAcceptable,
          "this path answers " + std::string(route.media) + "; Accept does not take it");
    }
    auto query = CheckQuery(route, target);
    if (!query) return exchange->Refuse(query.error());
    exchange->SetQuery(*std::move(query));
    route.handler(exchange);
  }

  void AddCors(Exchange& exchange) const {
    if (origins_.empty()) return;
    exchange.AddAnswerHeader("Vary", "Origin");
    const std::string origin = exchange.Header("Origin");
    if (!origins_.contains(origin)) return;
    exchange.AddAnswerHeader("Access-Control-Allow-Origin", origin);
    exchange.AddAnswerHeader("Access-Control-Expose-Headers", std::string(kExposedHeaders));
  }

  void AnswerOptions(const ExchangePtr& exchange, const std::string& allow) const {
    HttpReply reply{.status = 204, .headers = {{"Allow", allow}}};
    if (origins_.contains(exchange->Header("Origin"))) {
      reply.headers.emplace_back("Access-Control-Allow-Methods", allow);
      reply.headers.emplace_back("Access-Control-Allow-Headers", std::string(kAllowedHeaders));
      reply.headers.emplace_back("Access-Control-Max-Age", "600");
    }
    exchange->Reply(std::move(reply));
  }

  const HttpServerOptions options_;
  nats::Connection* const connection_;
  const std::shared_ptr<Tally> tally_;
  const std::set<std::string, std::less<>> origins_;
  std::optional<nats::JetStream> jetstream_;
  HttpLive live_;
  Alarms alarms_;
  CallQueue slow_;
  HttpParts parts_;
  const HttpRouter router_;
  std::atomic<bool> draining_{false};
  std::atomic<bool> stopping_{false};
  http_listener listener_;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::Start(HttpServerOptions options,
                                                      const HttpBackends& backends) {
  const std::string address = options.address;
  try {
    auto server = std::make_unique<Server>(std::move(options), backends);
    server->Open();
    return server;
  } catch (const std::exception& error) {
    return Fail(ErrorKind::kInvalid, "listening on " + address + ": " + error.what());
  }
}

}  // namespace lanekeeper::gateway
