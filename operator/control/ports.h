// What the reconciler needs from the outside, as roles. Implementations name their technology:
// KubernetesPoolSource, JetStreamLaneProbe, KubernetesPlatform; fakes stand in fakes.h.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "operator/control/pool_status.h"
#include "operator/control/worker_pool.h"
#include "operator/scaling/observation.h"
#include "operator/scaling/release.h"
#include "worker-runtime/base/clock.h"
#include "worker-runtime/base/result.h"
#include "worker-runtime/job/worker_report.h"
#include "worker-runtime/job/worker_roster.h"

namespace lanekeeper {

// Where pools come from. Start returns at once; the callbacks run on the source's own thread until
// Stop returns. Every pool that exists is reported once at the start, then `on_synced` once.
class PoolSource {
 public:
  struct Callbacks {
    std::function<void(std::shared_ptr<const WorkerPool>)> on_pool;  // New or changed.
    std::function<void(const PoolKey&)> on_gone;
    // The object exists but cannot be worked with (a broken manifest that passed the server).
    std::function<void(const PoolKey&, const Error&)> on_invalid;
    std::function<void()> on_synced;
  };
  virtual ~PoolSource() = default;
  virtual void Start(Callbacks callbacks) = 0;
  virtual void Stop() = 0;
};

// What the queue and the workers of one lane said last.
struct LaneSample {
  using Doubt = scaling::Doubt;
  Doubt doubt = Doubt::kNoSampleYet;
  std::string doubt_detail;  // A clause: what the server said.

  // Numbers of the last good answer; zero before the first.
  std::int64_t waiting = 0;          // Never delivered.
  std::int64_t ack_pending = 0;      // Running + parked + lease ran out.
  std::int64_t open_pulls = 0;       // Pull requests waiting at the consumer.
  std::int64_t ack_pending_max = 0;  // The consumer's own limit; 0 = none.
  bool paused = false;               // The consumer hands out no jobs for now.
  std::int64_t oldest_wait_seconds = 0;
  std::int64_t dead_letters = 0;

  // From worker reports (those heard of within kWorkerReportExpiry).
  int workers_reporting = 0;
  int workers_busy = 0;      // At least one running job.
  int workers_draining = 0;  // Draining or drained.
  std::int64_t jobs_running = 0;
  // Of the jobs in ack_pending that no report accounts for: those that only pass by, because report
  // and answer are not of the same moment. They are not parked.
  std::int64_t jobs_passing = 0;
  // Grows whenever one of them came, went, drained, or became busy or idle: Workers has news.
  std::uint64_t workers_version = 0;

  // Jobs that came since the first good answer, by the queue's own sequences. Never falls; counted
  // on from there when the queue was made anew or is another.
  std::int64_t arrivals_total = 0;

