#include "operator/control/reconciler.h"

#include <algorithm>
#include <set>
#include <utility>

#include "operator/control/conditions.h"
#include "operator/control/observe.h"
#include "operator/scaling/wording.h"
#include "worker-runtime/base/backoff.h"
#include "worker-runtime/base/log.h"

namespace lanekeeper {
namespace {

using scaling::Doubt;
using scaling::ScalingDecision;
using scaling::ScalingReason;

void KeepEarlier(std::optional<MonotonicTime>& due, MonotonicTime candidate) {
  if (!due || candidate < *due) due = candidate;
}

// Decisions worth keeping: those that changed something, or would have but for one term.
bool IsNews(const ScalingDecision& decision, int workers_from, const LaneStatus& last) {
  if (decision.workers != workers_from) return true;
  switch (decision.reason) {
    case ScalingReason::kOnTarget:
    case ScalingReason::kBacklogGrew:
    case ScalingReason::kBacklogShrank:
    case ScalingReason::kFlooredAtMin:
      return false;
    default:
      break;
  }
  return last.decision_reason != scaling::ToString(decision.reason) ||
         last.decision_workers != decision.workers;
}

}  // namespace

std::chrono::milliseconds RetryDelay(const Error& error, int failures) {
  using std::chrono::milliseconds;
  const bool transient = error.kind == ErrorKind::kRetryable || error.kind == ErrorKind::kNotFound;
  const Backoff backoff = transient ? Backoff{milliseconds(100), milliseconds(30000)}
                                    : Backoff{milliseconds(5000), milliseconds(60000)};
  return backoff.After(failures);
}

Reconciler::Reconciler(Platform& platform, Queues& queues, LaneProbe& probe, const Clock& clock,
                       ReconcileObserver* observer)
    : platform_(platform),
      queues_(queues),
      probe_(probe),
      clock_(clock),
      observer_(observer != nullptr ? observer : &no_observer_) {}

Reconciler::Next Reconciler::Reconcile(const WorkerPool& pool) {
  const MonotonicTime started = clock_.Now();
  PoolState& state = pools_[pool.key];
  if (pool.deleting) return TearDown(pool, state);

  std::optional<Error> error;
  const auto keep = [&error](Result<void> result) {
    if (!result && !error) error = std::move(result).error();
  };
  Result<void> prepared = Prepare(pool, state);
  if (!prepared) return {std::nullopt, std::move(prepared).error()};
  // One lane's trouble does not keep the others waiting.
  for (const Lane& lane : pool.lanes) keep(ReconcileLane(pool, lane, state.lanes[lane.name]));
  keep(DropLanesNotIn(pool, state));
  keep(Report(pool, state));

  observer_->OnPass(clock_.Now() - started);
  return {NextDue(pool, state), std::move(error)};
}

// What has to be there before lanes are looked at: our finalizer before anything is created that it
// has to remove, the status of the last operator, and the probe's list of lanes.
Result<void> Reconciler::Prepare(const WorkerPool& pool, PoolState& state) {
  if (!pool.has_finalizer) {
    Result<void> added = platform_.AddFinalizer(pool);
    if (!added)
      return Wrap(std::move(added).error(), "adding the finalizer to " + ToString(pool.key));
  }
  if (!state.status_read) {
    Result<PoolStatus> last = platform_.ReadStatus(pool.key);
    if (!last) return Wrap(std::move(last).error(), "reading the status of " + ToString(pool.key));
    state.status = *std::move(last);
    for (const LaneStatus& lane : state.status.lanes) state.lanes[lane.name].status = lane;
    state.status_read = true;
  }
  if (state.probed_generation != pool.generation) {
    for (const Lane& lane : pool.lanes) {
      probe_.Probe({pool.KeyOf(lane), lane.queue.stream, lane.queue.consumer});
    }
    state.probed_generation = pool.generation;
  }
  return {};
}

// A lane that left the manifest loses its workload (its jobs get their grace); its stream, with the
// jobs that wait in it, stays: a lane that comes back finds them.
Result<void> Reconciler::DropLanesNotIn(const WorkerPool& pool, PoolState& state) {
  std::set<std::string> wanted;
  for (const Lane& lane : pool.lanes) wanted.insert(lane.name);
  Result<std::vector<LaneKey>> existing = platform_.List(pool.key);
  if (!existing)
    return Wrap(std::move(existing).error(), "listing workloads of " + ToString(pool.key));
  for (const LaneKey& key : *existing) {
    if (wanted.count(key.lane) != 0) continue;
    Result<void> removed = platform_.Remove(key);
    if (!removed)
      return Wrap(std::move(removed).error(), "removing the workload of " + ToString(key));
  }
  for (auto lane = state.lanes.begin(); lane != state.lanes.end();) {
    if (wanted.count(lane->first) != 0) {
      ++lane;
      continue;
    }
    const LaneKey key{pool.key.pool_namespace, pool.key.name, lane->first};
    probe_.Forget(key);
    observer_->OnForget(key);
    lane = state.lanes.erase(lane);
  }
  return {};
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

Result<void> Reconciler::ReconcileLane(const WorkerPool& pool, const Lane& lane, LaneState& state) {
  const LaneKey key = pool.KeyOf(lane);
  const LaneSample sample = probe_.Latest(key);
  EnsureQueue(pool, lane, sample, state);

  const Result<WorkloadState> workload = platform_.Observe(key);
  if (!workload && workload.error().kind != ErrorKind::kNotFound) {
    return Wrap(workload.error(), "observing the workload of " + ToString(key));
  }
  const WorkloadState current = workload.value_or(WorkloadState{});
  const MonotonicTime now = clock_.Now();
  if (!state.history_seeded) {
    // After a restart the demand of the last window is not known; what runs stands in for it.
    state.history.Add(now, current.replicas);
    state.history_seeded = true;
  }

  const scaling::ScalingPolicy policy = PolicyOf(pool, lane);
  const scaling::Observation seen = ObservationOf(sample, current);
  const ScalingDecision decision = scaling::DecideWorkers(policy, seen, state.history, now);
  state.history.Forget(now, policy.scale_down_window);
  state.history.Add(now, decision.demand);

  Result<WorkloadState> after = Act(pool, lane, workload, decision, state);
  if (!after) {
    observer_->OnError(after.error());
    state.workload_error = after.error();
    return Wrap(std::move(after).error(), "scaling " + ToString(key));
  }
  state.workload_error.reset();
  Record(pool, lane, sample, seen, decision, *after, state);
  return {};
}

Result<WorkloadState> Reconciler::Act(const WorkerPool& pool, const Lane& lane,
                                      const Result<WorkloadState>& workload,
                                      const ScalingDecision& decision, LaneState& state) {
  const MonotonicTime now = clock_.Now();
  const bool outdated = !workload || workload->lane_hash != LaneHash(lane);
  // After a restart, a workload with the right hash is taken as it is: ten thousand lanes are not
  // written anew because the operator was.
  if (!outdated && state.workload_generation < 0) state.workload_generation = workload->generation;
  // Somebody else changed the workload since our last write. Bounded, so that two owners do not
  // fight at full speed.
  const bool drifted = workload.has_value() && workload->generation != state.workload_generation &&
                       now >= state.drift_due;
  Result<WorkloadState> after = Fail(ErrorKind::kRetryable, "nothing done");
  if (outdated || drifted) {
    after = platform_.Apply(pool, lane, decision.workers);
    state.drift_due = now + kDriftInterval;
  } else if (workload->replicas != decision.workers) {
    after = platform_.SetReplicas(pool.KeyOf(lane), decision.workers);
  } else {
    return workload;
  }
  if (after) state.workload_generation = after->generation;
  return after;
}

void Reconciler::Record(const WorkerPool& pool, const Lane& lane, const LaneSample& sample,
                        const scaling::Observation& seen, const ScalingDecision& decision,
                        const WorkloadState& workload, LaneState& state) {
  const LaneKey key = pool.KeyOf(lane);
  const scaling::ScalingPolicy policy = PolicyOf(pool, lane);
  LaneStatus& status = state.status;
  status.name = lane.name;
  status.waiting = seen.waiting;
  status.running = seen.running;
  status.parked = seen.parked;
  status.oldest_wait_seconds = sample.oldest_wait_seconds;
  status.dead_letters = sample.dead_letters;
  status.workers_desired = workload.replicas;
  status.workers_ready = workload.ready;
  status.workers_busy = sample.workers_busy;
  status.workers_draining = sample.workers_draining;
  status.workers_idle =
      std::max(0, sample.workers_reporting - sample.workers_busy - sample.workers_draining);
  state.doubt = sample.doubt;
  state.doubt_detail = sample.doubt_detail;
  state.limited = decision.limited;

  if (IsNews(decision, seen.workers_current, status)) {
    status.decision_workers = decision.workers;
    status.decision_reason = scaling::ToString(decision.reason);
    status.decision_message =
        scaling::DescribeDecision(policy, seen, sample.doubt_detail, decision);
    status.decision_time = FormatRfc3339(clock_.WallNow());
    status.decision_terms.clear();
    for (const scaling::TermResult& term : decision.terms) {
      status.decision_terms.push_back({std::string(scaling::ToString(term.term)), term.workers,
                                       scaling::DescribeTerm(policy, seen, term)});
    }
  }
  if (decision.workers != seen.workers_current) {
    log::Info("reconciler", "scaled",
              {{"pool", ToString(pool.key)},
               {"lane", lane.name},
               {"workers_from", seen.workers_current},
               {"workers_to", decision.workers},
               {"waiting_jobs", seen.waiting},
               {"running_jobs", seen.running},
               {"reason", scaling::ToString(decision.reason)}});
    platform_.Publish(
        pool,
        {.reason = std::string(scaling::EventReasonOf(seen.workers_current, decision.workers)),
         .message = "Lane " + lane.name + ": " + status.decision_message});
    observer_->OnScaled(key, seen.workers_current, decision);
  }
  observer_->OnLane(key, status, state.doubt);
}

Result<void> Reconciler::Report(const WorkerPool& pool, PoolState& state) {
  std::vector<LaneHealth> health;
  PoolStatus status{.observed_generation = pool.generation};
  for (const Lane& lane : pool.lanes) {
    const LaneState& kept = state.lanes[lane.name];
    health.push_back({lane.name, kept.doubt, kept.doubt_detail, kept.queue_error,
                      kept.workload_error, kept.limited, kept.status.dead_letters});
    status.lanes.push_back(kept.status);
    status.lanes.back().name = lane.name;
  }
  const MonotonicTime now = clock_.Now();
  status.conditions =
      ConditionsOf(health, pool.paused, state.status.conditions, FormatRfc3339(clock_.WallNow()));
  if (status == state.status) return {};
  if (now < state.status_due) return {};  // NextDue brings us back.

  state.status_due = now + kStatusInterval;
  Result<void> written = platform_.WriteStatus(pool, status);
  if (!written) {
    observer_->OnError(written.error());
    return Wrap(std::move(written).error(), "writing the status of " + ToString(pool.key));
  }
  for (const PoolEvent& event : EventsOf(state.status.conditions, status.conditions)) {
    platform_.Publish(pool, event);
  }
  state.status = std::move(status);
  return {};
}

std::optional<MonotonicTime> Reconciler::NextDue(const WorkerPool& pool,
                                                 const PoolState& state) const {
  const MonotonicTime now = clock_.Now();
  std::optional<MonotonicTime> due;
  // A status that waits for its turn. Compared by lane: conditions follow from the lanes.
  bool status_waits = state.status.observed_generation != pool.generation ||
                      state.status.lanes.size() != pool.lanes.size();
  for (const Lane& lane : pool.lanes) {
    const auto found = state.lanes.find(lane.name);
    if (found == state.lanes.end()) continue;
    const LaneState& kept = found->second;
    const auto written =
        std::find_if(state.status.lanes.begin(), state.status.lanes.end(),
                     [&](const LaneStatus& status) { return status.name == lane.name; });
    if (written == state.status.lanes.end() || *written != kept.status) status_waits = true;
    if (kept.status.workers_desired > lane.workers.min) {
      if (const auto ends = kept.history.PeakEnds(now, lane.scaling.scale_down_window)) {
        KeepEarlier(due, *ends);
      }
    }
    if (kept.doubt == Doubt::kDisconnected) continue;
    KeepEarlier(due, kept.queue_due);
    if (kept.doubt == Doubt::kConsumerMissing) KeepEarlier(due, kept.queue_missing_due);
  }
  if (status_waits || state.status_due > now) KeepEarlier(due, state.status_due);
  // A lower bound, so that no mistake above can turn into a busy loop.
  if (due) due = std::max(*due, now + std::chrono::milliseconds(10));
  return due;
}

Reconciler::Next Reconciler::ReconcileInvalid(const PoolKey& key, const Error& why) {
  PoolState& state = pools_[key];
  if (!state.status_read) {
    Result<PoolStatus> last = platform_.ReadStatus(key);
    if (!last) return {std::nullopt, std::move(last).error()};
    state.status = *std::move(last);
    state.status_read = true;
  }
  PoolStatus status = state.status;
  const Condition* old = FindCondition(status.conditions, "Ready");
  Condition ready{.type = "Ready",
                  .reason = "InvalidSpec",
                  .message = "The manifest cannot be worked with: " + why.message +
                             ". Everything is left as it is until it is corrected."};
  const bool same = old != nullptr && !old->status;
  ready.last_transition = same ? old->last_transition : FormatRfc3339(clock_.WallNow());
  std::erase_if(status.conditions, [](const Condition& c) { return c.type == "Ready"; });
  status.conditions.insert(status.conditions.begin(), std::move(ready));
  if (status == state.status) return {};
  WorkerPool pool;
  pool.key = key;
  Result<void> written = platform_.WriteStatus(pool, status);
  if (!written) return {std::nullopt, std::move(written).error()};
  log::Warning("reconciler", "invalid pool", {{"pool", ToString(key)}, {"error", why.message}});
  state.status = std::move(status);
  return {};
}

// Workers first, with their grace, then the queues if the manifest says so, then our finalizer.
// Each pass does what is still left to do.
Reconciler::Next Reconciler::TearDown(const WorkerPool& pool, PoolState& state) {
  if (!pool.has_finalizer) return {};
  const auto stop = [&](Error error, std::string_view what) {
    observer_->OnError(error);
    return Next{std::nullopt, Wrap(std::move(error), what).value()};
  };
  Result<std::vector<LaneKey>> workloads = platform_.List(pool.key);
  if (!workloads) return stop(std::move(workloads).error(), "listing workloads");
  if (!state.teardown_announced) {
    log::Info("reconciler", "removing pool",
              {{"pool", ToString(pool.key)}, {"delete_queues", pool.delete_queues}});
    state.teardown_announced = true;
  }
  for (const LaneKey& key : *workloads) {
    Result<void> removed = platform_.Remove(key);
    if (!removed)
      return stop(std::move(removed).error(), "removing the workload of " + ToString(key));
  }
  // Workers are still ending; the platform's change, or this time, brings us back.
  if (!workloads->empty()) return {clock_.Now() + std::chrono::seconds(1), std::nullopt};

  for (const Lane& lane : pool.lanes) probe_.Forget(pool.KeyOf(lane));
  if (pool.delete_queues) {
    for (const Lane& lane : pool.lanes) {
      if (lane.queue.external) continue;
      Result<void> removed = queues_.RemoveLane(pool.KeyOf(lane));
      if (!removed)
        return stop(std::move(removed).error(), "removing the queue of lane " + lane.name);
    }
    Result<void> removed = queues_.RemoveDeadLetters(pool.key);
    if (!removed) return stop(std::move(removed).error(), "removing the dead letters");
  }
  Result<void> removed = platform_.RemoveFinalizer(pool);
  if (!removed && removed.error().kind != ErrorKind::kNotFound) {
    return stop(std::move(removed).error(), "removing the finalizer");
  }
  return {};
}

void Reconciler::Forget(const PoolKey& key) {
  const auto found = pools_.find(key);
  if (found == pools_.end()) return;
  for (const auto& [lane, state] : found->second.lanes) {
    const LaneKey lane_key{key.pool_namespace, key.name, lane};
    probe_.Forget(lane_key);
    observer_->OnForget(lane_key);
  }
  pools_.erase(found);
}

}  // namespace lanekeeper
