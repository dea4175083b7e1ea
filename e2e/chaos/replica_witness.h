// What the Deployments of a namespace are asked for, seen from outside.
#pragma once

#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "e2e/chaos/failover_verdict.h"
#include "operator/kubernetes/api.h"

namespace lanekeeper::e2e {

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

}  // namespace lanekeeper::e2e
