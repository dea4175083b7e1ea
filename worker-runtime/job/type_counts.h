// How long jobs of each type took: what a worker counts and its reports carry. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "worker-runtime/job/service_times.h"

namespace lanekeeper {

// Most types use a few buckets only. By bucket, ascending, without zeros.
using SparseServiceCounts = std::vector<std::pair<std::uint8_t, std::uint64_t>>;
static_assert(kServiceBuckets <= 256);

inline std::uint64_t JobsIn(const SparseServiceCounts& counts) {
  std::uint64_t jobs = 0;
  for (const auto& [bucket, count] : counts) jobs += count;
  return jobs;
}

struct TypeService {
  std::string type;             // As in JobHead.type: empty for jobs without one.
  SparseServiceCounts service;  // Since the worker started.
  bool operator==(const TypeService&) const = default;
};

// One thread at a time.
class TypeCounts {
 public:
  // Once so many types have been seen, jobs of further ones are not counted.
  static constexpr std::size_t kTypesMax = 256;

  // bucket < kServiceBuckets.
  void Count(std::string_view type, std::size_t bucket);
  // Those with the most jobs, the most first; types with equally many in the order of their names.
  std::vector<TypeService> Most(std::size_t types_max) const;

 private:
  std::map<std::string, SparseServiceCounts, std::less<>> types_;
};

}  // namespace lanekeeper
