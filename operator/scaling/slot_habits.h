// Learns how a lane's demand rises: whether, once a slot begins to be needed, the next one usually
// is within a cold start. The n-th slot is needed while the lane has n jobs or more.
//
// Bounded: the first slots one by one, those above in steps of 9 %, kLevels in all, each with two
// fading counts, and only those that were ever needed. Pure: the time is an argument. Not
// thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace lanekeeper::scaling {

// What habits are weighed by.
struct SlotCosts {
  double service_seconds = 0;     // Of one job. > 0
  double cold_start_seconds = 0;  // >= 0
};

class SlotHabits {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // The lane has `jobs` waiting or running. Any rate of calls; times nobody looked at are passed
  // over, not taken for idle ones.
  void See(Time now, std::int64_t jobs, const SlotCosts& costs);

  // The highest slot that is likely to be needed within a cold start, as those below it just began
  // to be. 0: nothing began.
  double next() const { return next_; }

  static constexpr std::size_t kLevels = 96;
  static double SlotOf(std::size_t level);

 private:
  // One slot, or the highest of a few. Seconds are of clock_.
  struct Level {
    double last_used = 0;
    double rose_at = -1;  // It began to be used, and it is open what follows. Below 0: no.
    float rises = 0;      // Fading: how often that was,
    float follows = 0;    // and how often the next level was used within a cold start.
  };
  void Settle(std::size_t index, std::size_t used, double cold_start_seconds);
  double FindNext(std::size_t used, const SlotCosts& costs) const;

  std::optional<Time> seen_at_;
  double clock_ = 0;           // Seconds that were looked at.
  std::vector<Level> levels_;  // Those that were ever used.
  double next_ = 0;
};

}  // namespace lanekeeper::scaling
