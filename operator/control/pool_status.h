// What the operator says about a pool: written to status, compared to decide whether to write.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lanekeeper {

struct Condition {
  std::string type;  // Ready, QueueReachable, ScalingLimited, CapacityShort, DeadLetters.
  bool status = false;
  std::string reason;           // Stable PascalCase word; people alert on it.
  std::string message;          // A sentence.
  std::string last_transition;  // RFC 3339; changes only when `status` does.
  bool operator==(const Condition&) const = default;
};

struct DecisionTerm {
  std::string term;  // scaling::ToString(Term).
  int workers = 0;   // After this term.
  std::string note;
  bool operator==(const DecisionTerm&) const = default;
};

struct LaneStatus {
  std::string name;
  bool paused = false;  // In the queue; not spec.paused.
  std::int64_t waiting = 0;
  std::int64_t running = 0;
  std::int64_t parked = 0;
  std::int64_t oldest_wait_seconds = 0;
  int workers_desired = 0;
  int workers_ready = 0;
  int workers_busy = 0;
  int workers_idle = 0;
  int workers_draining = 0;
  int workers_unschedulable = 0;
  // How long a job that comes now waits before it starts; -1: not known.
  std::int64_t predicted_wait_seconds = -1;
  // "3 of 5 released, 2 busy, oldest for 01:12:40"; empty while nothing is released.
  std::string release;
  std::int64_t dead_letters = 0;
  // The last decision that changed something.
  int decision_workers = 0;
  std::string decision_reason;
  std::string decision_message;
  std::string decision_time;  // RFC 3339; empty while there was none.
  std::vector<DecisionTerm> decision_terms;
  bool operator==(const LaneStatus&) const = default;
};

struct PoolStatus {
  std::int64_t observed_generation = 0;
  std::vector<Condition> conditions;
  std::vector<LaneStatus> lanes;
  bool operator==(const PoolStatus&) const = default;
};

// An Event for people. Equal (type, reason, message) ones are counted, not repeated.
struct PoolEvent {
  bool warning = false;
  std::string reason;   // Stable PascalCase word.
  std::string message;  // A sentence with numbers and the next step.
  bool operator==(const PoolEvent&) const = default;
};

}  // namespace lanekeeper
