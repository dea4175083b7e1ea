// What is right while nodes of a JetStream cluster come and go: by the Deployments, the workers'
// reports and the jobs, no step that took a busy worker or left jobs alone; by the answers of
// gateways, nothing accepted that nobody could store. Pure.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "e2e/chaos/failover_verdict.h"
#include "e2e/chaos/gateway_verdict.h"

namespace lanekeeper::e2e {

// A worker had jobs in hand, by its own words: from its first report of it to its last.
struct BusySpan {
  std::string worker;
  SteadyTime from;
  SteadyTime to;
};

// A worker was told to end.
struct WorkerEnd {
  std::string worker;
  SteadyTime at;
};

// A worker ran a job.
struct ClusterRun {
  GatewayJob job;
  SteadyTime at;
};

// From the first answer that it is accepted to its last run; to that answer when it never ran.
struct JobSpan {
  std::string id;
  SteadyTime accepted;
  SteadyTime done;
  bool operator==(const JobSpan&) const = default;
};
// By id. Runs of jobs that nobody was told of are left out.
std::vector<JobSpan> JobSpans(const std::vector<GatewayAnswer>& answers,
                              const std::vector<ClusterRun>& runs);

// All return a sentence for each fault. `slack`: how old a number may be that a decision is made
// from, and how late its change is seen.

// Changes to fewer workers than were busy, all through the slack before the change and after it.
std::vector<std::string> StepsBelowBusy(const std::vector<ReplicaChange>& changes,
                                        const std::vector<BusySpan>& busy,
                                        std::chrono::milliseconds slack);
// Workers told to end that had been busy for the whole slack, and were so afterwards.
std::vector<std::string> EndedWhileBusy(const std::vector<WorkerEnd>& ends,
                                        const std::vector<BusySpan>& busy,
                                        std::chrono::milliseconds slack);
// Changes to zero while jobs waited that had been accepted before the slack.
std::vector<std::string> ZeroWhileJobsWait(const std::vector<ReplicaChange>& changes,
                                           const std::vector<JobSpan>& jobs,
                                           std::chrono::milliseconds slack);
// Changes of any kind within a time in which nothing was known.
std::vector<std::string> StepsWithin(const std::vector<ReplicaChange>& changes, SteadyTime from,
                                     SteadyTime to);
// Ids that were answered for the first time within it.
std::vector<std::string> AcceptedWithin(const std::vector<GatewayAnswer>& answers, SteadyTime from,
                                        SteadyTime to);

// What a client was told while no job could be stored.
struct Refusal {
  int status = 0;          // 0: no answer at all.
  bool says_when = false;  // Retry-After.
};
// Anything but 503 with Retry-After.
std::vector<std::string> DishonestRefusals(const std::vector<Refusal>& refusals);

}  // namespace lanekeeper::e2e
