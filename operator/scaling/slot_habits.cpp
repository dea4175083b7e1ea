#include "operator/scaling/slot_habits.h"

#include <algorithm>
#include <cmath>

namespace lanekeeper::scaling {
namespace {

// Slots counted one by one; from there on by the eighth root of two.
constexpr std::size_t kSingly = 32;
// Who was away for longer did not see what happened.
constexpr double kBlindToSlotsSeconds = 15;
// How much a rise counts against the one after it.
constexpr double kFade = 0.97;
// A slot that was idle for longer than this begins anew.
constexpr double kRiseSeconds = 30;
// How likely it must be that the next slot is needed, and that nothing else becomes free for it.
constexpr double kLikely = 0.35;
// Nothing else, within this share of a cold start: what becomes free later is not waited for.
constexpr double kPatience = 0.15;

// The chance that none of `busy` slots becomes free soon: only then does a job wait for a worker
// that is missing.
double NoneFree(double busy, const SlotCosts& costs) {
  return std::exp(-busy * kPatience * costs.cold_start_seconds / costs.service_seconds);
}

}  // namespace

double SlotHabits::SlotOf(std::size_t level) {
  if (level < kSingly) return static_cast<double>(level + 1);
  return std::floor(static_cast<double>(kSingly) *
                    std::exp2(static_cast<double>(level + 1 - kSingly) / 8.0));
}

void SlotHabits::See(Time now, std::int64_t jobs, const SlotCosts& costs) {
  const double passed = seen_at_ ? std::chrono::duration<double>(now - *seen_at_).count() : 0.0;
  seen_at_ = now;
  if (passed > 0 && passed <= kBlindToSlotsSeconds) clock_ += passed;

  std::size_t used = 0;
  while (used < kLevels && SlotOf(used) <= static_cast<double>(jobs)) ++used;
  for (std::size_t i = 0; i < levels_.size(); ++i) Settle(i, used, costs.cold_start_seconds);
  for (std::size_t i = 0; i < std::min(used, levels_.size()); ++i) {
    Level& level = levels_[i];
    if (clock_ - level.last_used > kRiseSeconds) level.rose_at = clock_;
    level.last_used = clock_;
  }
  while (levels_.size() < used) levels_.push_back({.last_used = clock_});
  next_ = FindNext(used, costs);
}

void SlotHabits::Settle(std::size_t index, std::size_t used, double cold_start_seconds) {
  Level& level = levels_[index];
  if (level.rose_at < 0) return;
  const bool followed = used > index + 1;
  if (!followed && clock_ - level.rose_at <= cold_start_seconds) return;
  level.rises = level.rises * static_cast<float>(kFade) + 1.0F;
  level.follows = level.follows * static_cast<float>(kFade) + (followed ? 1.0F : 0.0F);
  level.rose_at = -1;
}

double SlotHabits::FindNext(std::size_t used, const SlotCosts& costs) const {
  if (costs.cold_start_seconds <= 0 || costs.service_seconds <= 0) return 0;
  if (used == 0 || levels_[used - 1].rose_at < 0) return 0;
  double next = 0;
  double chance = 1;
  for (std::size_t i = used - 1; i + 1 < levels_.size(); ++i) {
    chance *= levels_[i].follows / (levels_[i].rises + 1.0);
    if (chance * NoneFree(SlotOf(i), costs) < kLikely) break;
    next = SlotOf(i + 1);
  }
  return next;
}

}  // namespace lanekeeper::scaling
