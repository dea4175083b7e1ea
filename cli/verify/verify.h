// What became of the jobs of a lane: one decision about what queue and workers left behind. Pure.
//
//   accepted = done + dead letters + moved to another lane + cancelled + still queued, and nothing
//   else
//
// The lane has to be at rest: a job that is running while the evidence is read may look lost.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "worker-runtime/job/job_record.h"

namespace lanekeeper::verify {

// A run that its handler ended in success, as it says itself. Written before the job counts as
// done, so there may be more of them than jobs.
struct EndedRun {
  std::string id;
  std::string worker;
  std::string started;  // As the worker wrote it. The same run may be written twice.
  int run = 0;          // Job::run; 0 = not known.
};

struct Letter {
  std::string id;
  std::string reason;  // One of the words of settlement.h.
};

// Who wrote the result in a job's record, as the result says itself.
struct Author {
  std::string worker;
  int run = 0;
};

struct Evidence {
  std::vector<std::string> accepted;  // By the publisher's acknowledgement. Twice is once.
  std::vector<std::string> queued;    // Messages in the lane.
  std::vector<Letter> dead;
  bool has_runs = false;  // There is a place where every run that ended is written down: `runs`.
  std::vector<EndedRun> runs;
  std::map<std::string, JobRecord> records;
  std::map<std::string, Author> authors;  // Of records whose result names one.
};

struct Finding {
  std::string id;
  std::string why;
  bool operator==(const Finding&) const = default;
};

// Each list in the order of the ids.
struct Verdict {
  int accepted = 0;
  // Each accepted job is in exactly one of these, or lost.
  int done = 0;
  int dead = 0;
  int moved = 0;
  int cancelled = 0;
  std::vector<std::string> queued;
  std::vector<Finding> lost;

  // Jobs that ran to the end more than once, with what the record says about it.
  std::vector<Finding> explained;
  std::vector<Finding> unexplained;
  // Jobs whose record holds the result of a worker that had lost them.
  std::vector<Finding> stale;
  // Jobs whose record says something else than the queue.
  std::vector<Finding> contradictory;

  std::map<std::string, int> dead_by_reason;
  int unaccepted = 0;  // Ids that were seen, but not accepted: a publish without its answer.
};

Verdict DecideVerdict(const Evidence& evidence);

// Nothing is lost, nothing stale has won, no record contradicts the queue.
bool Holds(const Verdict& verdict);

}  // namespace lanekeeper::verify
