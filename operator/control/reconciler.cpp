#include "operator/control/reconciler.h"

#include <algorithm>
#include <set>
#include <utility>

#include "operator/control/conditions.h"
#include "operator/control/due.h"
#include "operator/control/observe.h"
#include "worker-runtime/base/backoff.h"
#include "worker-runtime/base/log.h"

namespace lanekeeper {

using scaling::Doubt;

std::chrono::milliseconds RetryDelay(const Error& error, int failures) {
  using std::chrono::milliseconds;
  const bool transient = error.kind == ErrorKind::kRetryable || error.kind == ErrorKind::kNotFound;
  const Backoff backoff = transient ? Backoff{milliseconds(100), milliseconds(30000)}
                                    : Backoff{milliseconds(5000), milliseconds(60000)};
  return backoff.After(failures);
}

Reconciler::Reconciler(Platform& platform, Queues& queues, LaneProbe& probe, const Clock& clock,
                       ReconcileObserver* observer, Ledger* ledger, PoolBoard* board)
    : platform_(platform),
      queues_(queues),
      probe_(probe),
      clock_(clock),
      observer_(observer != nullptr ? observer : &no_observer_),
      ledger_(ledger),
      board_(board) {}

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
  keep(ReconcileLanes(pool, state));
  TellBoard(pool, state);
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
    // Unchanged, it is not written again, and the board may have lost it meanwhile.
    if (board_ != nullptr && state.status != PoolStatus{}) {
      board_->TellStatus(pool.key, state.status);
    }
  }
  ProbeLanes(pool, state);
  return {};
}

void Reconciler::ProbeLanes(const WorkerPool& pool, PoolState& state) {
  if (state.probed_generation == pool.generation) return;
  for (const Lane& lane : pool.lanes) {
    probe_.Probe({pool.KeyOf(lane), lane.queue.stream, lane.queue.consumer});
  }
  state.probed_generation = pool.generation;
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
  ForgetLanesNotIn(pool, state);
  return {};
}

void Reconciler::ForgetLanesNotIn(const WorkerPool& pool, PoolState& state) {
  for (auto lane = state.lanes.begin(); lane != state.lanes.end();) {
    if (std::ranges::any_of(pool.lanes, [&](const Lane& l) { return l.name == lane->first; })) {
      ++lane;
      continue;
    }
    const LaneKey key{pool.key.pool_namespace, pool.key.name, lane->first};
    probe_.Forget(key);
    observer_->OnForget(key);
    lane = state.lanes.erase(lane);
  }
}

void Reconciler::StandBy(const WorkerPool& pool) {
  PoolState& state = pools_[pool.key];
  for (const Lane& lane : pool.lanes) state.lanes.try_emplace(lane.name);
  ProbeLanes(pool, state);
  ForgetLanesNotIn(pool, state);
}

void Reconciler::StandDown() {
  for (auto& [key, state] : pools_) {
    PoolState begin;
    begin.probed_generation = state.probed_generation;
    for (const auto& [lane, kept] : state.lanes) {
      observer_->OnForget({key.pool_namespace, key.name, lane});
      begin.lanes.try_emplace(lane);
    }
    state = std::move(begin);
  }
}

// After the queues were set up, so that jobs are not sent to a lane that has none yet.
void Reconciler::TellBoard(const WorkerPool& pool, PoolState& state) {
  if (board_ == nullptr || state.told_generation == pool.generation) return;
  board_->Tell(pool);
  state.told_generation = pool.generation;
}

Result<void> Reconciler::Report(const WorkerPool& pool, PoolState& state) {
  std::vector<LaneHealth> health;
  PoolStatus status{.observed_generation = pool.generation};
  for (const Lane& lane : pool.lanes) {
    const LaneState& kept = state.lanes[lane.name];
    health.push_back({lane.name, kept.doubt, kept.doubt_detail, kept.queue_error,
                      kept.workload_error, kept.limited, kept.no_room_why, kept.silent,
                      kept.status.dead_letters, kept.status.paused});
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
  if (board_ != nullptr) board_->TellStatus(pool.key, status);
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
      if (const auto ends = kept.memory.HoldEnds(PolicyOf(pool, lane), now)) {
        KeepEarlier(due, *ends);
      }
    }
    if (kept.step_due) KeepEarlier(due, *kept.step_due);
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
  if (board_ != nullptr) board_->TellStatus(key, status);
  log::Warning("reconciler", "invalid pool", {{"pool", ToString(key)}, {"error", why.message}});
  state.status = std::move(status);
  return {};
}

// Workers first, with their grace, then the queues if the manifest says so, then our finalizer.
// Each pass does what is still left to do.
Reconciler::Next Reconciler::TearDown(const WorkerPool& pool, PoolState& state) {
  if (!pool.has_finalizer) return {};
  // First: a job that came now would wait for workers that are going, in a queue that may go too.
  if (board_ != nullptr) board_->Forget(pool.key);
  state.told_generation = -1;
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
  if (board_ != nullptr) board_->Forget(key);
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
