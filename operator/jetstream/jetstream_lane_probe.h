// LaneProbe over JetStream: asks for every lane's consumer, all answers on one inbox, one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "operator/control/ports.h"
#include "worker-runtime/base/clock.h"
#include "worker-runtime/nats/connection.h"

namespace lanekeeper {

struct LaneProbeOptions {
  std::chrono::milliseconds sample_interval{500};         // Of one lane; spread over the interval.
  std::chrono::milliseconds answer_timeout{2000};         // Of one request.
  std::chrono::milliseconds stale_after{3000};            // Without a good answer.
  std::chrono::milliseconds dead_letters_interval{5000};  // Of one pool.
  std::chrono::milliseconds oldest_wait_interval{2000};   // Of one lane with jobs waiting.
  // Lanes at rest whose job subject is subscribed for one message, so that the first job wakes the
  // probe without a hint from its producer. 0 = off.
  int tap_lanes_max = 10'000;
};

// Since Start.
struct LaneProbeStats {
  std::uint64_t samples = 0;     // Answers about a lane that could be used.
  std::uint64_t unanswered = 0;  // Requests that timed out.
  std::uint64_t wakeups = 0;     // Hints of producers.
  std::uint64_t taps_fired = 0;
  std::uint64_t reports = 0;  // Of workers of lanes that are probed.
  std::uint64_t reports_unreadable = 0;
  int lanes = 0;
  int taps_armed = 0;
  int lanes_answered = 0;  // Those whose last word is a good answer.
  // Of all lanes, how long ago the last good answer came; since it was added when there was none.
  std::chrono::nanoseconds sample_age_max{0};
};

class JetStreamLaneProbe final : public LaneProbe {
 public:
  // `connection` and `clock` outlive this. With taps, open the connection with shared_delivery:
  // otherwise each tapped lane costs a thread.
  JetStreamLaneProbe(nats::Connection& connection, const Clock& clock,
                     LaneProbeOptions options = {});
  ~JetStreamLaneProbe() override;

  void Start(std::function<void(const LaneKey&)> on_change) override;
  void Stop() override;  // Idempotent, waits. `on_change` does not run afterwards.
  void Probe(const ProbedLane& lane) override;
  void Forget(const LaneKey& key) override;
  LaneSample Latest(const LaneKey& key) const override;
  std::vector<ReportedWorker> Workers(const LaneKey& key) const override;
  ServiceCounts Served(const LaneKey& key) const override;
  void Tell(const LaneKey& key, const std::string& worker, std::string_view request) override;
  LaneProbeStats stats() const;

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace lanekeeper
