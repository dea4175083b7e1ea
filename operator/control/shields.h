// Shields busy workers of Long and Gpu lanes from those who make room on nodes, and only while they
// are busy: an idle one is nobody's loss, and a node full of shields is never given back.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "operator/control/ports.h"
#include "operator/scaling/release.h"

namespace lanekeeper {

// How fast shields may be written, over all lanes: a burst of jobs that come and go must not become
// a burst of requests.
class ShieldRate {
 public:
  static constexpr double kPerSecond = 10;
  static constexpr double kBurst = 30;

  bool Take(MonotonicTime now);

 private:
  double tokens_ = kBurst;
  std::optional<MonotonicTime> at_;
};

// A shield stays this long after the last job: between two jobs it is not taken off and put on.
inline constexpr std::chrono::seconds kShieldLinger{10};

// Of one lane.
class Shields {
 public:
  // Puts on and takes off what is due; with `wanted` false takes off all. Returns when to look
  // again, if there is something to wait for.
  Result<std::optional<MonotonicTime>> Update(Platform& platform, const LaneKey& key, bool wanted,
                                              const Crew& crew,
                                              const std::vector<scaling::CrewMember>& members,
                                              ShieldRate& rate, MonotonicTime now);

 private:
  std::map<std::string, MonotonicTime> idle_since_;
};

}  // namespace lanekeeper
