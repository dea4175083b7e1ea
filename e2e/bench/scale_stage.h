// What bench-scale runs on, all of its own: etcd and kube-apiserver, a nats-server, and the real
// operator as a process. Nobody makes pods here, so a lane has the workers it asks for on paper.
//
// One thread. What a measurement cannot do without throws std::runtime_error.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "e2e/bench/api_server.h"
#include "e2e/bench/child.h"
#include "operator/kubernetes/api_client.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/nats/connection.h"
#include "worker-runtime/nats/testing/nats_server.h"

namespace lanekeeper::e2e {

// Set by a signal: waits throw, and everything is taken down on the way out.
extern std::atomic<bool> scale_interrupted;

// Throws when it was interrupted.
void Nap(std::chrono::milliseconds duration);

// A folder that goes with everything in it.
class ScaleFolder {
 public:
  ScaleFolder();
  ~ScaleFolder();
  ScaleFolder(const ScaleFolder&) = delete;
  ScaleFolder& operator=(const ScaleFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class ScaleStage {
 public:
  ScaleStage();

  kubernetes::ApiClient& api() { return *api_; }
  nats::Connection& connection() { return *connection_; }
  const std::string& folder() const { return folder_.path(); }

  void StartOperator();
  void KillOperator();  // SIGKILL.
  // Throws, with the last of its log, when it was started and has ended.
  void CheckOperator() const;
  pid_t operator_pid() const { return operator_->pid(); }
  pid_t nats_pid() const { return server_.pid(); }
  pid_t api_pid() const { return api_server_.pid_of("kube-apiserver"); }
  pid_t etcd_pid() const { return api_server_.pid_of("etcd"); }

  bool OperatorReady();
  // The operator's metrics without labels, by name; empty while nobody answers.
  std::map<std::string, double> OperatorMetrics();
  // Writes to what the operator may write, by the API server's own count.
  double ApiWrites();
  // JetStream API requests, by the server's own count.
  double NatsRequests();

 private:
  ScaleFolder folder_;
  ApiServer api_server_;
  nats::NatsServer server_;
  std::unique_ptr<kubernetes::ApiClient> api_;
  std::unique_ptr<nats::Connection> connection_;
  int port_ = 0;  // Of the operator's HTTP.
  std::unique_ptr<kubernetes::ApiClient> http_;
  std::optional<Child> operator_;
};

// What a watch of the benchmark's own saw of all pools and Deployments. Any thread.
class ScaleWatch {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit ScaleWatch(kubernetes::Api& api);

  int pools_ready() const { return pools_ready_; }
  int deployments() const { return deployments_; }
  // When the lane's Deployment was first seen with a worker; nothing at the deadline.
  std::optional<Time> AwaitWorker(const LaneKey& lane, std::chrono::seconds deadline);

 private:
  void OnPool(const nlohmann::json& object);
  void OnDeployment(const nlohmann::json& object);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Time> with_worker_;  // Deployments by name. Under mutex_.
  std::map<std::string, bool> ready_;        // Pools by name. Of one thread.
  std::set<std::string> seen_;               // Deployments by name. Of the other.
  std::atomic<int> pools_ready_ = 0;
  std::atomic<int> deployments_ = 0;
  std::jthread pools_;
  std::jthread workloads_;
};

}  // namespace lanekeeper::e2e
