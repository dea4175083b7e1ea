// The Platform whose workers are pods: one Deployment per lane.
//
// Observe and List answer from a cache that a watch keeps (on a thread of its own), overlaid by our
// own writes until the watch has caught up. Everything else is one request, or two where somebody
// else's work could be overwritten. Events go out on another thread, so that the reconcile thread
// never waits for one.
#pragma once

#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "operator/control/ports.h"
#include "operator/kubernetes/api.h"
#include "operator/kubernetes/deployment_cache.h"
#include "operator/kubernetes/event_sender.h"
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

  // `on_change` runs on the watch thread when the WorkloadState of a lane of that pool changed
  // otherwise than by our own write, and when Observe of that pool can be asked again after it was
  // too early.
  void Start(std::function<void(const PoolKey&)> on_change);
  // Returns within a second; events not sent by then are dropped.
  void Stop();
  bool synced() const { return deployments_.synced(); }
  std::uint64_t events_dropped() const { return events_.dropped(); }

  Result<WorkloadState> Observe(const LaneKey& key) override;
  // kInvalid when a Deployment of that name belongs to somebody else: it is never touched.
  Result<WorkloadState> Apply(const WorkerPool& pool, const Lane& lane, int replicas) override;
  Result<WorkloadState> SetReplicas(const LaneKey& key, int replicas) override;
  Result<std::vector<LaneKey>> List(const PoolKey& key) override;
  Result<void> Remove(const LaneKey& key) override;
  Result<void> WriteStatus(const WorkerPool& pool, const PoolStatus& status) override;
  Result<PoolStatus> ReadStatus(const PoolKey& key) override;
  Result<void> AddFinalizer(const WorkerPool& pool) override;
  Result<void> RemoveFinalizer(const WorkerPool& pool) override;
  void Publish(const WorkerPool& pool, const PoolEvent& event) override;

 private:
  WatchCallbacks CacheCallbacks();
  void Announce(const std::optional<LaneKey>& lane);
  void OnSynced();
  // kRetryable until the cache is filled; `waiting` is told when it is.
  Result<void> CheckSynced(const PoolKey& waiting);
  // The lane's Deployment in the cache; kNotFound.
  Result<CachedDeployment> FindOwn(const LaneKey& key);
  // The uid of the Deployment of that name, empty when there is none; an error when it is not ours.
  Result<std::string> UidForApply(const WorkerPool& pool, const ObjectName& name);
  Result<WorkloadState> Written(const Result<Answer>& answer);
  Result<void> SetFinalizer(const WorkerPool& pool, bool present);

  Api& api_;
  const Clock& clock_;
  const Options options_;
  std::function<void(const PoolKey&)> on_change_;  // Set before the watch thread starts.

  std::mutex mutex_;
  DeploymentCache cache_;
  bool cache_filled_ = false;
  std::set<PoolKey> asked_too_early_;

  EventSender events_;
  WatchLoop deployments_;  // Last: its thread uses everything above.
};

}  // namespace lanekeeper::kubernetes
