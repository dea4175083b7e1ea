#include "operator/control/shields.h"

#include <algorithm>
#include <utility>

namespace lanekeeper {
namespace {

constexpr std::chrono::seconds kTryAgain{1};

}  // namespace

bool ShieldRate::Take(MonotonicTime now) {
  if (at_) tokens_ += kPerSecond * std::chrono::duration<double>(now - *at_).count();
  tokens_ = std::min(tokens_, kBurst);
  at_ = now;
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

Result<std::optional<MonotonicTime>> Shields::Update(
    Platform& platform, const LaneKey& key, bool wanted, const Crew& crew,
    const std::vector<scaling::CrewMember>& members, ShieldRate& rate, MonotonicTime now) {
  std::map<std::string, MonotonicTime> idle_since = std::exchange(idle_since_, {});
  std::optional<MonotonicTime> due;
  // Both are in the order in which the platform named them.
  for (std::size_t n = 0; n < crew.placed.size() && n < members.size(); ++n) {
    const PlacedWorker& worker = crew.placed[n];
    bool shield = wanted && members[n].running > 0;
    if (!shield && wanted && worker.marks.shielded) {
      const auto since = idle_since.try_emplace(worker.name, now).first;
      idle_since_.insert(*since);
      // Nobody knows what a worker does that is not heard of: it keeps what it has.
      shield = !members[n].state || now - since->second < kShieldLinger;
      if (members[n].state && shield) due = now + kTryAgain;
    }
    if (shield == worker.marks.shielded) continue;
    if (!rate.Take(now)) {
      due = now + kTryAgain;
      continue;
    }
    Result<void> marked = platform.Mark(
        key, worker.name, {.first_to_go = worker.marks.first_to_go, .shielded = shield});
    if (!marked && marked.error().kind != ErrorKind::kNotFound) {
      return Wrap(std::move(marked).error(), "shielding worker " + worker.name);
    }
  }
  return due;
}

}  // namespace lanekeeper
