// Which workers to release, one step at a time, so that no running job is ever cut:
//
//   drain ─▶ drained ─▶ marked as first to go, not ready ─▶ replicas lowered by exactly those ─▶
//   gone
//     └──────────┴──────────────┴── undrain: demand came back
//
// A worker that somebody told to end is started anew in its place, and fetches then: that it is
// drained is no reason to let it go, and it goes back to work without being asked.
//
// Every step is decided from what workers and platform say now; nothing is remembered, so a
// restarted operator goes on in the middle. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "worker-runtime/job/worker_report.h"

namespace lanekeeper::scaling {

// One worker: the platform's view of it, and its own if it has reported.
struct CrewMember {
  enum class Phase {
    kNoRoom,    // Cannot be placed.
    kStarting,  // Placed, and not ready yet since it exists.
    kReady,
    kNotReady,  // Was ready before: draining, or in trouble.
  };
  std::string name;
  Phase phase = Phase::kReady;
  bool first_to_go = false;          // Marked so, at the platform.
  std::optional<WorkerState> state;  // By its last report. Nothing: not heard of (any more).
  bool ending = false;               // Its process ends when it has drained.
  int running = 0;
  std::chrono::seconds oldest_running{0};
  // Not heard of, and for long enough that it would have been: it does not report at all.
  bool silent = false;
  // It was asked to drain long enough ago and is ready all the same: its readiness does not follow.
  bool keeps_ready = false;
};

struct ReleasePlan {
  std::vector<std::string> drain;
  std::vector<std::string> undrain;
  std::vector<std::string> mark;  // As first to go.
  std::vector<std::string> unmark;
  // What to ask the platform for now. Below the current number only by workers that are drained, or
  // never started, and marked.
  int replicas = 0;
  std::vector<std::string> going;  // Those that the platform takes with the lower number.
  // Somebody who stays is not ready: the platform takes it if it has not heard yet that those who
  // go are marked and not ready themselves.
  bool exposed = false;
  // For people.
  int to_release = 0;                      // Workers over the target.
  int busy = 0;                            // Of those picked: still have a running job.
  std::chrono::seconds oldest_running{0};  // Of the busy ones.
  bool operator==(const ReleasePlan&) const = default;
};

struct ReleaseFacts {
  int target = 0;    // Workers the lane should have.
  int replicas = 0;  // What the platform is asked for.
  int placed = 0;    // Workers there are by the workload's own count.
  // A rollout is under way: fewer replicas would be taken from both templates in proportion,
  // whoever is busy. Only all can be released then, or nobody; and nobody is drained for less,
  // because a rollout waits for its new workers to be ready.
  bool rolling = false;
  bool pending = false;  // The platform has not looked at the last change yet.
  // No job is running that no report accounts for: a silent worker has none either.
  bool all_jobs_accounted_for = false;
};

ReleasePlan PlanRelease(const ReleaseFacts& facts, std::vector<CrewMember> crew);

}  // namespace lanekeeper::scaling
