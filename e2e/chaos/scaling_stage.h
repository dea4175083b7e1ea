// A namespace with one pool, the jobs that were given to it, and what became of them. The jobs are
// sleeps of the example worker, so a node of two cores runs twenty at once.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "e2e/chaos/scaling_verdict.h"
#include "e2e/chaos/scaling_witness.h"
#include "e2e/scenarios/harness.h"

namespace lanekeeper::e2e {

inline constexpr const char* kStagePool = "crew";

class Stage {
 public:
  // Both outlive this.
  Stage(const Cluster& cluster, Jobs& jobs, std::string pool_namespace);

  // The pool's manifest, as PoolManifest takes it; false unless it becomes Ready.
  bool Apply(const std::string& lanes, const std::string& spec_extra = "");
  // Lets the jobs so far be forgotten, and names the next ones after `chapter`.
  void Begin(const std::string& chapter);
  // Jobs that sleep for `time`; false when not all are stored.
  bool Publish(const std::string& lane, int count, std::chrono::milliseconds time);

  // Takes those of the lane that no worker has started back from the queue; false when it cannot.
  bool TakeBackUnstarted(const std::string& lane);

  // By the records, as of now. Lane "" = all.
  std::vector<JobFate> Fates(const std::string& lane = "");
  int CountJobs(JobState state, const std::string& lane = "");
  bool AllStarted() { return StartedOf("") == static_cast<int>(published_.size()); }
  bool AllDone() { return CountJobs(JobState::kDone) == static_cast<int>(published_.size()); }
  int StartedOf(const std::string& lane);

  int Replicas(const std::string& lane) const;
  Json LaneStatus(const std::string& lane) const;
  Json Condition(const std::string& type) const;
  LaneKey Key(const std::string& lane) const { return {pool_namespace_, kStagePool, lane}; }

  const Cluster& cluster() const { return cluster_; }
  Jobs& jobs() const { return jobs_; }
  const std::string& pool_namespace() const { return pool_namespace_; }

 private:
  const Cluster& cluster_;
  Jobs& jobs_;
  std::string pool_namespace_;
  std::string chapter_;
  std::vector<std::pair<std::string, std::string>> published_;  // Lane and id.
  std::map<std::string, JobRecord> finished_;                   // By id: these change no more.
};

// Milliseconds from the queue's storing of the job to the start of its handler.
double WaitMs(const JobRecord& record);

// SIGKILL; then its pod is replaced, so that no back-off of the kubelet delays the next one. False
// when there is none, or none again in time.
bool KillOperator(const Cluster& cluster);
// Of the operator's own metrics, the sum of all series of that name; NaN when it cannot be read.
double OperatorMetric(const Cluster& cluster, const std::string& name);

// Processes of a worker's pod, as this machine sees them; none on another machine's cluster.
std::vector<pid_t> WorkerPids(const std::string& worker);

}  // namespace lanekeeper::e2e
