#include "operator/scaling/release.h"

#include <algorithm>
#include <cstddef>
#include <tuple>
#include <utility>

namespace lanekeeper::scaling {
namespace {

using Phase = CrewMember::Phase;

// A pass marks no more than these: each is a request, and another pass follows.
constexpr std::size_t kMarksPerStep = 16;

// Why a worker is picked before another. The order of the first two is the platform's own, which
// takes workers that never started before any other, marked or not.
enum class Pick {
  kNoRoom,
  kNeverStarted,
  kDrained,
  kDraining,
  kIdle,
  kSilent,
  kDrainingBusy,
  kEnding,  // Fetches again once its process was started anew, and can be asked to drain then.
  kBusy,
  kNever,  // Nobody knows what it does.
};

Pick PickOf(const CrewMember& member, const ReleaseFacts& facts) {
  if (!member.state) {
    if (member.phase == Phase::kNoRoom) return Pick::kNoRoom;
    if (member.phase == Phase::kStarting) return Pick::kNeverStarted;
    return member.silent && facts.all_jobs_accounted_for ? Pick::kSilent : Pick::kNever;
  }
  if (member.ending) return Pick::kEnding;
  const bool busy = member.running > 0;
  switch (*member.state) {
    case WorkerState::kDrained:
    case WorkerState::kStopped:
      return Pick::kDrained;
    case WorkerState::kDraining:
      return busy ? Pick::kDrainingBusy : Pick::kDraining;
    case WorkerState::kRunning:
      break;
  }
  return busy ? Pick::kBusy : Pick::kIdle;
}

// Nothing is running in it and nothing will be.
bool MayGo(Pick pick) {
  return pick == Pick::kNoRoom || pick == Pick::kNeverStarted || pick == Pick::kDrained ||
         pick == Pick::kSilent;
}

bool IsBusy(Pick pick) {
  return pick == Pick::kDrainingBusy || pick == Pick::kEnding || pick == Pick::kBusy;
}

struct Candidate {
  CrewMember member;
  Pick pick;
  bool picked = false;

  // Its mark is not needed where the platform takes it first in any case.
  bool Marked() const { return member.first_to_go || pick == Pick::kNoRoom; }
  bool Goes() const { return picked && MayGo(pick) && Marked(); }
};

// What has come furthest on its way out is first, so that a plan is kept from pass to pass.
bool Before(const Candidate& a, const Candidate& b) {
  const auto rank = [](const Candidate& one) {
    const CrewMember& member = one.member;
    // Among the busy: the emptiest, then the one whose job has run longest and so ends first.
    return std::tuple(one.pick, !member.first_to_go, member.phase == Phase::kReady, member.running,
                      -member.oldest_running);
  };
  const auto rank_a = rank(a);
  const auto rank_b = rank(b);
  return rank_a != rank_b ? rank_a < rank_b : a.member.name < b.member.name;
}

// The platform takes workers that are not ready before marked ones that are. A busy worker may stop
// being ready at any moment, so those that go have to be not ready as well, as drained ones are.
bool PlatformWouldTakeThem(const std::vector<Candidate>& crew) {
  // Workers without room go before all others, and any of them is as good as another.
  const auto stays_or_has_no_room = [](const Candidate& one) {
    return !one.Goes() || one.pick == Pick::kNoRoom;
  };
  if (std::all_of(crew.begin(), crew.end(), stays_or_has_no_room)) return true;
  bool stays_not_ready = false;
  bool goes_ready = false;
  for (const Candidate& one : crew) {
    const Phase phase = one.member.phase;
    if (one.Goes()) {
      if (phase != Phase::kReady) continue;
      if (!one.member.keeps_ready && one.pick != Pick::kSilent) return false;
      goes_ready = true;
    } else {
      if (phase == Phase::kNoRoom || phase == Phase::kStarting) return false;
      if (one.member.first_to_go) return false;
      stays_not_ready = stays_not_ready || phase == Phase::kNotReady;
    }
  }
  return !stays_not_ready || !goes_ready;
}

int ReplicasNow(const ReleaseFacts& facts, const std::vector<Candidate>& crew) {
  const int placed = static_cast<int>(crew.size());
  const auto going = static_cast<int>(
      std::count_if(crew.begin(), crew.end(), [](const Candidate& one) { return one.Goes(); }));
  // Down to nothing takes everybody, in whatever order.
  if (facts.target == 0 && going == placed) return 0;
  if (facts.rolling || facts.pending || placed != facts.placed || !PlatformWouldTakeThem(crew)) {
    return facts.replicas;
  }
  return std::min(facts.replicas, std::max(facts.target, placed - going));
}

// Workers without a mark that the platform would take before a marked one that is ready.
bool AnyExposed(const std::vector<Candidate>& crew) {
  return std::any_of(crew.begin(), crew.end(), [](const Candidate& one) {
    return !one.Marked() && one.member.phase != Phase::kReady;
  });
}

void AddSteps(const Candidate& one, ReleasePlan& plan) {
  const CrewMember& member = one.member;
  if (IsBusy(one.pick)) {
    ++plan.busy;
    plan.oldest_running = std::max(plan.oldest_running, member.oldest_running);
  }
  const bool asked =
      one.pick == Pick::kDraining || one.pick == Pick::kDrainingBusy || one.pick == Pick::kEnding;
  if (MayGo(one.pick)) {
    if (!one.Marked() && plan.mark.size() < kMarksPerStep) plan.mark.push_back(member.name);
  } else if (!asked) {
    plan.drain.push_back(member.name);
  }
}

}  // namespace

ReleasePlan PlanRelease(const ReleaseFacts& facts, std::vector<CrewMember> members) {
  std::vector<Candidate> crew;
  crew.reserve(members.size());
  for (CrewMember& member : members) {
    const Pick pick = PickOf(member, facts);
    crew.push_back({std::move(member), pick});
  }
  std::sort(crew.begin(), crew.end(), Before);

  const int placed = static_cast<int>(crew.size());
  const bool may_release = !facts.rolling || facts.target == 0;
  const int over = may_release ? std::max(0, placed - facts.target) : 0;
  for (int n = 0; n < over; ++n) {
    Candidate& one = crew[static_cast<std::size_t>(n)];
    one.picked = one.pick != Pick::kNever;
  }

  ReleasePlan plan;
  plan.to_release = std::max(over, facts.replicas - facts.target);
  // The platform has been asked for fewer and has not acted yet: a worker that was to go and now is
  // ready, or has no mark, would be passed over for another.
  const bool in_flight = facts.pending || placed != facts.placed || placed > facts.replicas;
  const bool may_undrain =
      !in_flight || facts.rolling || (facts.target > facts.replicas && !AnyExposed(crew));
  for (const Candidate& one : crew) {
    if (one.picked) {
      AddSteps(one, plan);
      continue;
    }
    const CrewMember& member = one.member;
    const bool drains = !member.ending && (member.state == WorkerState::kDraining ||
                                           member.state == WorkerState::kDrained);
    if (drains && (may_undrain || !member.first_to_go)) plan.undrain.push_back(member.name);
    if (member.first_to_go && !in_flight && !facts.rolling) plan.unmark.push_back(member.name);
  }
  plan.replicas = facts.target >= facts.replicas ? facts.target : ReplicasNow(facts, crew);
  if (plan.replicas < facts.replicas) {
    plan.exposed = AnyExposed(crew);
    for (const Candidate& one : crew) {
      if (one.Goes()) plan.going.push_back(one.member.name);
    }
  }
  return plan;
}

}  // namespace lanekeeper::scaling
