// The gateway: takes jobs in. parse → route → admit → publish → answer; HTTP stands before it, NATS
// behind it.
//
// A job is accepted when JetStream has stored it, and not before. Nothing here waits: every call
// goes on in its `then`. Any thread. Bounded: `in_hand_max` submissions at once, then
// kTooManyRequests.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "worker-runtime/gateway/admission.h"
#include "worker-runtime/gateway/pool_directory.h"
#include "worker-runtime/gateway/problem.h"
#include "worker-runtime/gateway/submission.h"
#include "worker-runtime/gateway/type_times.h"
#include "worker-runtime/nats/connection.h"

namespace lanekeeper::gateway {

struct Accepted {
  std::string id;
  LaneKey lane;
  std::uint64_t sequence = 0;
  std::int64_t position = 0;
  std::optional<std::chrono::seconds> eta;
  // The Idempotency-Key was known: this is the first request's job, whatever has become of it.
  bool known = false;
};

struct GatewayOptions {
  int in_hand_max = 4096;
  std::chrono::milliseconds publish_timeout{5000};  // For all tries of one job together.
  std::chrono::milliseconds gauge_interval{100};    // Lanes that get jobs are looked at so often…
  std::chrono::seconds gauge_idle{10};              // …for as long after the last one.
  std::chrono::seconds key_kept{24 * 3600};         // Idempotency keys.
  // For tests. Asked after each step of a submission with a key ("admitted", "created",
  // "published", "completed"): true ends it there without an answer, as if the process had died.
  std::function<bool(std::string_view step)> dies_after;
};

struct GatewayCounts {
  std::int64_t in_hand = 0;
  std::int64_t published_again = 0;  // Publishes without an answer, or without a connection.
  std::int64_t keys_completed = 0;   // Left half done by a gateway that died.
};

class Gateway {
 public:
  // All of them outlive this; `types` may be null: nothing is learned. Starts a thread that looks
  // at lanes. Makes the bucket of the keys exist when NATS is there, and otherwise before its first
  // use.
  static std::unique_ptr<Gateway> Start(nats::Connection& connection, const PoolDirectory& pools,
                                        const TypeTimes* types, GatewayOptions options = {});
  // Waits for what is in hand, for publish_timeout and two seconds at most.
  virtual ~Gateway() = default;

  virtual void Submit(const Caller& caller, std::string_view pool_namespace, std::string_view pool,
                      Submission submission, Then<Accepted> then) = 0;
  // The lane as it was seen last; nothing before it was. Looks at it from now on.
  virtual std::optional<LaneGauge> Gauge(const LaneKey& lane) = 0;
  virtual GatewayCounts Counts() const = 0;
};

}  // namespace lanekeeper::gateway
