#include "worker-runtime/job/type_counts.h"

#include <algorithm>
#include <cassert>

namespace lanekeeper {

void TypeCounts::Count(std::string_view type, std::size_t bucket) {
  assert(bucket < kServiceBuckets);
  auto found = types_.find(type);
  if (found == types_.end()) {
    if (types_.size() >= kTypesMax) return;
    found = types_.try_emplace(std::string(type)).first;
  }
  SparseServiceCounts& counts = found->second;
  const auto at = std::lower_bound(
      counts.begin(), counts.end(), bucket,
      [](const auto& counted, std::size_t wanted) { return counted.first < wanted; });
  if (at != counts.end() && at->first == bucket) {
    ++at->second;
  } else {
    counts.emplace(at, static_cast<std::uint8_t>(bucket), 1);
  }
}

std::vector<TypeService> TypeCounts::Most(std::size_t types_max) const {
  std::vector<std::pair<std::uint64_t, const std::string*>> order;
  order.reserve(types_.size());
  for (const auto& [type, counts] : types_) order.emplace_back(JobsIn(counts), &type);
  const auto size = static_cast<std::ptrdiff_t>(std::min(types_max, order.size()));
  std::partial_sort(order.begin(), order.begin() + size, order.end(),
                    [](const auto& a, const auto& b) {
                      return a.first != b.first ? a.first > b.first : *a.second < *b.second;
                    });
  order.resize(static_cast<std::size_t>(size));
  std::vector<TypeService> most;
  most.reserve(order.size());
  for (const auto& [jobs, type] : order) most.push_back({*type, types_.find(*type)->second});
  return most;
}

}  // namespace lanekeeper
