#include "worker-runtime/gateway/caller_counts.h"

#include <algorithm>

namespace lanekeeper::gateway {

std::int64_t CallerCounts::Waiting(std::string_view caller) const {
  const auto found = counts_.find(caller);
  return found == counts_.end() ? 0 : found->second.publishing + found->second.stored;
}

void CallerCounts::Begin(const Caller& caller) { ++counts_[caller].publishing; }

void CallerCounts::End(const Caller& caller, std::uint64_t sequence) {
  if (sequence != 0) Found(caller, sequence);
  const auto found = counts_.find(caller);
  if (found == counts_.end()) return;
  if (found->second.publishing > 0) --found->second.publishing;
  ForgetIfNone(found);
}

void CallerCounts::Found(const Caller& caller, std::uint64_t sequence) {
  if (sequence <= delivered_ || jobs_.size() >= jobs_max_ || jobs_.contains(sequence)) return;
  const auto count = counts_.try_emplace(caller).first;
  ++count->second.stored;
  jobs_.emplace(sequence, count);
}

void CallerCounts::Delivered(std::uint64_t sequence, std::uint64_t last) {
  // The stream was made anew: it counts from 1 again.
  const bool anew = sequence < delivered_ && last < delivered_;
  delivered_ = anew ? sequence : std::max(sequence, delivered_);
  while (!jobs_.empty() && (anew || jobs_.begin()->first <= delivered_)) {
    const auto count = jobs_.begin()->second;
    jobs_.erase(jobs_.begin());
    --count->second.stored;
    ForgetIfNone(count);
  }
}

void CallerCounts::ForgetIfNone(Counts::iterator caller) {
  if (caller->second.publishing == 0 && caller->second.stored == 0) counts_.erase(caller);
}

}  // namespace lanekeeper::gateway
