// The whole product on three nodes of JetStream: a real API server, two operators with a Lease, two
// gateways, workers as processes (cluster_kubelet.h), clients that hand in jobs, and a pool with
// two lanes whose streams have three replicas. `steady` has jobs all the time; those of `waves`
// come in waves, so that it scales to zero and back.
//
// One thread. Throws std::runtime_error when something fails that no part meant to break.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "e2e/bench/api_server.h"
#include "e2e/chaos/cluster_kubelet.h"
#include "e2e/chaos/cluster_verdict.h"
#include "e2e/chaos/gateway_pair.h"
#include "e2e/chaos/gateway_submitters.h"
#include "e2e/chaos/operator_pair.h"
#include "e2e/chaos/replica_witness.h"
#include "operator/kubernetes/api_client.h"
#include "worker-runtime/nats/connection.h"
#include "worker-runtime/nats/jetstream.h"
#include "worker-runtime/nats/testing/nats_cluster.h"

namespace lanekeeper::e2e {

inline constexpr const char* kSteady = "steady";
inline constexpr const char* kWaves = "waves";

// How long until everything went on, from some moment; NaN: not within a long time.
struct Recovery {
  double accepted_ms = 0;  // To the answer to the first job that was handed in since…
  double done_ms = 0;      // …and until its record says that it is done.
  double sampled_ms = 0;   // Until the leading operator has fresh numbers of all lanes.
};

class ClusterStage {
 public:
  explicit ClusterStage(std::filesystem::path folder);
  ~ClusterStage();

  OperatorPair& operators() { return *operators_; }
  GatewayPair& gateways() { return *gateways_; }

  // Returns once every stream and consumer has a leader and replicas that are up to date.
  void AwaitHealthy();
  // The node that leads that lane's stream, and the one that leads its consumer.
  nats::NatsServer& StreamLeaderNode(const std::string& lane);
  nats::NatsServer& ConsumerLeaderNode(const std::string& lane);
  nats::NatsServer& node(int index) { return nats_.node(index); }
  // All streams and consumers and the meta group get another leader. How many did.
  int StepAllDown();

  // Jobs in the lane's stream that its consumer neither has to deliver nor has delivered: it passed
  // them. -1: the servers do not say.
  std::int64_t Passed(const std::string& lane);

  // Measures by handing in a job of its own.
  Recovery Recover(SteadyTime since);
  // One job to that gateway, once. What it was told, or nothing: it was accepted.
  std::optional<Refusal> TryOnce(std::size_t gateway);
  // The condition QueueReachable of the pool: its reason, "Sampled" when all is well.
  std::string QueueReachable();

  // Ends the load and waits until all jobs are settled and no worker is left.
  void Drain();

  // After Drain, of a lane.
  std::vector<GatewayAnswer> Answers(const std::string& lane) const;
  SubmitCounts Counts() const;
  GatewayVerdict OfGateways(const std::string& lane);
  std::vector<JobSpan> Jobs(const std::string& lane);
  nlohmann::ordered_json Verify(const std::string& lane);
  // Accepted jobs whose record has no result.
  std::vector<std::string> WithoutResult(const std::string& lane);
  std::vector<ReplicaChange> Changes(const std::string& lane) const;
  std::vector<LedDecision> Decisions(const std::string& lane);
  const ClusterKubelet& kubelet() const { return *kubelet_; }
  // Streams that have fewer than three replicas.
  std::vector<std::string> LessSafeStreams();

  // With the time since the start.
  void Say(const std::string& text) const;

 private:
  static LaneKey Key(const std::string& lane);
  void MakeStreams();
  void MakePool();
  WorkerPool ReadPool();
  std::vector<std::string> Streams();
  std::vector<std::string> ConsumersOf(const std::string& stream);
  std::string WhyNotHealthy();
  nats::NatsServer& NodeNamed(const std::string& name);
  std::int64_t Left(const std::string& lane);
  // In `steady`, under that key. Says so when the answer takes its time.
  ClientResult<SubmittedJob> SubmitProbe(std::size_t gateway, const std::string& key);
  std::vector<ClusterRun> Runs(const std::string& lane);
  void MakeWaves(const std::stop_token& stop);

  const std::filesystem::path folder_;
  const SteadyTime started_ = std::chrono::steady_clock::now();
  nats::NatsCluster nats_;
  ApiServer server_;
  std::unique_ptr<kubernetes::ApiClient> api_;
  std::unique_ptr<nats::Connection> connection_;
  std::unique_ptr<nats::Connection> system_connection_;  // For the meta group.
  nats::JetStream jetstream_;
  nats::JetStream system_;
  std::unique_ptr<ReplicaWitness> witness_;
  std::optional<OperatorPair> operators_;
  std::optional<GatewayPair> gateways_;
  std::vector<std::unique_ptr<Client>> clients_;  // One a gateway; they try once.
  std::unique_ptr<ClusterKubelet> kubelet_;
  int probes_ = 0;
  std::vector<GatewayAnswer> probe_answers_;
  std::map<std::string, std::unique_ptr<GatewaySubmitters>> submitters_;  // By lane.
  std::jthread waves_;
};

}  // namespace lanekeeper::e2e
