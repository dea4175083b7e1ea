// The Platform whose workers are pods: one Deployment per lane.
//
// Observe, List and Workers answer from caches that two watches keep (Deployments and pods, each on
// a thread of its own), overlaid by our own writes until the watch has caught up. Everything else
// is one request, or two where somebody else's work could be overwritten. Events go out on another
// thread, so that the reconcile thread never waits for one.
#pragma once

#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "operator/control/ports.h"
#include "operator/kubernetes/api.h"
#include "operator/kubernetes/deployment_cache.h"
#include "operator/kubernetes/event_sender.h"
#include "operator/kubernetes/pod_cache.h"
#include "operator/kubernetes/watch_loop.h"
#include "worker-runtime/base/clock.h"

namespace lanekeeper::kubernetes {

// Start and Stop: by one thread. The Platform calls: by the reconcile thread.
class KubernetesPlatform final : public Platform {
 public:
  struct Options {
    std::string only_namespace;  // Empty: all namespaces.
    std::string nats_url;        // For the workers.
  };

  // `api` and `clock` must outlive this.
  KubernetesPlatform(Api& api, const Clock& clock, Options options);
  ~KubernetesPlatform() override { Stop(); }

  // `on_change` runs on the watch threads when the WorkloadState or the Crew of a lane of that pool
  // changed otherwise than by our own write, and when a call for that pool can be made again after
  // it was too early.
  void Start(std::function<void(const PoolKey&)> on_change);
  // Returns within a second; events not sent by then are dropped.
  void Stop();
  // Lists everything anew: watches may have gone silent. Not synced until that is done. Any thread,
  // never waits.
  void Refresh();
  bool synced() const { return deployments_.synced() && pods_.synced(); }
  std::uint64_t events_dropped() const { return events_.dropped(); }

  Result<WorkloadState> Observe(const LaneKey& key) override;
  // kInvalid when a Deployment of that name belongs to somebody else: it is never touched.
  Result<WorkloadState> Apply(const WorkerPool& pool, const Lane& lane, int replicas) override;
  Result<WorkloadState> SetReplicas(const LaneKey& key, int replicas) override;
  Result<Crew> Workers(const LaneKey& key) override;
  // No request when the pod has these marks already. Says kNotFound of one that is ending, too.
  Result<void> Mark(const LaneKey& key, const std::string& worker,
                    const WorkerMarks& marks) override;
  Result<std::vector<LaneKey>> List(const PoolKey& key) override;
  Result<void> Remove(const LaneKey& key) override;
  Result<void> WriteStatus(const WorkerPool& pool, const PoolStatus& status) override;
  Result<PoolStatus> ReadStatus(const PoolKey& key) override;
  Result<void> AddFinalizer(const WorkerPool& pool) override;
  Result<void> RemoveFinalizer(const WorkerPool& pool) override;
  void Publish(const WorkerPool& pool, const PoolEvent& event) override;

 private:
  // What keeps `cache` up to date, and says once that it is filled.
  template <typename Cache>
  WatchCallbacks CallbacksOf(Cache& cache, bool& filled);
  void Announce(const std::optional<LaneKey>& lane);
  void Announce(const std::vector<LaneKey>& lanes);
  // A cache is filled. Whoever asked too early, of this or of the other one, is told to ask again.
  void OnFilled(bool& filled);
  // kRetryable until the cache is filled; `waiting` is told when it is.
  Result<void> CheckFilled(const bool& filled, std::string_view what, const PoolKey& waiting);
  // The lane's Deployment in the cache; kNotFound.
  Result<CachedDeployment> FindOwn(const LaneKey& key);
  // The uid of the Deployment of that name, empty when there is none; an error when it is not ours.
  Result<std::string> UidForApply(const WorkerPool& pool, const ObjectName& name);
  Result<WorkloadState> Written(const Result<Answer>& answer);
  Result<void> SetFinalizer(const WorkerPool& pool, bool present);

  Api& api_;
  const Clock& clock_;
  const Options options_;
  std::function<void(const PoolKey&)> on_change_;  // Set before the watch threads start.

  std::mutex mutex_;
  DeploymentCache cache_;
  PodCache pod_cache_;
  bool cache_filled_ = false;
  bool pod_cache_filled_ = false;
  std::set<PoolKey> asked_too_early_;

  EventSender events_;
  // Last: their threads use everything above.
  WatchLoop deployments_;
  WatchLoop pods_;
};

}  // namespace lanekeeper::kubernetes
