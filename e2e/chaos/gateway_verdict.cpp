#include "e2e/chaos/gateway_verdict.h"

#include <map>

namespace lanekeeper::e2e {

GatewayVerdict DecideGatewayVerdict(const GatewayEvidence& evidence) {
  GatewayVerdict verdict;
  std::map<std::string, std::set<std::string>> ids;  // By submit, answered or run.
  std::set<std::string> answered_ids;
  std::set<std::string> answered_submits;
  for (const GatewayAnswer& answer : evidence.answers) {
    ids[answer.submit].insert(answer.id);
    answered_ids.insert(answer.id);
    answered_submits.insert(answer.submit);
  }
  verdict.accepted = static_cast<int>(answered_ids.size());

  std::set<std::string> job_ids;
  for (const GatewayJob& job : evidence.jobs) {
    ids[job.submit].insert(job.id);
    if (!job_ids.insert(job.id).second)
      continue;  // It ran twice: the checker of lanes judges that.
    if (evidence.plain.contains(job.submit)) {
      verdict.unanswered_jobs += answered_submits.contains(job.submit) ? 0 : 1;
    } else if (!evidence.keyed.contains(job.submit)) {
      verdict.jobs_of_nobody.push_back(job.id);
    }
  }
  for (const std::string& id : answered_ids) {
    if (!job_ids.contains(id)) verdict.accepted_lost.push_back(id);
  }
  for (const std::string& key : evidence.keyed) {
    if (!answered_submits.contains(key)) verdict.keys_without_a_job.push_back(key);
  }
  for (const auto& [submit, its_ids] : ids) {
    if (its_ids.size() < 2) continue;
    if (evidence.keyed.contains(submit)) verdict.keys_with_two_jobs.push_back(submit);
    if (evidence.plain.contains(submit)) verdict.plain_with_two_jobs.push_back(submit);
  }
  return verdict;
}

}  // namespace lanekeeper::e2e
