// The lanes of a pool in one pass of the Reconciler: observe all, decide all, share the budget,
// then act on each and record it.
#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "operator/control/due.h"
#include "operator/control/observe.h"
#include "operator/control/reconciler.h"
#include "operator/scaling/budget.h"
#include "operator/scaling/wait_policy.h"
#include "operator/scaling/wording.h"
#include "worker-runtime/base/log.h"

namespace lanekeeper {
namespace {

using scaling::Doubt;
using scaling::ScalingDecision;
using scaling::ScalingReason;

// Until then a worker without room is on its way like any other.
constexpr std::chrono::seconds kNoRoomIsNewsAfter{3};
constexpr std::chrono::milliseconds kLearnInterval{500};

scaling::BudgetClaim ClaimOf(const Lane& lane, const scaling::Observation& seen,
                             const ScalingDecision& decision) {
  return {.wanted = decision.workers,
          .current = seen.workers_current,
          .busy = seen.workers_busy,
          .stuck = seen.workers_stuck,
          .gpus = lane.workers.gpus};
}

// Nothing was said yet, or what was said last is over without a change of workers.
bool IsFirstWordAfter(const std::string& last_reason) {
  if (last_reason.empty()) return true;
  constexpr std::array kStates{ScalingReason::kHeldByDoubt, ScalingReason::kLanePaused,
                               ScalingReason::kPaused};
  return std::ranges::any_of(
      kStates, [&](ScalingReason state) { return last_reason == scaling::ToString(state); });
}

// Decisions worth keeping: those that changed something, or would have but for one term, and the
// first one when that is over. One that was only observed changes nothing and would be news with
// every pass.
bool IsNews(const ScalingDecision& decision, const scaling::Observation& seen, bool act,
            const LaneStatus& last) {
  const int workers_from = seen.workers_current;
  const bool said = last.decision_reason == scaling::ToString(decision.reason) &&
                    last.decision_workers == decision.workers;
  if (decision.workers != workers_from) return act || !said;
  switch (decision.reason) {
    case ScalingReason::kOnTarget:
    case ScalingReason::kBacklogGrew:
    case ScalingReason::kBacklogShrank:
    case ScalingReason::kFlooredAtMin:
      return IsFirstWordAfter(last.decision_reason);
    case ScalingReason::kHeldByDoubt:
      // An operator that has just started: what was said before may still be right.
      if (seen.doubt == Doubt::kNoSampleYet) return false;
      break;
    default:
      break;
  }
  return !said;
}

}  // namespace

// All lanes are looked at before anything is done to one: they share the pool's budget. One lane's
// trouble does not keep the others waiting, unless it leaves open what is left of the budget.
Result<void> Reconciler::ReconcileLanes(const WorkerPool& pool, PoolState& state) {
  std::optional<Error> error;
  std::vector<LaneView> views;
  for (const Lane& lane : pool.lanes) {
    Result<LaneView> view = Observe(pool, lane, state.lanes[lane.name]);
    if (view) {
      Decide(*view, clock_.Now());
      views.push_back(*std::move(view));
    } else if (!error) {
      error = std::move(view).error();
    }
  }
  const bool limited = pool.budget != scaling::PoolBudget{};
  if (error && limited) return tl::unexpected<Error>(*std::move(error));
  if (limited) {
    std::vector<scaling::BudgetClaim> claims;
    for (const LaneView& view : views)
      claims.push_back(ClaimOf(view.lane, view.seen, view.decided));
    const std::vector<int> share = scaling::ShareBudget(pool.budget, claims);
    for (std::size_t i = 0; i < views.size(); ++i) {
      if (views[i].seen.doubt != Doubt::kNone || views[i].policy.paused) continue;
      views[i].applied = scaling::ApplyBudget(std::move(views[i].applied), share[i]);
    }
  }
  for (LaneView& view : views) {
    Result<void> done = Act(pool, view);
    if (done) continue;
    observer_->OnError(done.error());
    view.state.workload_error = done.error();
    if (!error) error = Wrap(std::move(done).error(), "scaling " + ToString(view.key)).value();
  }
  if (error) return tl::unexpected<Error>(*std::move(error));
  return {};
}

Result<Reconciler::LaneView> Reconciler::Observe(const WorkerPool& pool, const Lane& lane,
                                                 LaneState& state) {
  LaneView view{.lane = lane, .key = pool.KeyOf(lane), .state = state};
  view.sample = probe_.Latest(view.key);
  EnsureQueue(pool, lane, view.sample, state);
  const Result<WorkloadState> workload = platform_.Observe(view.key);
  if (!workload && workload.error().kind != ErrorKind::kNotFound) {
    return Wrap(workload.error(), "observing the workload of " + ToString(view.key));
  }
  if (workload) view.workload = *workload;
  Result<Crew> crew = platform_.Workers(view.key);
  if (!crew) return Wrap(std::move(crew).error(), "observing the workers of " + ToString(view.key));
  view.crew = *std::move(crew);
  view.reported = probe_.Workers(view.key);
  view.policy = PolicyOf(pool, lane);
  view.act = lane.scaling.mode == ScalingMode::kAct;

  const MonotonicTime now = clock_.Now();
  if (state.listening_since == MonotonicTime{}) state.listening_since = now;
  state.release.See(view.reported, view.crew, now);
  view.members =
      CrewOf(view.crew, view.reported, state.release.drained_since(), state.listening_since, now);
  view.seen = ObservationOf(view.sample, view.workload.value_or(WorkloadState{}), view.crew,
                            view.members, now);
  Learn(view, now);
  return view;
}

void Reconciler::Learn(LaneView& view, MonotonicTime now) {
  scaling::LaneMemory& memory = view.state.memory;
  memory.Seed(now, view.seen.workers_current);
  if (view.seen.doubt == Doubt::kNone) {
    memory.model().SeeArrivals(now, view.sample.arrivals_total);
  }
  memory.model().SeeService(now, probe_.Served(view.key));
  std::set<std::string>& counted = view.state.cold_starts_seen;
  std::erase_if(counted, [&](const auto& name) { return !FindWorker(view.crew.placed, name); });
  for (const PlacedWorker& worker : view.crew.placed) {
    if (!worker.cold_start || !counted.insert(worker.name).second) continue;
    memory.model().SeeColdStart(now, *worker.cold_start);
  }
  view.seen = memory.Complete(view.policy, view.seen, now);
}

void Reconciler::Decide(LaneView& view, MonotonicTime now) {
  view.decided = scaling::DecideWorkers(view.policy, view.seen);
  view.state.memory.Remember(view.policy, view.seen, view.decided, now);
  view.applied = view.decided;
}

Result<void> Reconciler::Act(const WorkerPool& pool, LaneView& view) {
  LaneState& state = view.state;
  const MonotonicTime now = clock_.Now();
  LookWhoWent(pool, view);
  state.step_due.reset();
  int replicas = view.seen.workers_current;
  std::optional<Error> release_error;
  if (!view.act) {
    // Somebody else scales; a workload that is not there yet is made at its smallest.
    if (!view.workload) replicas = view.lane.workers.min;
  } else if (view.seen.doubt != Doubt::kNone) {
    replicas = view.applied.workers;  // Held, and nobody can be asked.
  } else {
    LaneRelease::Step step = Release(view, now);
    replicas = step.replicas;
    release_error = std::move(step.error);
  }
  // More workers are asked for even if a mark cannot be set.
  Result<WorkloadState> after = Ask(pool, view, replicas);
  if (!after) return tl::unexpected<Error>(std::move(after).error());
  if (release_error) return tl::unexpected<Error>(*std::move(release_error));
  const bool long_jobs = view.lane.lane_class != LaneClass::kShort;
  const Result<std::optional<MonotonicTime>> shields = state.shields.Update(
      platform_, view.key, long_jobs, view.crew, view.members, shield_rate_, now);
  if (!shields) return tl::unexpected<Error>(shields.error());
  if (*shields) KeepEarlier(state.step_due, **shields);
  state.workload_error.reset();
  Record(pool, view, *after);
  return {};
}

// One step of the release protocol towards the decision; says which number to ask for now.
LaneRelease::Step Reconciler::Release(LaneView& view, MonotonicTime now) {
  if (!view.workload) return {.replicas = view.applied.workers};
  const scaling::ReleaseFacts facts{.target = view.applied.workers,
                                    .replicas = view.workload->replicas,
                                    .placed = view.workload->placed,
                                    .rolling = view.workload->rolling,
                                    .pending = view.workload->pending,
                                    .all_jobs_accounted_for = JobsUnaccountedFor(view.sample) == 0};
  LaneRelease::Step step =
      view.state.release.Advance(platform_, probe_, view.key, facts, view.crew, view.members, now);
  if (step.due) KeepEarlier(view.state.step_due, *step.due);
  view.applied = scaling::ApplyRelease(std::move(view.applied), step.replicas, step.plan.busy > 0);
  if (step.replicas < facts.replicas) {
    view.state.release.Lowered(step, view.crew, now);
    observer_->OnReleased(view.key, facts.replicas - step.replicas);
  }
  return step;
}

Result<WorkloadState> Reconciler::Ask(const WorkerPool& pool, const LaneView& view, int replicas) {
  const MonotonicTime now = clock_.Now();
  LaneState& state = view.state;
  const bool outdated = !view.workload || view.workload->lane_hash != LaneHash(view.lane);
  // After a restart, a workload with the right hash is taken as it is: ten thousand lanes are not
  // written anew because the operator was.
  if (!outdated && state.workload_generation < 0) {
    state.workload_generation = view.workload->generation;
  }
  // Somebody else changed the workload since our last write. Bounded, so that two owners do not
  // fight at full speed. In a lane that is only observed its scaler changes it all the time.
  const bool drifted = view.act && view.workload &&
                       view.workload->generation != state.workload_generation &&
                       now >= state.drift_due;
  Result<WorkloadState> after = Fail(ErrorKind::kRetryable, "nothing done");
  if (outdated || drifted) {
    after = platform_.Apply(pool, view.lane, replicas);
    state.drift_due = now + kDriftInterval;
  } else if (view.workload->replicas != replicas) {
    after = platform_.SetReplicas(view.key, replicas);
  } else {
    return *view.workload;
  }
  if (after) state.workload_generation = after->generation;
  return after;
}

void Reconciler::LookWhoWent(const WorkerPool& pool, LaneView& view) {
  if (!view.workload) return;
  for (const LaneRelease::Interrupted& one :
       view.state.release.WhoWent(*view.workload, view.crew, view.reported,
                                  JobsUnaccountedFor(view.sample), clock_.Now())) {
    platform_.Publish(
        pool, {.warning = true,
               .reason = "JobsInterrupted",
               .message = scaling::InterruptedSentence(view.lane.name, one.worker, one.jobs)});
    log::Error("reconciler", "busy worker ended by scaling",
               {{"pool", ToString(pool.key)},
                {"lane", view.lane.name},
                {"worker", one.worker},
                {"running_jobs", one.jobs}});
    observer_->OnInterrupted(view.key, one.jobs);
  }
}

// Whether nothing is heard of workers that have been there for a while. One without NATS, or that
// dies again and again, is not told from one that has nothing to do by anything else.
bool Reconciler::Silent(LaneView& view, MonotonicTime now) {
  const LaneSample& sample = view.sample;
  const bool heard = sample.workers_reporting > 0 || sample.open_pulls > 0 ||
                     sample.ack_pending > 0 ||
                     now - view.state.listening_since < kWorkerReportExpiry;
  if (sample.doubt != Doubt::kNone || view.lane.queue.external || heard) return false;
  for (const PlacedWorker& worker : view.crew.placed) {
    if (worker.phase == PlacedWorker::Phase::kNoRoom) continue;
    const MonotonicTime due = worker.since + scaling::kSilenceIsNewsAfter;
    if (now >= due) return true;
    KeepEarlier(view.state.step_due, due);
  }
  return false;
}

void Reconciler::Record(const WorkerPool& pool, LaneView& view, const WorkloadState& after) {
  const LaneSample& sample = view.sample;
  const scaling::Observation& seen = view.seen;
  LaneState& state = view.state;
  LaneStatus& status = state.status;
  status.name = view.lane.name;
  status.paused = seen.lane_paused;
  status.waiting = seen.waiting;
  status.running = seen.running;
  status.parked = seen.parked;
  status.oldest_wait_seconds = sample.oldest_wait_seconds;
  status.dead_letters = sample.dead_letters;
  status.workers_desired = after.replicas;
  status.workers_ready = after.ready;
  status.workers_busy = sample.workers_busy;
  status.workers_draining = sample.workers_draining;
  status.workers_idle =
      std::max(0, sample.workers_reporting - sample.workers_busy - sample.workers_draining);
  status.workers_unschedulable = 0;
  state.no_room_why.clear();
  const MonotonicTime now = clock_.Now();
  for (const PlacedWorker& worker : view.crew.placed) {
    if (worker.phase != PlacedWorker::Phase::kNoRoom) continue;
    ++status.workers_unschedulable;
    if (now - worker.since >= kNoRoomIsNewsAfter) {
      state.no_room_why = worker.why;
    } else {
      KeepEarlier(state.step_due, worker.since + kNoRoomIsNewsAfter);
    }
  }
  state.silent = Silent(view, now);
  status.release = state.release.sentence();
  const std::optional<std::chrono::milliseconds> wait = scaling::PredictWait(view.policy, seen);
  status.predicted_wait_seconds =
      wait ? std::chrono::ceil<std::chrono::seconds>(*wait).count() : -1;
  state.doubt = sample.doubt;
  state.doubt_detail = sample.doubt_detail;
  state.limited = view.applied.limited;

  if (IsNews(view.applied, seen, view.act, status)) RecordDecision(pool, view);
  // The rate of arrivals is seen only by looking, and in a lane that keeps up nothing else changes.
  if (view.policy.target_wait && sample.ack_pending + sample.waiting > 0) {
    KeepEarlier(state.step_due, now + kLearnInterval);
  }
  observer_->OnLane(view.key, status, state.doubt);
}

void Reconciler::RecordDecision(const WorkerPool& pool, LaneView& view) {
  const scaling::ScalingDecision& decision = view.applied;
  const scaling::Observation& seen = view.seen;
  LaneStatus& status = view.state.status;
  const WallTime time = clock_.WallNow();
  status.decision_workers = decision.workers;
  status.decision_reason = scaling::ToString(decision.reason);
  status.decision_message = scaling::DescribeDecision(view.policy, seen,
                                                      {.doubt_detail = view.sample.doubt_detail,
                                                       .release = view.state.release.sentence(),
                                                       .observed_only = !view.act},
                                                      decision);
  status.decision_time = FormatRfc3339(time);
  status.decision_terms.clear();
  for (const scaling::TermResult& term : decision.terms) {
    status.decision_terms.push_back({std::string(scaling::ToString(term.term)), term.workers,
                                     scaling::DescribeTerm(view.policy, seen, term)});
  }
  if (ledger_ != nullptr) {
    ledger_->Record({.key = view.key,
                     .time = time,
                     .policy = view.policy,
                     .observation = seen,
                     .decided = view.decided,
                     .applied = decision,
                     .observed_only = !view.act,
                     .sentence = status.decision_message});
  }
  if (decision.workers == seen.workers_current || !view.act) return;
  log::Info("reconciler", "scaled",
            {{"pool", ToString(pool.key)},
             {"lane", view.lane.name},
             {"workers_from", seen.workers_current},
             {"workers_to", decision.workers},
             {"waiting_jobs", seen.waiting},
             {"running_jobs", seen.running},
             {"reason", scaling::ToString(decision.reason)}});
  platform_.Publish(
      pool, {.reason = std::string(scaling::EventReasonOf(seen.workers_current, decision.workers)),
             .message = "Lane " + view.lane.name + ": " + status.decision_message});
  observer_->OnScaled(view.key, seen.workers_current, decision);
}

void Reconciler::EnsureQueue(const WorkerPool& pool, const Lane& lane, const LaneSample& sample,
                             LaneState& state) {
  if (sample.doubt == Doubt::kDisconnected) {
    state.was_disconnected = true;  // The server may come back empty.
    return;
  }
  const MonotonicTime now = clock_.Now();
  const bool missing = sample.doubt == Doubt::kConsumerMissing && !lane.queue.external;
  const bool changed = state.queue_generation != pool.generation || state.was_disconnected;
  const bool due = now >= state.queue_due;
  // Missing though it was just set up: somebody deletes it, or the probe asks another account. It
  // is not set up with every sample.
  const bool missing_due = missing && now >= state.queue_missing_due;
  if (state.queue_failures > 0 ? !due : !due && !changed && !missing_due) return;

  Result<void> ensured = queues_.Ensure(pool, lane);
  state.queue_generation = pool.generation;
  if (ensured) {
    state.queue_due = now + kQueueRecheckInterval;
    state.queue_missing_due = now + std::chrono::seconds(1);
    state.queue_failures = 0;
    state.queue_error.reset();
    state.was_disconnected = false;
    return;
  }
  ++state.queue_failures;
  state.queue_due = now + RetryDelay(ensured.error(), state.queue_failures);
  const bool news = !state.queue_error || state.queue_error->message != ensured.error().message;
  state.queue_error = std::move(ensured).error();
  if (news) {
    log::Warning(
        "reconciler", "queue set-up failed",
        {{"pool", ToString(pool.key)}, {"lane", lane.name}, {"error", state.queue_error->message}});
  }
}

}  // namespace lanekeeper
