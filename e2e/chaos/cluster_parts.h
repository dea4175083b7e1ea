// What is done to the nodes, gateways and operators of a ClusterStage, and what became of it.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "e2e/bench/figures.h"
#include "e2e/chaos/cluster_stage.h"

namespace lanekeeper::e2e {

// One thread. Each part returns when the cluster is healthy again.
class ClusterParts {
 public:
  // `slack`: how old a number may be that a decision is made from, and how late its change is seen
  // here; longer on a machine that is slower.
  explicit ClusterParts(ClusterStage& stage,
                        std::chrono::milliseconds slack = std::chrono::milliseconds(2000))
      : stage_(stage), slack_(slack) {}

  // Every leader, the meta group's too, steps down each second.
  void LeadersStepDown(std::chrono::seconds lasts);
  // SIGKILL of the node that leads the stream of `steady`.
  void NodeLost(std::chrono::seconds lasts);
  // SIGTERM of each node, started again, the next one when all is healthy.
  void RollingRestart();
  // SIGKILL of one of the two gateways.
  void GatewayKilled();
  // SIGKILL of two nodes, the two consumers' leaders among them.
  void QuorumLost(std::chrono::seconds lasts);

  // After the last part: drains the lanes and judges all that was.
  std::vector<Bar> Judge();

 private:
  Recovery Measure(const char* since_what, SteadyTime since);
  void Count(const std::string& name, const std::vector<std::string>& faults, const char* unit,
             const std::string& how);
  void JudgeLane(const std::string& lane);
  void LookForPassed(std::chrono::seconds lasts);
  void Longest(const std::string& name, double Recovery::*part, const std::string& how);

  ClusterStage& stage_;
  const std::chrono::milliseconds slack_;
  std::vector<Recovery> recoveries_;
  std::int64_t passed_ = 0;
  std::vector<Bar> bars_;
  // Of the times without quorum.
  struct Quorumless {
    SteadyTime from;
    SteadyTime to;
  };
  std::vector<Quorumless> quorumless_;
};

}  // namespace lanekeeper::e2e
