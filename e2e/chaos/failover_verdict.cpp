#include "e2e/chaos/failover_verdict.h"

#include <algorithm>
#include <map>

namespace lanekeeper::e2e {
namespace {

// The most that was needed at any moment of the interval.
int MostNeeded(const std::vector<Need>& needs, SteadyTime from, SteadyTime to) {
  int most = 0;
  int at_begin = 0;
  for (const Need& need : needs) {
    if (need.at <= from) {
      at_begin = need.workers;
    } else if (need.at <= to) {
      most = std::max(most, need.workers);
    }
  }
  return std::max(most, at_begin);
}

std::string Sentence(const ReplicaChange& change, int needed, const char* when) {
  return "from " + std::to_string(change.from) + " to " + std::to_string(change.to) +
         " workers, though " + std::to_string(needed) + " were needed " + when;
}

}  // namespace

std::vector<std::string> DecisionsOfTwoLeaders(const std::vector<LedDecision>& decisions) {
  std::vector<std::string> found;
  std::map<std::int64_t, std::string> leader_of;
  std::int64_t newest = 0;
  for (std::size_t n = 0; n < decisions.size(); ++n) {
    const LedDecision& one = decisions[n];
    const std::string what = "decision " + std::to_string(n + 1) + " of lead " +
                             std::to_string(one.epoch) + " by " + one.leader;
    const auto [leader, is_new] = leader_of.try_emplace(one.epoch, one.leader);
    if (one.leader.empty() || one.epoch <= 0) {
      found.push_back(what + " says nobody leads");
    } else if (one.epoch < newest) {
      found.push_back(what + " comes after lead " + std::to_string(newest));
    } else if (!is_new && leader->second != one.leader) {
      found.push_back(what + " is another's lead, of " + leader->second);
    }
    newest = std::max(newest, one.epoch);
  }
  return found;
}

std::vector<std::string> WrongSteps(const std::vector<Need>& needs,
                                    const std::vector<ReplicaChange>& changes,
                                    const StepRules& rules) {
  std::vector<std::string> wrong;
  for (const ReplicaChange& change : changes) {
    if (change.to < change.from) {
      // What was needed just now may not have been known, and what was needed when the window began
      // may have been over.
      const int needed =
          MostNeeded(needs, change.at - rules.window + rules.slack, change.at - rules.slack);
      if (change.to < needed) wrong.push_back(Sentence(change, needed, "within the window"));
    } else if (change.to > change.from) {
      const int needed = MostNeeded(needs, change.at - rules.slack - rules.request_max, change.at);
      if (change.to > needed) wrong.push_back(Sentence(change, needed, "at most"));
    }
  }
  return wrong;
}

}  // namespace lanekeeper::e2e
