// Whether scaling interrupted a job: decided from the jobs' own records and from when pods were
// told to end, not from anything that the operator says. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "worker-runtime/job/job_record.h"

namespace lanekeeper::e2e {

struct JobFate {
  std::string id;
  std::optional<JobRecord> record;  // Nothing: no worker ever started it.
};

// Pods that somebody told to end, by name, and when that was seen.
using PodEnds = std::map<std::string, WallTime>;

enum class EndOfPods {
  kOnlyIdle,     // A scale-in: a worker with a running job must not even be asked.
  kWithinGrace,  // A rollout or node drain: it is asked, and has to be left to finish.
};

// One sentence for each job that was started more than once, given up, or not done; with kOnlyIdle
// also for each whose pod was told to end while it ran.
std::vector<std::string> FindInterruptions(const std::vector<JobFate>& jobs, const PodEnds& ends,
                                           EndOfPods allowed);

}  // namespace lanekeeper::e2e
