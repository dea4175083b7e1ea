// The ledger: every decision that changed something, or would have but for one term, with all that
// it was made from. Made again from an entry, it is the same decision.
#pragma once

#include <cstdint>
#include <string>

#include "operator/scaling/decide_workers.h"
#include "operator/scaling/observation.h"
#include "worker-runtime/base/clock.h"
#include "worker-runtime/job/names.h"

namespace lanekeeper {

struct LedgerEntry {
  LaneKey key;
  WallTime time{};
  scaling::ScalingPolicy policy;
  scaling::Observation observation;
  // What DecideWorkers made of the two above, before budget and release.
  scaling::ScalingDecision decided;
  // What came of it after budget and release, and was acted on unless `observed_only`.
  scaling::ScalingDecision applied;
  bool observed_only = false;  // scaling.mode: Observe.
  std::string sentence;        // DescribeDecision.
  // Where several operators stand by: who decided, and in which Lead. Empty and 0: there was one.
  std::string leader;
  std::int64_t epoch = 0;
  bool operator==(const LedgerEntry&) const = default;
};

// Called by the reconcile thread. Never waits; best effort: what cannot be written now is counted
// and dropped.
class Ledger {
 public:
  virtual ~Ledger() = default;
  virtual void Record(const LedgerEntry& entry) = 0;
};

}  // namespace lanekeeper
