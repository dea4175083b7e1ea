#include "e2e/bench/gateway_bench.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "e2e/bench/gateway_load.h"
#include "worker-runtime/nats/pool_brief_json.h"
#include "worker-runtime/nats/queue_setup.h"

namespace lanekeeper::e2e {
namespace {

Environment GatewayEnvironment(const LaneBench& bench, int port, const Environment& settings) {
  Environment environment{{kEnvNatsUrl, bench.url()},
                          {"LANEKEEPER_GATEWAY_ADDRESS", "127.0.0.1:" + std::to_string(port)},
                          {kEnvHttpPort, "0"},
                          {kEnvLogLevel, "error"}};
  for (const auto& [name, value] : settings) environment[name] = value;
  return environment;
}

}  // namespace

GatewayBench::GatewayBench(LaneBench& bench,
                           const std::vector<std::pair<std::string, std::int64_t>>& lanes,
                           const Environment& settings)
    : port_(FreePort()),
      jetstream_(bench.connection(), std::chrono::seconds(60)),
      gateway_({ProgramBesideThis("lanekeeper-gateway")},
               GatewayEnvironment(bench, port_, settings)) {
  PoolBrief brief{.pool_namespace = "bench", .pool = "jobs"};
  Must(nats::EnsureDeadLetters(jetstream_, brief.pool_namespace, brief.pool, {}),
       "making dead letters");
  Must(nats::EnsureBucket(jetstream_, kRecordBucket, {}), "making the store of records");
  Must(nats::EnsureBucket(jetstream_, kPoolBucket, {.age_max = std::chrono::hours(0)}),
       "making the store of pools");
  for (const auto& [name, depth] : lanes) {
    const LaneKey key = Lane(name);
    Must(nats::EnsureJobQueue(jetstream_, key, {.depth_max = depth}), "making lane " + name);
    brief.lanes.push_back({.name = name,
                           .stream = JobStreamName(key),
                           .consumer = std::string(kConsumerName),
                           .depth_max = depth});
  }
  Must(jetstream_.PublishAck(PoolSpecSubject(brief.pool_namespace, brief.pool),
                             nats::WritePoolBrief(brief)),
       "publishing the pool");
  WaitFor("the gateway to serve the pool",
          [&] { return AskOnce(port_, GetRequest("/v1/pools/bench/jobs")).status == 200; });
}

std::string GatewayBench::Submission(const std::string& lane) {
  const nlohmann::ordered_json job{
      {"type", "noop"}, {"lane", lane}, {"payload", std::string(kPayloadBytes, 'x')}};
  return PostRequest(kJobsPath, "application/json", job.dump());
}

}  // namespace lanekeeper::e2e
