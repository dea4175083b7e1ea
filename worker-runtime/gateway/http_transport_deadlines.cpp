#include "worker-runtime/gateway/http_transport_deadlines.h"

#include <algorithm>

namespace lanekeeper::gateway::transport {
namespace {

using std::chrono::milliseconds;

// A client whose request was refused has so long to read why.
constexpr milliseconds kLinger{2000};
constexpr milliseconds kTickMin{5};
constexpr milliseconds kTickMax{500};
constexpr int kTicksPerWait = 10;

}  // namespace

Deadlines::Deadlines(const TransportLimits& limits)
    : lengths_{milliseconds(0),     limits.header_timeout, limits.body_timeout,
               limits.idle_timeout, limits.write_timeout,  kLinger} {
  const auto shortest = *std::min_element(lengths_.begin() + 1, lengths_.end());
  tick_ = std::clamp(shortest / kTicksPerWait, kTickMin, kTickMax);
}

void Deadlines::Arm(Deadline& who, Wait what) {
  who.unlink();
  who.waits_for_ = what;
  if (what == Wait::kNothing) return;
  const auto kind = static_cast<std::size_t>(what);
  who.at_ = Clock::now() + lengths_[kind];
  lists_[kind].push_back(who);
}

void Deadlines::Sweep(Clock::time_point now) {
  for (List& list : lists_) {
    while (!list.empty() && list.front().at_ <= now) {
      Deadline& who = list.front();
      const Wait what = who.waits_for_;
      Arm(who, Wait::kNothing);
      who.OnDeadline(what);
    }
  }
}

bool Deadlines::empty() const {
  return std::all_of(lists_.begin(), lists_.end(), [](const List& list) { return list.empty(); });
}

}  // namespace lanekeeper::gateway::transport
