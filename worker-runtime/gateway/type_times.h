// How long jobs of each type took, learned from the reports of the workers. For Routing::kLearned.
// WorkerDesk is one.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace lanekeeper::gateway {

// Bounded: 1,000 pools, 64 types a pool, 10,000 workers; beyond that, what is new is not learned.
// Thread-safe.
class TypeTimes {
 public:
  virtual ~TypeTimes() = default;

  // Nothing with fewer than 20 jobs of that type seen. Reports carry what workers counted since
  // they started, so a new gateway knows within kWorkerReportInterval.
  virtual std::optional<std::chrono::milliseconds> P95(std::string_view pool_namespace,
                                                       std::string_view pool,
                                                       std::string_view type) const = 0;
};

}  // namespace lanekeeper::gateway
