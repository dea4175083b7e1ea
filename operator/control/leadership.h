// Whether this operator may act, where several stand by for one another.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "worker-runtime/base/time.h"

namespace lanekeeper {

struct Lead {
  std::string leader;      // Who leads; another one for each process.
  std::int64_t epoch = 0;  // >= 1, and greater than that of every lead before.
  // What is begun now must have ended by then: afterwards somebody else may lead.
  MonotonicTime ends{};
  bool operator==(const Lead&) const = default;
};

class Leadership {
 public:
  virtual ~Leadership() = default;
  // Nothing: somebody else may lead. Cheap, never waits; to be asked right before each thing that
  // is done. Any thread.
  virtual std::optional<Lead> Current() const = 0;
};

// A lead counts once the reconcile thread has taken it up, between two passes: a pass that was
// begun in an earlier one cannot act in the name of this one.
class TakenLead final : public Leadership {
 public:
  // `leadership` outlives this.
  explicit TakenLead(const Leadership& leadership) : leadership_(leadership) {}

  std::optional<Lead> Offered() const { return leadership_.Current(); }
  void TakeUp(std::int64_t epoch) { epoch_ = epoch; }
  void LayDown() { epoch_ = 0; }

  std::optional<Lead> Current() const override {
    std::optional<Lead> lead = leadership_.Current();
    if (lead && lead->epoch != epoch_) lead.reset();
    return lead;
  }

 private:
  const Leadership& leadership_;
  std::atomic<std::int64_t> epoch_{0};  // 0: none.
};

}  // namespace lanekeeper
