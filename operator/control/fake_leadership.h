// A Leadership whose lead a test gives and takes. Any thread.
#pragma once

#include <mutex>
#include <optional>
#include <utility>

#include "operator/control/leadership.h"

namespace lanekeeper {

class FakeLeadership final : public Leadership {
 public:
  std::optional<Lead> Current() const override {
    const std::lock_guard lock(mutex_);
    return lead_;
  }
  void Set(std::optional<Lead> lead) {
    const std::lock_guard lock(mutex_);
    lead_ = std::move(lead);
  }

 private:
  mutable std::mutex mutex_;
  std::optional<Lead> lead_;
};

inline Lead LeadOf(std::int64_t epoch) { return {"me", epoch, MonotonicTime::max()}; }

}  // namespace lanekeeper
