// Two operators that stand by for one another, each with a fault proxy between itself and a real
// API server, and a nats-server. There are no nodes: this program plays the Deployment controller.
//
// One thread, but for the witness's own. Throws std::runtime_error when something fails that no
// round meant to break.
#pragma once

#include <array>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "e2e/bench/api_server.h"
#include "e2e/bench/child.h"
#include "e2e/chaos/failover_verdict.h"
#include "e2e/chaos/operator_pair.h"
#include "e2e/chaos/replica_witness.h"
#include "operator/kubernetes/api_client.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/nats/connection.h"
#include "worker-runtime/nats/jetstream.h"
#include "worker-runtime/nats/testing/nats_server.h"

namespace lanekeeper::e2e {

inline constexpr int kJobsPerWorker = 2;
inline constexpr int kWorkersMax = 60;
inline constexpr std::chrono::seconds kWindow{10};

class FailoverStage {
 public:
  explicit FailoverStage(std::filesystem::path folder);

  OperatorPair& operators() { return *operators_; }
  // Of its proxy; "{}": none.
  void SetFaults(std::size_t number, const nlohmann::json& faults);

  // From now on the lane's jobs need this many workers.
  void SetNeed(const std::string& lane, int workers);
  int need(const std::string& lane) const { return needs_.at(lane).back().workers; }
  const std::vector<Need>& needs(const std::string& lane) const { return needs_.at(lane); }
  // How long until the Deployment has what is needed; nothing at the deadline.
  std::optional<std::chrono::milliseconds> AwaitNeed(const std::string& lane,
                                                     std::chrono::seconds deadline);
  std::vector<ReplicaChange> Changes(const std::string& lane) const;
  // All of the ledger, in order.
  std::vector<LedDecision> Decisions(const std::string& lane);

  const std::filesystem::path& folder() const { return folder_; }

 private:
  static LaneKey Key(const std::string& lane);
  std::string Deployment(const std::string& lane) const;
  void MakePool();

  const std::filesystem::path folder_;
  ApiServer server_;
  std::unique_ptr<kubernetes::ApiClient> api_;
  nats::NatsServer nats_server_;
  std::unique_ptr<nats::Connection> connection_;
  nats::JetStream jetstream_;
  std::array<std::optional<Child>, kOperators> proxies_;
  std::map<std::string, std::vector<Need>> needs_;
  std::map<std::string, int> jobs_;
  int published_ = 0;
  std::unique_ptr<ReplicaWitness> witness_;
  std::optional<OperatorPair> operators_;
};

}  // namespace lanekeeper::e2e
