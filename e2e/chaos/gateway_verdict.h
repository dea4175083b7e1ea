// Whether gateways kept their promise: one decision about what clients were answered and which jobs
// there were. Pure.
//
// A job's type is the name of the submit that it came from, so that a job nobody was told of still
// says whose it is.
#pragma once

#include <chrono>
#include <set>
#include <string>
#include <vector>

namespace lanekeeper::e2e {

// A 202, also one of several for the same submit.
struct GatewayAnswer {
  std::string submit;
  std::string id;
  std::chrono::steady_clock::time_point at{};
};
// A job that ran to its end, or waits.
struct GatewayJob {
  std::string submit;
  std::string id;
};

struct GatewayEvidence {
  std::vector<GatewayAnswer> answers;
  std::set<std::string> keyed;  // Submits under an idempotency key: sent until they were answered.
  std::set<std::string> plain;  // Submits without: sent once, whatever came of it.
  std::vector<GatewayJob> jobs;
};

struct GatewayVerdict {
  int accepted = 0;                        // Ids that were answered.
  int unanswered_jobs = 0;                 // Of plain submits whose answer was lost. Not a fault.
  std::vector<std::string> accepted_lost;  // Ids without a job.
  std::vector<std::string> keys_with_two_jobs;   // Keyed submits with two ids, answered or run.
  std::vector<std::string> keys_without_a_job;   // Never answered.
  std::vector<std::string> plain_with_two_jobs;  // One request is one job at most.
  std::vector<std::string> jobs_of_nobody;       // Ids of jobs that nobody handed in.
};

GatewayVerdict DecideGatewayVerdict(const GatewayEvidence& evidence);

}  // namespace lanekeeper::e2e
