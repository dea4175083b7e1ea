// What is learned of how long jobs take, from what workers say they counted. Behind TypeTimes; one
// thread at a time, the time is an argument.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "worker-runtime/base/time.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/job/worker_report.h"

namespace lanekeeper::gateway {

// Beyond these, what is new is not learned.
struct TypeTableLimits {
  std::size_t pools_max = 1000;
  std::size_t types_per_pool_max = 64;
  std::size_t workers_max = 10'000;
};

class TypeTable {
 public:
  explicit TypeTable(TypeTableLimits limits = {}) : limits_(limits) {}

  // A worker counts from its start on: its first report counts in full, though for no more jobs
  // than kWeightMax, then what it has grown by; from zero once it fell, because it was started
  // anew. A worker that stopped is forgotten, and so is one that was silent for kSilentKept.
  void Record(const LaneKey& lane, const WorkerReport& report, MonotonicTime now);

  // Nothing with fewer than kJobsMin jobs seen. At most 9 % off.
  std::optional<std::chrono::milliseconds> P95(std::string_view pool_namespace,
                                               std::string_view pool, std::string_view type) const;
  std::size_t workers() const { return workers_.size(); }

  static constexpr double kJobsMin = 20;
  static constexpr double kJobsKept = 1000;  // Beyond it every count is halved: the old fades.
  static constexpr double kWeightMax = 500;  // Of what one report adds to one type.
  static constexpr std::chrono::hours kSilentKept{1};

 private:
  struct Times {
    std::array<float, kServiceBuckets> counts{};  // By bucket.
    double jobs = 0;                              // All of them.
  };
  struct Pool {
    std::map<std::string, Times, std::less<>> types;
    MonotonicTime heard_at{};
  };
  struct Worker {
    std::map<std::string, SparseServiceCounts, std::less<>> types;  // As it said last.
    MonotonicTime heard_at{};
  };
  using PoolName = std::pair<std::string, std::string>;

  Worker* WorkerOf(const LaneKey& lane, const std::string& name, MonotonicTime now);
  Pool* PoolOf(const LaneKey& lane, MonotonicTime now);
  void Learn(Pool& pool, const TypeService& said, const SparseServiceCounts& before);

  const TypeTableLimits limits_;
  std::map<PoolName, Pool> pools_;
  std::map<std::pair<LaneKey, std::string>, Worker> workers_;
  MonotonicTime swept_at_{};
};

}  // namespace lanekeeper::gateway
