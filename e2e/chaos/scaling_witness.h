// What is seen of one namespace from outside: its pods and Deployments by a watch at the API
// server, its workers by their own reports and by what they are told. Each sight has the time it
// came here.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "e2e/chaos/scaling_verdict.h"
#include "e2e/scenarios/harness.h"
#include "worker-runtime/base/time.h"
#include "worker-runtime/job/worker_report.h"

namespace lanekeeper::e2e {

enum class Step {
  kDrainAsked,  // Somebody sent a worker the request…
  kUndrainAsked,
  kDrained,    // …and a worker says that it is.
  kMarked,     // A pod is marked as first to go.
  kLowered,    // A Deployment is to have fewer replicas…
  kRaised,     // …or more.
  kToldToEnd,  // A pod has a deletionTimestamp.
};
const char* NameOf(Step step);

struct Sight {
  Step step = Step::kLowered;
  std::string who;   // Worker, pod or Deployment.
  int replicas = 0;  // Of kLowered and kRaised.
  WallTime at{};
};

struct SeenPod {
  std::string lane;
  bool ready = false;
  bool marked = false;
  bool gone = false;
  std::optional<WallTime> told_to_end;
  std::optional<WorkerReport> report;  // The last.
  bool Placed() const { return !gone && !told_to_end; }
  // By its own word, nothing runs in it and it would take a job.
  bool Idle() const {
    return report && report->state == WorkerState::kRunning && report->running == 0;
  }
};

// Any thread. Watches until it is destroyed.
class Witness {
 public:
  // `connection` outlives this.
  Witness(const Cluster& cluster, nats::Connection& connection, const std::string& pool_namespace);
  ~Witness();
  Witness(const Witness&) = delete;
  Witness& operator=(const Witness&) = delete;

  // How many sights there are: where Await may begin.
  std::size_t Now() const;
  // The first sight of that kind among those from `since` on; nothing at the deadline.
  std::optional<Sight> Await(Step step, std::size_t since, std::chrono::seconds deadline) const;
  std::vector<Sight> Since(std::size_t since) const;
  int Count(Step step, std::size_t since) const;
  std::map<std::string, SeenPod> Pods() const;
  // Pods that are there and were not told to end.
  int Placed(const std::string& lane) const;
  PodEnds Ends() const;

 private:
  void ReadWatches(const std::stop_token& stop);
  void OnPodLine(const std::string& line);
  void OnDeploymentLine(const std::string& line);
  void OnReport(const nats::Message& message);
  void OnRequest(const nats::Message& message);
  void Add(Step step, const std::string& who, int replicas = 0);  // Precondition: mutex_ is held.

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<Sight> sights_;
  std::map<std::string, SeenPod> pods_;
  std::map<std::string, int> replicas_;

  BackgroundProgram pod_watch_;
  BackgroundProgram deployment_watch_;
  std::unique_ptr<nats::Registration> reports_;
  std::unique_ptr<nats::Registration> requests_;
  std::jthread reader_;  // Last: ends before what it reads.
};

}  // namespace lanekeeper::e2e