  MonotonicTime taken_at{};  // When the last good answer came.
  bool operator==(const LaneSample&) const = default;
};

// The same numbers, whatever moment they were taken at and however many jobs came and went before
// it: nothing to reconcile.
inline bool SameFacts(LaneSample a, LaneSample b) {
  a.taken_at = b.taken_at = MonotonicTime{};
  a.arrivals_total = b.arrivals_total = 0;
  return a == b;
}

struct ProbedLane {
  LaneKey key;
  std::string stream;
  std::string consumer;
  auto operator<=>(const ProbedLane&) const = default;
};

// Samples lanes and hears and tells their workers. All but Start and Stop may be called from any
// thread; `on_change` runs on the probe's
// thread when the facts of a lane changed (SameFacts), never while they stay the same.
class LaneProbe {
 public:
  virtual ~LaneProbe() = default;
  virtual void Start(std::function<void(const LaneKey&)> on_change) = 0;
  virtual void Stop() = 0;
  virtual void Probe(const ProbedLane& lane) = 0;  // Adds or changes one. Samples it soon.
  virtual void Forget(const LaneKey& key) = 0;
  // Unknown lanes: Doubt::kNoSampleYet.
  virtual LaneSample Latest(const LaneKey& key) const = 0;
  // Those heard of within kWorkerReportExpiry, by name.
  virtual std::vector<ReportedWorker> Workers(const LaneKey& key) const = 0;
  // How long jobs took, of all workers heard of since Probe, those that are gone included.
  virtual ServiceCounts Served(const LaneKey& key) const = 0;
  // Sends a request (kControlDrain, kControlUndrain) to a worker of a probed lane, without waiting:
  // its answer comes as a report. Lost when not connected; who asks looks at the reports.
  virtual void Tell(const LaneKey& key, const std::string& worker, std::string_view request) = 0;
};

// Sets up what holds the jobs. Called by the reconcile thread only; every call has a deadline.
class Queues {
 public:
  virtual ~Queues() = default;
  // Brings the lane's stream and consumer and the pool's dead-letter stream to what the pool says;
  // creates what is missing, changes only fields that differ, keeps fields it does not know. Unless
  // the lane's tracking is None, the store of job records is there too, for all pools the same.
  // For an external queue: only the dead-letter stream and the records.
  virtual Result<void> Ensure(const WorkerPool& pool, const Lane& lane) = 0;
  // Removes the lane's stream, with the jobs in it. Not existing is success.
  virtual Result<void> RemoveLane(const LaneKey& key) = 0;
  virtual Result<void> RemoveDeadLetters(const PoolKey& key) = 0;
};

struct WorkloadState {
  int replicas = 0;  // What is asked for.
  int ready = 0;
  int placed = 0;         // Workers that exist and were not told to end.
  bool rolling = false;   // Workers of an older and of the newest template exist side by side.
  bool pending = false;   // The platform has not looked at the last change yet.
  std::string lane_hash;  // LaneHash of what was applied last.
  std::int64_t generation = 0;  // Changes whenever somebody changed the workload.
  bool operator==(const WorkloadState&) const = default;
};

// What the platform is told about one worker.
struct WorkerMarks {
  bool first_to_go = false;  // When there are to be fewer workers, this one goes before others.
  bool shielded = false;     // Nobody who makes room on nodes should pick this one.
  bool operator==(const WorkerMarks&) const = default;
};

// One worker of a lane, in the platform's eyes. Those that were told to end are not among them.
struct PlacedWorker {
  using Phase = scaling::CrewMember::Phase;
  std::string name;  // The same as in its reports.
  Phase phase = Phase::kStarting;
  std::string why;  // kNoRoom: the platform's reason.
  WorkerMarks marks;
  MonotonicTime since{};  // In this phase.
  // From being asked for to ready; nothing until it was.
  std::optional<std::chrono::milliseconds> cold_start;
  bool operator==(const PlacedWorker&) const = default;
};

// A worker that was told to end, by whomever.
struct EndingWorker {
  std::string name;
  WorkerMarks marks;
  bool operator==(const EndingWorker&) const = default;
};

struct Crew {
  std::vector<PlacedWorker> placed;  // By name.
  std::vector<EndingWorker> ending;  // By name.
  bool operator==(const Crew&) const = default;
};

// The worker of that name in a list that is in the order of names; nullptr: there is none.
template <typename Worker>
const Worker* FindWorker(const std::vector<Worker>& workers, const std::string& name) {
  const auto found = std::ranges::lower_bound(workers, name, {}, &Worker::name);
  return found != workers.end() && found->name == name ? &*found : nullptr;
}

// The place where workers run. Called by the reconcile thread only; every call has a deadline.
class Platform {
 public:
  virtual ~Platform() = default;
  // From the platform's cache, without a request. kNotFound: there is no such workload;
  // kRetryable: the cache is not filled yet.
  virtual Result<WorkloadState> Observe(const LaneKey& key) = 0;
  // Makes the lane's workload exist as `lane` says, with this many workers. Idempotent. Returns the
  // state it led to, so that the caller need not wait for the cache.
  virtual Result<WorkloadState> Apply(const WorkerPool& pool, const Lane& lane, int replicas) = 0;
  // Only the number. kNotFound when there is no such workload.
  virtual Result<WorkloadState> SetReplicas(const LaneKey& key, int replicas) = 0;
  // The lane's workers, from the platform's cache, without a request. kRetryable as above. An
  // unknown lane has none.
  virtual Result<Crew> Workers(const LaneKey& key) = 0;
  // Sets both marks of a worker. kNotFound when it is gone. Returns when the platform has it: from
  // then on fewer replicas take a marked worker before any that is not.
  virtual Result<void> Mark(const LaneKey& key, const std::string& worker,
                            const WorkerMarks& marks) = 0;
  // Workloads of this pool that exist, by lane: to find those whose lane is gone.
  virtual Result<std::vector<LaneKey>> List(const PoolKey& key) = 0;
  // Running jobs get their grace: List has the lane until its last worker has ended. Not existing
  // is success, and asking again costs nothing.
  virtual Result<void> Remove(const LaneKey& key) = 0;
  virtual Result<void> WriteStatus(const WorkerPool& pool, const PoolStatus& status) = 0;
  // The status somebody wrote last, e.g. this operator before its restart; empty when there is
  // none.
  virtual Result<PoolStatus> ReadStatus(const PoolKey& key) = 0;
  virtual Result<void> AddFinalizer(const WorkerPool& pool) = 0;
  virtual Result<void> RemoveFinalizer(const WorkerPool& pool) = 0;
  virtual void Publish(const WorkerPool& pool, const PoolEvent& event) = 0;  // Best effort.
};

// Changes exactly when the workload of `lane` has to be applied anew: its template, its settings in
// the environment, its grace, its class. Not with min, max or scaling.
std::string LaneHash(const Lane& lane);

}  // namespace lanekeeper
