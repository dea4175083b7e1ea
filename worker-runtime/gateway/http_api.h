// The paths of the HTTP API: what each needs, and who adds which rows to the router's table.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "worker-runtime/base/alarms.h"
#include "worker-runtime/base/call_queue.h"
#include "worker-runtime/gateway/authorizer.h"
#include "worker-runtime/gateway/gateway.h"
#include "worker-runtime/gateway/http_exchange.h"
#include "worker-runtime/gateway/http_live.h"
#include "worker-runtime/gateway/job_desk.h"
#include "worker-runtime/gateway/pool_directory.h"
#include "worker-runtime/nats/jetstream.h"

namespace lanekeeper::gateway {

class DecisionLog;  // decisions.h
class HttpMetrics;  // http_metrics.h
class WorkerDesk;   // worker_desk.h

// All of it outlives the last exchange.
struct HttpParts {
  Gateway& gateway;
  JobDesk& desk;
  const PoolDirectory& pools;
  Authorizer& authorizer;
  const nats::JetStream* jetstream = nullptr;  // For dead letters; null: there are none.
  HttpMetrics& metrics;
  Alarms& alarms;
  CallQueue& slow;
  HttpLive& live;
  std::chrono::milliseconds heartbeat{15'000};
  // Ready to take jobs: (true, "ok") or (false, why).
  std::function<std::pair<bool, std::string>()> ready;
  WorkerDesk* workers = nullptr;     // Null: none is known.
  DecisionLog* decisions = nullptr;  // Null: there are none here.
  std::atomic<int> long_calls{0};    // Replays and discards that go on.
};

using HttpRoutes = std::vector<HttpRoute>;
void AddSubmitRoutes(HttpRoutes& routes, HttpParts& parts);
void AddJobRoutes(HttpRoutes& routes, HttpParts& parts);
void AddEventRoutes(HttpRoutes& routes, HttpParts& parts);
void AddPoolRoutes(HttpRoutes& routes, HttpParts& parts);
void AddLaneRoutes(HttpRoutes& routes, HttpParts& parts);
void AddWorkerRoutes(HttpRoutes& routes, HttpParts& parts);
void AddDeadLetterRoutes(HttpRoutes& routes, HttpParts& parts);
void AddOwnRoutes(HttpRoutes& routes, HttpParts& parts);  // The document, health.
HttpRoutes MakeRoutes(HttpParts& parts);

// What several of them do.

// Calls `call` on a thread that may wait; kTooManyRequests when there are too many already.
void RunSlowly(HttpParts& parts, const ExchangePtr& exchange, CallQueue::Call call);
// The pool of the path; refuses when there is none.
std::shared_ptr<const PoolBrief> FindPool(HttpParts& parts, const ExchangePtr& exchange);
// The lane of the path; refuses when there is no such pool, or it has none of that name.
std::optional<LaneKey> FindLane(HttpParts& parts, const ExchangePtr& exchange);
// The job of the path, in the pool of the path or of its id; `then` only when there is one.
void FindJob(HttpParts& parts, const ExchangePtr& exchange, std::function<void(JobView)> then);
// Query parameters as numbers; nothing when absent.
Answer<std::optional<std::uint64_t>> NumberOf(const Exchange& exchange, std::string_view name,
                                              std::uint64_t min, std::uint64_t max);
// Whether the body is of this media type; refuses, naming it, when it is not. An empty body is of
// every type.
bool TakesMedia(const ExchangePtr& exchange, std::string_view media, const std::string& body);
// Holds the answer until the job has ended, `wait` is over or a shutdown begins; `done` gets the
// job as it was seen last, once, unless the client goes away first.
void AwaitEnd(HttpParts& parts, const ExchangePtr& exchange, const JobView& job,
              std::chrono::seconds wait, std::function<void(const JobView&)> done);
// `job`, with its ETag.
HttpReply JobReply(const JobView& job);

}  // namespace lanekeeper::gateway
