#include "e2e/chaos/scaling_verdict.h"

namespace lanekeeper::e2e {
namespace {

std::string Counts(const JobRecord& record) {
  return std::to_string(record.runs) + " starts, " + std::to_string(record.interruptions) +
         " interruptions, " + std::to_string(record.crashes) + " crashes, " +
         std::to_string(record.attempts) + " failures";
}

bool RanOnce(const JobRecord& record) {
  return record.runs == 1 && record.interruptions == 0 && record.crashes == 0 &&
         record.attempts == 0 && record.history.empty();
}

bool ToldWhileItRan(const JobRecord& record, const PodEnds& ends) {
  const auto told = ends.find(record.worker);
  return told != ends.end() && record.started_at < told->second && told->second < record.ended_at;
}

}  // namespace

std::vector<std::string> FindInterruptions(const std::vector<JobFate>& jobs, const PodEnds& ends,
                                           EndOfPods allowed) {
  std::vector<std::string> found;
  for (const auto& [id, record] : jobs) {
    if (!record) {
      found.push_back(id + ": never started");
    } else if (record->state != JobState::kDone) {
      found.push_back(id + ": is " + std::string(NameOf(record->state)) + ", " + Counts(*record));
    } else if (!RanOnce(*record)) {
      found.push_back(id + ": " + Counts(*record) + ", last on " + record->worker);
    } else if (allowed == EndOfPods::kOnlyIdle && ToldWhileItRan(*record, ends)) {
      found.push_back(id + ": " + record->worker + " was told to end while it ran");
    }
  }
  return found;
}

}  // namespace lanekeeper::e2e
