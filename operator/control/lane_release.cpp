#include "operator/control/lane_release.h"

#include <algorithm>

#include "operator/scaling/wording.h"

namespace lanekeeper {
namespace {

// Who went is looked at for this long after a lowering; what ends later ends for another reason.
constexpr std::chrono::seconds kLookAfterwards{10};

template <typename Map>
void KeepOnly(Map& map, const Crew& crew) {
  std::erase_if(map, [&](const auto& entry) { return !FindWorker(crew.placed, entry.first); });
}

}  // namespace

void LaneRelease::See(const std::vector<ReportedWorker>& reported, const Crew& crew,
                      MonotonicTime now) {
  KeepOnly(drained_since_, crew);
  KeepOnly(asked_, crew);
  KeepOnly(marked_at_, crew);
  for (const ReportedWorker& worker : reported) {
    if (worker.state == WorkerState::kDrained) {
      drained_since_.try_emplace(worker.name, now);
    } else {
      drained_since_.erase(worker.name);
    }
  }
}

void LaneRelease::Tell(LaneProbe& probe, const LaneKey& key,
                       const std::vector<std::string>& workers, std::string_view request,
                       MonotonicTime now) {
  for (const std::string& worker : workers) {
    const auto [asked, is_new] = asked_.try_emplace(worker, request, now);
    if (!is_new && asked->second.first == request && now - asked->second.second < kAskAgainAfter) {
      continue;
    }
    asked->second = {request, now};
    probe.Tell(key, worker, request);
  }
}

Result<void> LaneRelease::Mark(Platform& platform, const LaneKey& key,
                               const std::vector<std::string>& workers, bool first_to_go,
                               const Crew& crew, MonotonicTime now) {
  for (const std::string& name : workers) {
    const PlacedWorker* worker = FindWorker(crew.placed, name);
    if (worker == nullptr) continue;
    WorkerMarks marks = worker->marks;
    marks.first_to_go = first_to_go;
    Result<void> marked = platform.Mark(key, name, marks);
    if (!marked && marked.error().kind != ErrorKind::kNotFound) {
      return Wrap(std::move(marked).error(), "marking worker " + name);
    }
    marked_at_[name] = now;
  }
  return {};
}

LaneRelease::Step LaneRelease::Advance(Platform& platform, LaneProbe& probe, const LaneKey& key,
                                       const scaling::ReleaseFacts& facts, const Crew& crew,
                                       std::vector<scaling::CrewMember> members,
                                       MonotonicTime now) {
  Step step;
  step.plan = scaling::PlanRelease(facts, std::move(members));
  step.replicas = step.plan.replicas;
  Tell(probe, key, step.plan.undrain, kControlUndrain, now);
  Tell(probe, key, step.plan.drain, kControlDrain, now);
  for (const auto& [names, first] :
       {std::pair(&step.plan.mark, true), std::pair(&step.plan.unmark, false)}) {
    Result<void> marked = Mark(platform, key, *names, first, crew, now);
    // The plan counts on no mark that it asks for only now.
    if (!marked) step.error = std::move(marked).error();
  }
  if (!step.plan.drain.empty() || !step.plan.undrain.empty()) step.due = now + kAskAgainAfter;
  if (!step.plan.mark.empty()) step.due = now + kMarkSettle;
  if (step.replicas < facts.replicas) {
    if (const MonotonicTime settled_at = SettledAt(step.plan, crew); now < settled_at) {
      step.replicas = facts.replicas;
      step.due = settled_at;
    }
  }
  if (step.replicas < facts.replicas) released_ += facts.replicas - step.replicas;
  Say(step, facts.target);
  // A drained worker that stays ready brings no news; neither does a platform that does nothing.
  if (step.plan.to_release > 0 && !step.due) step.due = now + kAskAgainAfter;
  return step;
}

MonotonicTime LaneRelease::SettledAt(const scaling::ReleasePlan& plan, const Crew& crew) const {
  MonotonicTime settled_at = MonotonicTime::min();
  for (const std::string& name : plan.going) {
    const auto marked = marked_at_.find(name);
    if (marked != marked_at_.end()) {
      settled_at =
          std::max(settled_at, marked->second + (plan.exposed ? kExposedSettle : kMarkSettle));
    }
    const PlacedWorker* worker = FindWorker(crew.placed, name);
    if (plan.exposed && worker != nullptr) {
      settled_at = std::max(settled_at, worker->since + kExposedSettle);
    }
  }
  return settled_at;
}

void LaneRelease::Say(const Step& step, int target) {
  if (step.plan.to_release == 0) {
    released_ = 0;
    sentence_.clear();
    return;
  }
  const int left = std::max(0, step.replicas - target);
  sentence_ = scaling::DescribeRelease(released_, released_ + left, step.plan.busy,
                                       step.plan.oldest_running);
}

void LaneRelease::Lowered(const Step& step, const Crew& crew, MonotonicTime now) {
  going_ = {step.plan.going.begin(), step.plan.going.end()};
  ended_before_.clear();
  for (const EndingWorker& worker : crew.ending) ended_before_.insert(worker.name);
  lowered_at_ = now;
}

std::vector<LaneRelease::Interrupted> LaneRelease::WhoWent(
    const WorkloadState& workload, const Crew& crew, const std::vector<ReportedWorker>& reported,
    std::int64_t jobs_unaccounted, MonotonicTime now) {
  std::vector<Interrupted> interrupted;
  if (going_.empty()) return interrupted;
  const bool anybody_left = std::ranges::any_of(
      going_, [&](const std::string& name) { return FindWorker(crew.placed, name) != nullptr; });
  const bool over = now - lowered_at_ > kLookAfterwards;
  // Only when the platform has done what it was asked for can another one have gone instead.
  if (static_cast<int>(crew.placed.size()) > workload.replicas && !over) return interrupted;
  if (anybody_left && !over && !workload.rolling) {
    for (const EndingWorker& worker : crew.ending) {
      if (going_.contains(worker.name) || ended_before_.contains(worker.name)) continue;
      const ReportedWorker* said = FindWorker(reported, worker.name);
      const int jobs = said != nullptr ? said->running : jobs_unaccounted > 0 ? 1 : 0;
      if (jobs > 0) interrupted.push_back({worker.name, jobs});
    }
  }
  going_.clear();
  return interrupted;
}

}  // namespace lanekeeper
