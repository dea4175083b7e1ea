// The workers of a pool as processes of this machine, asked for by its Deployments: what Deployment
// controller, ReplicaSet and kubelet do in a cluster, for a real API server that has none of them.
//
// Pods are real objects: the operator sees them, marks them, and sees them go. The processes are
// LocalPlatform's: SIGTERM, grace, and started again when one dies.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "e2e/chaos/cluster_verdict.h"
#include "e2e/chaos/replica_witness.h"
#include "operator/control/worker_pool.h"
#include "operator/kubernetes/api.h"
#include "operator/local/local_platform.h"
#include "worker-runtime/base/clock.h"
#include "worker-runtime/job/worker_roster.h"
#include "worker-runtime/nats/connection.h"

namespace lanekeeper::e2e {

struct ClusterKubeletOptions {
  WorkerPool pool;
  std::string nats_url;          // For the workers.
  std::filesystem::path folder;  // For their logs.
  std::string programs_folder;   // Where their programs are.
};

// Any thread. The destructor kills what still runs.
class ClusterKubelet {
 public:
  // All of them outlive this. `connection`: to hear the workers.
  ClusterKubelet(kubernetes::Api& api, const ReplicaWitness& witness, nats::Connection& connection,
                 ClusterKubeletOptions options);
  ~ClusterKubelet();
  ClusterKubelet(const ClusterKubelet&) = delete;
  ClusterKubelet& operator=(const ClusterKubelet&) = delete;

  int Alive() const { return platform_.Alive(); }
  std::vector<BusySpan> Busy(const std::string& lane) const;
  std::vector<WorkerEnd> Ends(const std::string& lane) const;

 private:
  struct Lane {
    LaneKey key;
    int replicas = -1;  // Asked of the platform.
    std::string status_said;
    std::map<std::string, bool> ready_said;  // By pod: its condition.
    std::set<std::string> told_to_end;
    std::vector<WorkerEnd> ends;
    WorkerRoster roster;
    std::map<std::string, std::size_t> open_span;  // By worker: of `busy`.
    std::vector<BusySpan> busy;
  };

  void Run(const std::stop_token& stop);
  void Pass(const std::string& name, Lane& lane);
  void TakeMarks(const Lane& lane, const nlohmann::json& pods);
  void SetReplicas(const std::string& name, Lane& lane, int replicas);
  void ShowWorkers(const std::string& name, Lane& lane, const nlohmann::json& pods);
  void ShowReady(Lane& lane, const std::string& pod, bool ready);
  void ShowStatus(const std::string& name, Lane& lane, const Crew& crew);
  void CreatePod(const Lane& lane, const std::string& name);
  void DeletePod(const std::string& name, bool at_once);
  void Hear(const nats::Message& message);

  kubernetes::Api& api_;
  const ReplicaWitness& witness_;
  const ClusterKubeletOptions options_;
  SystemClock clock_;
  mutable std::mutex mutex_;  // Of what is heard and told in lanes_.
  std::map<std::string, Lane> lanes_;
  LocalPlatform platform_;
  std::unique_ptr<nats::Registration> reports_;
  std::jthread thread_;
};

}  // namespace lanekeeper::e2e
