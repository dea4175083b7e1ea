// What the scenarios and the benchmarks share: kubectl, a NATS connection, the record of results
// that the example worker writes, and waiting for events with generous deadlines.
//
// Which cluster: E2E_KUBECONFIG, else the one that e2e/cluster/cluster.sh brought up. Which NATS:
// LANEKEEPER_E2E_NATS_URL, else nats://127.0.0.1:4222.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "worker-runtime/base/result.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/nats/connection.h"
#include "worker-runtime/nats/jetstream.h"

namespace lanekeeper::e2e {

using Json = nlohmann::json;

inline constexpr std::chrono::seconds kPatience{
    180};  // A noisy machine may take it; success is fast.

struct Ended {
  int status = -1;  // Exit status; 128 + signal for a death by signal.
  std::string out;
  std::string err;
};

// Runs a program found on PATH to its end, for at most `deadline`; then it is killed.
Ended RunProgram(const std::vector<std::string>& argv, const std::string& input = "",
                 std::chrono::seconds deadline = std::chrono::seconds(60));

// A program that runs until this goes out of scope, its output in a file.
class BackgroundProgram {
 public:
  explicit BackgroundProgram(const std::vector<std::string>& argv);
  ~BackgroundProgram();  // SIGTERM, then SIGKILL, to the one process it started.
  BackgroundProgram(const BackgroundProgram&) = delete;
  BackgroundProgram& operator=(const BackgroundProgram&) = delete;
  std::vector<std::string> Lines() const;
  const std::string& path() const { return path_; }  // Of the file.

 private:
  pid_t pid_ = -1;
  std::string path_;
};

// Polls until `holds`, then true; false, after saying what it waited for, at the deadline.
bool Await(const std::string& what, const std::function<bool()>& holds,
           std::chrono::seconds deadline = kPatience);

// kubectl against the cluster under test. Stateless; any thread.
class Cluster {
 public:
  Cluster();

  Ended Kubectl(std::vector<std::string> args, const std::string& input = "") const;
  // The object; null when it does not exist.
  Json Get(const std::string& kind, const std::string& in_namespace, const std::string& name) const;
  std::vector<Json> List(const std::string& kind, const std::string& in_namespace,
                         const std::string& selector = "") const;
  bool Apply(const std::string& manifest) const;
  // Merge patch of a WorkerPool.
  bool PatchPool(const std::string& in_namespace, const std::string& pool, const Json& patch) const;

  const std::string& kubeconfig() const { return kubeconfig_; }
  const std::string& nats_url() const { return nats_url_; }
  // Arguments of a kubectl call, for BackgroundProgram.
  std::vector<std::string> KubectlArgv(std::vector<std::string> args) const;

 private:
  std::string kubeconfig_;
  std::string nats_url_;
};

// The replica counts that the Deployments of one namespace went through, as a watch saw them.
class ReplicaHistory {
 public:
  ReplicaHistory(const Cluster& cluster, const std::string& in_namespace);
  // Without repetitions, e.g. {0, 13, 0}.
  std::vector<int> Of(const std::string& deployment) const;

 private:
  BackgroundProgram watch_;
};

// Publishes jobs and reads what the workers made of them.
class Jobs {
 public:
  explicit Jobs(const Cluster& cluster);

  static constexpr const char* kResultsStream = "E2E_RESULTS";
  static constexpr const char* kResultsSubject = "e2e.results";

  // Publishes `count` jobs, each acknowledged by JetStream; returns how many were. Ids are
  // "<id_prefix>-<n>".
  int Publish(const LaneKey& key, int count, const std::string& type, const std::string& payload,
              const std::string& id_prefix);
  // How often each job id ended in success, by the workers' own record.
  std::map<std::string, int> Results();
  // How many ids of Results start with `prefix`.
  int Finished(const std::string& prefix);

  nats::JetStream& jetstream() { return jetstream_; }
  nats::Connection& connection() { return *connection_; }

 private:
  std::unique_ptr<nats::Connection> connection_;
  nats::JetStream jetstream_;
  std::map<std::string, int> results_;
  std::uint64_t next_sequence_ = 1;
};

// A WorkerPool manifest with the example worker. `lanes` is YAML below `lanes:`, indented by two.
std::string PoolManifest(const std::string& in_namespace, const std::string& pool,
                         const std::string& lanes, const std::string& spec_extra = "");

// Removes the pools of a namespace, so that the operator takes its finalizers off while it still
// may write there; then the namespace, without waiting, and the streams of its pools.
void RemoveNamespace(const Cluster& cluster, Jobs& jobs, const std::string& pool_namespace);
// Streams of the pools of a namespace.
std::vector<std::string> StreamsOf(Jobs& jobs, const std::string& pool_namespace);

// The process of the operator, as this machine sees it; 0 when it cannot be seen from here.
pid_t OperatorPid();

// The text of a file of the project, by its path from the root.
std::string ReadProjectFile(const std::string& path);

}  // namespace lanekeeper::e2e
