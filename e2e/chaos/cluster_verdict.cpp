#include "e2e/chaos/cluster_verdict.h"

#include <algorithm>
#include <map>
#include <set>

namespace lanekeeper::e2e {
namespace {

using std::chrono::milliseconds;

bool Covers(const BusySpan& span, SteadyTime from, SteadyTime to) {
  return span.from <= from && span.to > to;
}

std::string Ms(SteadyTime::duration time) {
  return std::to_string(std::chrono::duration_cast<milliseconds>(time).count()) + " ms";
}

std::string Step(const ReplicaChange& change) {
  return "from " + std::to_string(change.from) + " to " + std::to_string(change.to) + " workers";
}

}  // namespace

std::vector<std::string> StepsBelowBusy(const std::vector<ReplicaChange>& changes,
                                        const std::vector<BusySpan>& busy, milliseconds slack) {
  std::vector<std::string> wrong;
  for (const ReplicaChange& change : changes) {
    if (change.to >= change.from) continue;
    std::set<std::string> workers;
    for (const BusySpan& span : busy) {
      if (Covers(span, change.at - slack, change.at)) workers.insert(span.worker);
    }
    if (static_cast<std::size_t>(change.to) >= workers.size()) continue;
    wrong.push_back(Step(change) + ", though " + std::to_string(workers.size()) + " were busy");
  }
  return wrong;
}

std::vector<std::string> EndedWhileBusy(const std::vector<WorkerEnd>& ends,
                                        const std::vector<BusySpan>& busy, milliseconds slack) {
  std::vector<std::string> wrong;
  for (const WorkerEnd& end : ends) {
    const bool was_busy = std::any_of(busy.begin(), busy.end(), [&](const BusySpan& span) {
      return span.worker == end.worker && Covers(span, end.at - slack, end.at);
    });
    if (was_busy) wrong.push_back(end.worker + " was told to end with jobs in hand");
  }
  return wrong;
}

std::vector<JobSpan> JobSpans(const std::vector<GatewayAnswer>& answers,
                              const std::vector<ClusterRun>& runs) {
  std::map<std::string, JobSpan> jobs;
  for (const GatewayAnswer& answer : answers) {
    const auto [job, is_new] = jobs.try_emplace(answer.id, JobSpan{answer.id, answer.at, {}});
    job->second.accepted = std::min(job->second.accepted, answer.at);
  }
  for (const ClusterRun& run : runs) {
    const auto job = jobs.find(run.job.id);
    if (job != jobs.end()) job->second.done = std::max(job->second.done, run.at);
  }
  std::vector<JobSpan> spans;
  for (auto& [id, job] : jobs) {
    job.done = std::max(job.done, job.accepted);
    spans.push_back(job);
  }
  return spans;
}

std::vector<std::string> ZeroWhileJobsWait(const std::vector<ReplicaChange>& changes,
                                           const std::vector<JobSpan>& jobs, milliseconds slack) {
  std::vector<std::string> wrong;
  for (const ReplicaChange& change : changes) {
    if (change.to != 0 || change.from == 0) continue;
    const auto waits = [&](const JobSpan& job) {
      return job.accepted < change.at - slack && job.done > change.at;
    };
    const auto count = std::count_if(jobs.begin(), jobs.end(), waits);
    if (count == 0) continue;
    const JobSpan& one = *std::find_if(jobs.begin(), jobs.end(), waits);
    wrong.push_back(Step(change) + ", though " + std::to_string(count) + " jobs waited, such as " +
                    one.id + ", accepted " + Ms(change.at - one.accepted) + " before and done " +
                    Ms(one.done - change.at) + " after");
  }
  return wrong;
}

std::vector<std::string> StepsWithin(const std::vector<ReplicaChange>& changes, SteadyTime from,
                                     SteadyTime to) {
  std::vector<std::string> found;
  for (const ReplicaChange& change : changes) {
    if (change.at < from || change.at >= to) continue;
    const auto after = std::chrono::duration_cast<milliseconds>(change.at - from);
    found.push_back(Step(change) + " after " + std::to_string(after.count()) + " ms");
  }
  return found;
}

std::vector<std::string> AcceptedWithin(const std::vector<GatewayAnswer>& answers, SteadyTime from,
                                        SteadyTime to) {
  std::map<std::string, SteadyTime> first;
  for (const GatewayAnswer& answer : answers) {
    const auto [known, is_new] = first.try_emplace(answer.id, answer.at);
    if (!is_new) known->second = std::min(known->second, answer.at);
  }
  std::vector<std::string> within;
  for (const auto& [id, at] : first) {
    if (at >= from && at < to) within.push_back(id);
  }
  return within;
}

std::vector<std::string> DishonestRefusals(const std::vector<Refusal>& refusals) {
  std::vector<std::string> wrong;
  for (const Refusal& refusal : refusals) {
    if (refusal.status == 503 && refusal.says_when) continue;
    wrong.push_back(refusal.status == 0 ? std::string("no answer")
                                        : std::to_string(refusal.status) +
                                              (refusal.says_when ? "" : " without Retry-After"));
  }
  return wrong;
}

}  // namespace lanekeeper::e2e
