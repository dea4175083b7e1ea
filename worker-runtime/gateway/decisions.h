// Why a lane has as many workers as it has: what the operator decided, as a gateway shows it. A
// port: the operator keeps the decisions, and the program that joins the two hands in how to read
// them.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "worker-runtime/base/time.h"
#include "worker-runtime/gateway/problem.h"
#include "worker-runtime/job/names.h"

namespace lanekeeper::gateway {

// What one rule made of the number, in the order in which the rules were applied.
struct DecisionTerm {
  std::string term;  // "Demand"
  int workers = 0;   // After it.
  std::string text;  // In words: "204 jobs at 16 per worker".
  bool operator==(const DecisionTerm&) const = default;
};

struct Decision {
  WallTime time{};
  std::string sentence;  // "Scaled from 0 to 13 workers: 201 jobs waiting and 3 running, …"
  std::string reason;    // A stable word: "BacklogGrew".
  int workers_from = 0;
  int workers_to = 0;
  bool observed_only = false;  // It was not acted on.
  std::vector<DecisionTerm> terms;
  bool operator==(const Decision&) const = default;
};

class DecisionLog {
 public:
  virtual ~DecisionLog() = default;
  // The last `n` of a lane, the newest first; none when nothing was decided yet. Waits, up to some
  // seconds. Any thread.
  virtual Answer<std::vector<Decision>> Last(const LaneKey& lane, std::size_t n) = 0;
};

}  // namespace lanekeeper::gateway
