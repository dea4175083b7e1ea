// One pass over one pool: observe → decide → act → report.
//
// Owns all lane state; called by one thread. Acts only on a change: a pass over a pool at rest
// makes no request. Every pass starts from what the ports say now, so a pass may be repeated, and a
// restarted operator goes on where the last one stopped.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "operator/control/lane_release.h"
#include "operator/control/ledger.h"
#include "operator/control/pool_board.h"
#include "operator/control/ports.h"
#include "operator/control/reconcile_observer.h"
#include "operator/control/shields.h"
#include "operator/scaling/decide_workers.h"
#include "operator/scaling/lane_memory.h"
#include "worker-runtime/base/clock.h"
#include "worker-runtime/base/result.h"

namespace lanekeeper {

inline constexpr std::chrono::milliseconds kStatusInterval{2000};  // At most one write per pool.
inline constexpr std::chrono::milliseconds kDriftInterval{10000};  // At most one repair per lane.
inline constexpr std::chrono::minutes kQueueRecheckInterval{10};

class Reconciler {
 public:
  struct Next {
    std::optional<MonotonicTime> due;  // Look again then, changes or not.
    std::optional<Error> error;  // The pass did not finish; RetryDelay says when to try again.
  };

  // All must outlive the reconciler. `observer`, `ledger` and `board` may be null.
  Reconciler(Platform& platform, Queues& queues, LaneProbe& probe, const Clock& clock,
             ReconcileObserver* observer, Ledger* ledger = nullptr, PoolBoard* board = nullptr);

  Next Reconcile(const WorkerPool& pool);
  // The object exists but cannot be worked with: says so in its status, changes nothing else.
  Next ReconcileInvalid(const PoolKey& key, const Error& why);
  // The object is gone: forgets what was kept for it.
  void Forget(const PoolKey& key);

  // Another operator leads: has the probe listen to the lanes of this pool, and does nothing else.
  void StandBy(const WorkerPool& pool);
  // This operator has led and does not any more. Whatever was concluded may have been overtaken:
  // the next lead begins like a start of the operator, but for the probe, which has listened on.
  void StandDown();

 private:
  struct LaneState {
    scaling::LaneMemory memory;
    std::set<std::string> cold_starts_seen;  // Workers whose cold start was counted.
    MonotonicTime listening_since{};
    LaneRelease release;
    Shields shields;
    std::optional<MonotonicTime> step_due;  // Of the release or the shields.
    // Queue set-up.
    std::int64_t queue_generation = -1;  // Of the pool, when it was set up last.
    MonotonicTime queue_due{};           // When to check again.
    MonotonicTime queue_missing_due{};   // The same, while the probe says it is missing.
    int queue_failures = 0;
    std::optional<Error> queue_error;
    bool was_disconnected = false;
    // Workload.
    std::int64_t workload_generation = -1;  // That our last write led to.
    MonotonicTime drift_due{};
    std::optional<Error> workload_error;
    // For status and events.
    LaneStatus status;
    scaling::Doubt doubt = scaling::Doubt::kNoSampleYet;
    std::string doubt_detail;
    std::optional<scaling::ScalingReason> limited;
    std::string no_room_why;  // What the platform says about workers without room; empty: all have.
    bool silent = false;      // As LaneHealth.
  };
  // One lane in one pass: what was seen, what was decided.
  struct LaneView {
    const Lane& lane;
    LaneKey key;
    LaneState& state;
    LaneSample sample;
    std::optional<WorkloadState> workload;  // Nothing: there is none yet.
    Crew crew;
    std::vector<ReportedWorker> reported;
    std::vector<scaling::CrewMember> members;
    scaling::ScalingPolicy policy;
    scaling::Observation seen;
    scaling::ScalingDecision decided;
    scaling::ScalingDecision applied;  // After budget and release.
    bool act = true;                   // Not only observed.
  };
  struct PoolState {
    std::map<std::string, LaneState> lanes;
    std::int64_t probed_generation = -1;
    std::int64_t told_generation = -1;  // To the board.
    bool status_read = false;
    PoolStatus status;  // What was written last.
    MonotonicTime status_due{};
    bool teardown_announced = false;
  };

  Result<void> Prepare(const WorkerPool& pool, PoolState& state);
  Result<void> DropLanesNotIn(const WorkerPool& pool, PoolState& state);
  void ProbeLanes(const WorkerPool& pool, PoolState& state);
  void ForgetLanesNotIn(const WorkerPool& pool, PoolState& state);
  void EnsureQueue(const WorkerPool& pool, const Lane& lane, const LaneSample& sample,
                   LaneState& state);
  Result<void> ReconcileLanes(const WorkerPool& pool, PoolState& state);
  Result<LaneView> Observe(const WorkerPool& pool, const Lane& lane, LaneState& state);
  void Learn(LaneView& view, MonotonicTime now);
  void Decide(LaneView& view, MonotonicTime now);
  Result<void> Act(const WorkerPool& pool, LaneView& view);
  LaneRelease::Step Release(LaneView& view, MonotonicTime now);
  Result<WorkloadState> Ask(const WorkerPool& pool, const LaneView& view, int replicas);
  void LookWhoWent(const WorkerPool& pool, LaneView& view);
  bool Silent(LaneView& view, MonotonicTime now);
  void Record(const WorkerPool& pool, LaneView& view, const WorkloadState& after);
  void RecordDecision(const WorkerPool& pool, LaneView& view);
  Result<void> Report(const WorkerPool& pool, PoolState& state);
  void TellBoard(const WorkerPool& pool, PoolState& state);
  Next TearDown(const WorkerPool& pool, PoolState& state);
  std::optional<MonotonicTime> NextDue(const WorkerPool& pool, const PoolState& state) const;

  Platform& platform_;
  Queues& queues_;
  LaneProbe& probe_;
  const Clock& clock_;
  ReconcileObserver* observer_;
  ReconcileObserver no_observer_;
  Ledger* ledger_;
  PoolBoard* board_;
  ShieldRate shield_rate_;
  std::map<PoolKey, PoolState> pools_;
};

// How long to wait after the `failures`th error in a row (>= 1). A person has to act on kInvalid
// and kForbidden: those are tried rarely. Without jitter; the caller adds it.
std::chrono::milliseconds RetryDelay(const Error& error, int failures);

}  // namespace lanekeeper
