// What the parts of the gateway share, and one submission on its way through them. Private to
// gateway*.cpp.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "worker-runtime/base/alarms.h"
#include "worker-runtime/base/call_queue.h"
#include "worker-runtime/gateway/gateway.h"
#include "worker-runtime/gateway/gauges.h"
#include "worker-runtime/gateway/keys.h"
#include "worker-runtime/gateway/publisher.h"

namespace lanekeeper::gateway {

class GatewayCore;

// A submission from Submit to its answer.
struct HandedIn {
  HandedIn(std::shared_ptr<GatewayCore> gateway, Caller from, Submission what,
           Then<Accepted> answer);

  // Once. Ends what it holds, then calls `then`.
  void Answer(gateway::Answer<Accepted> answer);

  const std::shared_ptr<GatewayCore> core;
  const Caller caller;
  Submission submission;
  Then<Accepted> then;
  MonotonicTime deadline{};
  std::shared_ptr<const PoolBrief> pool;
  const LaneBrief* brief = nullptr;  // Of `pool`: where it was routed to.
  std::shared_ptr<GaugedLane> lane;
  bool counts_caller = false;  // BeginCaller was called.
  Accept admitted;
};

// Outlives the Gateway while answers of NATS are on their way.
class GatewayCore : public std::enable_shared_from_this<GatewayCore> {
 public:
  GatewayCore(nats::Connection& connection, const PoolDirectory& pools, const TypeTimes* types,
              GatewayOptions options);

  void Submit(const std::shared_ptr<HandedIn>& job, std::string_view pool_namespace,
              std::string_view pool);
  void Tick();
  // False: not all was answered by then. Nothing is answered, and no pool looked at, afterwards.
  bool Stop(std::chrono::milliseconds timeout);

  std::shared_ptr<GaugedLane> LaneOf(const PoolBrief& pool, const LaneBrief& lane);

  // Publishes to `lane`. A full one is noted, and answered as kLaneFull with when to come again.
  void Publish(const std::shared_ptr<GaugedLane>& lane, const LaneBrief& brief, OutMessage message,
               MonotonicTime deadline, PublishAgain again, Published then);

  Problem BusyProblem(const LaneKey& lane, const LaneBrief& brief, const Busy& busy) const;

  nats::Connection& connection;
  const PoolDirectory& pools;
  const TypeTimes* const types;
  const GatewayOptions options;
  const std::shared_ptr<Alarms> later = std::make_shared<Alarms>();
  // For what waits for NATS: one after the other.
  const std::shared_ptr<CallQueue> waiting =
      std::make_shared<CallQueue>(/*threads=*/1, /*calls_max=*/1024);
  const std::shared_ptr<Publisher> publisher = std::make_shared<Publisher>(connection, later);
  const std::shared_ptr<KeyStore> keys;
  LaneGauges gauges;
  std::atomic<bool> stopped{false};
  std::atomic<std::int64_t> in_hand{0};
  std::atomic<std::int64_t> keys_completed{0};

 private:
  void Admit(const std::shared_ptr<HandedIn>& job);
  void PublishUnkeyed(const std::shared_ptr<HandedIn>& job, OutMessage message,
                      const std::string& message_id);
  LaneGauge GaugeOf(const GaugedLane& lane) const;
};

// Goes on with a submission that has a key: `busy` when the lane would not take it.
void SubmitWithKey(const std::shared_ptr<HandedIn>& job, std::optional<Problem> busy);

}  // namespace lanekeeper::gateway
