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
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "e2e/bench/api_server.h"
#include "e2e/bench/child.h"
#include "e2e/chaos/failover_verdict.h"
#include "operator/kubernetes/api_client.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/nats/connection.h"
#include "worker-runtime/nats/jetstream.h"
#include "worker-runtime/nats/testing/nats_server.h"

namespace lanekeeper::e2e {

inline constexpr std::size_t kOperators = 2;
inline constexpr int kJobsPerWorker = 2;
inline constexpr int kWorkersMax = 60;
inline constexpr std::chrono::seconds kWindow{10};
inline constexpr std::chrono::seconds kLeaseDuration{6};

// Sees every change of the replicas of a namespace's Deployments, and says in their status that the
// change was seen.
class ReplicaWitness {
 public:
  // `api` outlives this.
  ReplicaWitness(kubernetes::Api& api, std::string pool_namespace);
  // -1: there is no such Deployment. Any thread.
  int Replicas(const std::string& deployment) const;
  std::vector<ReplicaChange> Changes(const std::string& deployment) const;

 private:
  void Run(const std::stop_token& stop);
  void See(const nlohmann::json& deployment);

  kubernetes::Api& api_;
  const std::string pool_namespace_;
  mutable std::mutex mutex_;
  std::map<std::string, std::vector<ReplicaChange>> changes_;
  std::map<std::string, int> replicas_;
  std::jthread thread_;
};

class FailoverStage {
 public:
  explicit FailoverStage(std::filesystem::path folder);

  // The process that the lease names; nothing: nobody, or one that is no more.
  std::optional<std::size_t> Leader();
  std::size_t AwaitLeader();
  void Start(std::size_t number);
  void Signal(std::size_t number, int signal) { operators_.at(number)->Signal(signal); }
  void Kill(std::size_t number);
  // SIGTERM, and waits for its end.
  void Stop(std::size_t number);
  // Until it says that it is ready, whether it leads or stands by.
  void AwaitReady(std::size_t number);
  // Of its proxy; "{}": none.
  void SetFaults(std::size_t number, const nlohmann::json& faults);
  void DeleteLease();

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
  std::array<std::optional<Child>, kOperators> operators_;
  std::array<int, kOperators> http_ports_{};
  std::map<std::string, std::vector<Need>> needs_;
  std::map<std::string, int> jobs_;
  int published_ = 0;
  std::unique_ptr<ReplicaWitness> witness_;
};

}  // namespace lanekeeper::e2e
