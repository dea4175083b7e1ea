// The gateway of a benchmark: the real program, told of a static pool of a LaneBench.
#pragma once

#include <string>
#include <vector>

#include "e2e/bench/child.h"
#include "e2e/bench/lane_bench.h"
#include "worker-runtime/job/pool_brief.h"

namespace lanekeeper::e2e {

// One thread.
class GatewayBench {
 public:
  // Makes the lanes of pool bench/jobs with these depths, publishes the pool as the operator does,
  // and starts a gateway. Returns when it serves the pool.
  GatewayBench(LaneBench& bench, const std::vector<std::pair<std::string, std::int64_t>>& lanes,
               const Environment& settings = {});

  int port() const { return port_; }
  pid_t pid() const { return gateway_.pid(); }
  const nats::JetStream& jetstream() const { return jetstream_; }
  static LaneKey Lane(const std::string& name) { return {"bench", "jobs", name}; }
  // A job of kPayloadBytes of payload for a lane.
  static std::string Submission(const std::string& lane);

 private:
  int port_;
  nats::JetStream jetstream_;
  Child gateway_;
};

inline constexpr const char* kJobsPath = "/v1/pools/bench/jobs/jobs";

}  // namespace lanekeeper::e2e
