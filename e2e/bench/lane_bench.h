// A nats-server of the benchmark's own, lanes in it, and workers for them.
//
// What a measurement cannot do without throws std::runtime_error: main reports it, and every child
// is gone by then.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "e2e/bench/child.h"
#include "e2e/bench/run_report.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/nats/connection.h"
#include "worker-runtime/nats/jetstream.h"
#include "worker-runtime/nats/testing/nats_server.h"

namespace lanekeeper::e2e {

inline constexpr std::size_t kPayloadBytes = 256;

// The value, or the error as an exception.
template <typename T>
T Must(Result<T> result, const std::string& what) {
  if (!result) throw std::runtime_error(what + ": " + result.error().message);
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}
template <typename T>
T Must(nats::ApiResult<T> result, const std::string& what) {
  if (!result) throw std::runtime_error(what + ": " + result.error().error.message);
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

// Polls until `holds`; throws at the deadline.
void WaitFor(const std::string& what, const std::function<bool()>& holds,
             std::chrono::seconds deadline = std::chrono::seconds(120));

// Reports of handlers, read by one thread.
class RunReports {
 public:
  RunReports(nats::Connection& connection, std::string subject);
  const std::string& subject() const { return subscription_->subject(); }
  // The next one; throws when none comes for a minute.
  RunReport Next();

 private:
  std::unique_ptr<nats::Subscription> subscription_;
};

// One thread.
class LaneBench {
 public:
  explicit LaneBench(nats::NatsServerOptions options = {});

  std::string url() const { return server_.url(); }
  nats::Connection& connection() { return *connection_; }

  // A lane with its consumer and dead letters, on disk, one replica: as the operator makes them.
  LaneKey MakeLane(const std::string& name,
                   std::chrono::milliseconds ack_wait = std::chrono::seconds(30));

  // Stored when it returns. Each job has an id and a type, as a producer's have.
  void Publish(const LaneKey& lane, const std::string& type, int jobs);
  // One job, not waited for, stamped with the time.
  void PublishOne(const LaneKey& lane, const std::string& type);

  nats::ConsumerState Look(const LaneKey& lane);
  void WaitForPulls(const LaneKey& lane, int pulls);
  // Returns when `left` jobs at most are not settled.
  void WaitDrained(const LaneKey& lane, std::int64_t left = 0);

  // What the operator would set; `changes` on top.
  Environment WorkerEnvironment(const LaneKey& lane, const std::string& worker,
                                const Environment& changes = {}) const;
  Child StartWorker(const LaneKey& lane, const std::string& worker,
                    const Environment& changes = {}) const;

  // Jobs per second at which the lane is drained by what `start` starts. All `jobs` are stored
  // before. The clock runs from the first sight of a delivered one until the server has the last
  // acknowledgement, and counts what is settled in between.
  double MeasureDrain(const LaneKey& lane, int jobs, const std::function<void()>& start);

  // The same, drained by one worker, which is gone afterwards.
  double MeasureWorkerDrain(const LaneKey& lane, int jobs, const Environment& changes);

 private:
  nats::NatsServer server_;
  std::unique_ptr<nats::Connection> connection_;
  std::optional<nats::JetStream> jetstream_;
  std::int64_t next_job_ = 1;
};

}  // namespace lanekeeper::e2e
