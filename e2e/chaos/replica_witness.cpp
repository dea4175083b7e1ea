#include "e2e/chaos/replica_witness.h"

#include <chrono>
#include <utility>

#include "operator/kubernetes/requests.h"

namespace lanekeeper::e2e {

using nlohmann::json;
using std::chrono::seconds;

ReplicaWitness::ReplicaWitness(kubernetes::Api& api, std::string pool_namespace)
    : api_(api),
      pool_namespace_(std::move(pool_namespace)),
      thread_([this](const std::stop_token& stop) { Run(stop); }) {}

int ReplicaWitness::Replicas(const std::string& deployment) const {
  const std::lock_guard lock(mutex_);
  const auto found = replicas_.find(deployment);
  return found == replicas_.end() ? -1 : found->second;
}

std::vector<ReplicaChange> ReplicaWitness::Changes(const std::string& deployment) const {
  const std::lock_guard lock(mutex_);
  const auto found = changes_.find(deployment);
  return found == changes_.end() ? std::vector<ReplicaChange>{} : found->second;
}

// A watch from the beginning tells of every object there is, so one that ends is begun again.
void ReplicaWitness::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const auto request = kubernetes::WatchRequest(
        kubernetes::kDeployments,
        {.only_namespace = pool_namespace_, .resource_version = "0", .timeout = seconds(3600)});
    (void)api_.Stream(
        request, seconds(3700),
        [this](std::string_view line) {
          const json event = json::parse(line, nullptr, false);
          if (event.is_object() && event.contains("object")) See(event["object"]);
          return true;
        },
        stop);
  }
}

void ReplicaWitness::See(const json& deployment) {
  const SteadyTime now = std::chrono::steady_clock::now();
  const json::json_pointer wanted("/spec/replicas");
  const json::json_pointer generation("/metadata/generation");
  const json::json_pointer seen("/status/observedGeneration");
  if (!deployment.contains(wanted)) return;
  const std::string name = deployment["metadata"].value("name", "");
  const int replicas = deployment.at(wanted).get<int>();
  {
    const std::lock_guard lock(mutex_);
    const auto [known, is_new] = replicas_.try_emplace(name, 0);
    if (known->second != replicas) changes_[name].push_back({now, known->second, replicas});
    known->second = replicas;
  }
  const json status = {{"status", {{"observedGeneration", deployment.at(generation)}}}};
  if (deployment.value(seen, json()) == deployment.at(generation)) return;
  (void)api_.Call(kubernetes::MergePatchStatusRequest(kubernetes::kDeployments,
                                                      {pool_namespace_, name}, status.dump()));
}

}  // namespace lanekeeper::e2e
