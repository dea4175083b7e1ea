#include "operator/kubernetes/kubernetes_platform.h"

#include <algorithm>
#include <utility>

#include "operator/kubernetes/deployment_manifest.h"
#include "operator/kubernetes/json_access.h"
#include "operator/kubernetes/requests.h"
#include "operator/kubernetes/worker_pool_json.h"

namespace lanekeeper::kubernetes {
namespace {

using nlohmann::json;

ObjectName NameOf(const PoolKey& key) { return {key.pool_namespace, key.name}; }
PoolKey PoolOf(const LaneKey& key) { return {key.pool_namespace, key.pool}; }

WatchTarget DeploymentsOf(const std::string& only_namespace) {
  return {.resource = kDeployments,
          .only_namespace = only_namespace,
          .label_selector = std::string(kLabelManagedBy) + "=" + kManagedBy};
}

// Whoever made them: what a Deployment adopted counts as its own.
WatchTarget PodsOf(const std::string& only_namespace) {
  return {.resource = kPods, .only_namespace = only_namespace, .label_selector = kLabelPool};
}

Error Unreadable() { return {ErrorKind::kRetryable, "unreadable answer"}; }

// Nothing when `deployment` is this pool's.
Result<void> CheckOwner(const CachedDeployment& deployment, const ObjectName& name,
                        const WorkerPool& pool) {
  if (!deployment.owner_uid.empty() && deployment.owner_uid == pool.uid) return {};
  if (deployment.owner_kind == kWorkerPools.kind && deployment.owner_name == pool.key.name) {
    return Fail(ErrorKind::kRetryable,
                "deployment " + ToString(name) +
                    " still belongs to the deleted WorkerPool of that name; waiting for the "
                    "garbage collector to remove it");
  }
  const std::string owner =
      deployment.owner_uid.empty() ? "nobody" : deployment.owner_kind + " " + deployment.owner_name;
  return Fail(ErrorKind::kInvalid, "deployment " + ToString(name) + " exists and belongs to " +
                                       owner + "; rename the lane, or delete that deployment");
}

// The body that leaves the finalizers of `object` as they are, but for ours. The resourceVersion
// makes it fail (409) when somebody changed them meanwhile. Nothing: there is nothing to change.
std::optional<std::string> FinalizerPatch(const json& object, bool present) {
  json finalizers = json::array();
  bool found = false;
  for (const json& finalizer : ListAt(object, {"metadata", "finalizers"})) {
    const bool ours = finalizer == kFinalizer;
    found = found || ours;
    if (!ours) finalizers.push_back(finalizer);
  }
  if (found == present) return std::nullopt;
  if (present) finalizers.push_back(kFinalizer);
  return DumpJson({{"metadata",
                    {{"resourceVersion", TextAt(object, {"metadata", "resourceVersion"})},
                     {"finalizers", std::move(finalizers)}}}});
}

// Keeps a patch from reaching a younger object of the same name: another uid is a 409.
json OnlyThis(const std::string& uid) {
  return uid.empty() ? json::object() : json{{"metadata", {{"uid", uid}}}};
}

// Neither scaled nor applied: what was written to it would go with it.
tl::unexpected<Error> Ending(const ObjectName& name) {
  return Fail(ErrorKind::kRetryable, "deployment " + ToString(name) +
                                         " was deleted and ends with the last of its workers");
}

}  // namespace

template <typename Cache>
WatchCallbacks KubernetesPlatform::CallbacksOf(Cache& cache, bool& filled) {
  WatchCallbacks callbacks;
  callbacks.on_object = [this, &cache](const json& object) {
    std::unique_lock lock(mutex_);
    const auto changed = cache.OnWatched(object, clock_.Now());
    lock.unlock();
    Announce(changed);
  };
  callbacks.on_gone = [this, &cache](const ObjectName& name, const std::string& resource_version) {
    std::unique_lock lock(mutex_);
    const auto changed = cache.OnGone(name, resource_version, clock_.Now());
    lock.unlock();
    Announce(changed);
  };
  callbacks.on_listed = [this, &cache](const std::set<ObjectName>& names,
                                       const std::string& resource_version) {
    const std::lock_guard lock(mutex_);
    cache.OnListed(names, resource_version, clock_.Now());
  };
  callbacks.on_synced = [this, &filled] { OnFilled(filled); };
  return callbacks;
}

KubernetesPlatform::KubernetesPlatform(Api& api, const Clock& clock, Options options)
    : api_(api),
      clock_(clock),
      options_(std::move(options)),
      events_(api, clock),
      deployments_(api, DeploymentsOf(options_.only_namespace), CallbacksOf(cache_, cache_filled_)),
      pods_(api, PodsOf(options_.only_namespace), CallbacksOf(pod_cache_, pod_cache_filled_)) {}

void KubernetesPlatform::Start(std::function<void(const PoolKey&)> on_change) {
  on_change_ = std::move(on_change);
  events_.Start();
  deployments_.Start();
  pods_.Start();
}

void KubernetesPlatform::Stop() {
  deployments_.Stop();
  pods_.Stop();
  events_.Stop();
}

void KubernetesPlatform::Refresh() {
  deployments_.Relist();
  pods_.Relist();
}

void KubernetesPlatform::Announce(const std::optional<LaneKey>& lane) {
  if (lane && !lane->pool.empty() && on_change_) on_change_(PoolOf(*lane));
}

void KubernetesPlatform::Announce(const std::vector<LaneKey>& lanes) {
  for (const LaneKey& lane : lanes) Announce(std::optional(lane));
}

void KubernetesPlatform::OnFilled(bool& filled) {
  std::unique_lock lock(mutex_);
  filled = true;
  const std::set<PoolKey> waiting = std::exchange(asked_too_early_, {});
  lock.unlock();
  if (!on_change_) return;
  for (const PoolKey& pool : waiting) on_change_(pool);
}

Result<void> KubernetesPlatform::CheckFilled(const bool& filled, std::string_view what,
                                             const PoolKey& waiting) {
  const std::lock_guard lock(mutex_);
  if (filled) return {};
  asked_too_early_.insert(waiting);
  return Fail(ErrorKind::kRetryable, "the " + std::string(what) + " are not listed yet");
}

Result<CachedDeployment> KubernetesPlatform::FindOwn(const LaneKey& key) {
  if (Result<void> filled = CheckFilled(cache_filled_, "deployments", PoolOf(key)); !filled) {
    return tl::unexpected<Error>(std::move(filled).error());
  }
  const ObjectName name = DeploymentNameOf(key);
  const std::lock_guard lock(mutex_);
  const CachedDeployment* deployment = cache_.Find(name);
  // Pool a-b with lane c and pool a with lane b-c want the same name: the labels tell whose it is.
  if (deployment == nullptr || deployment->key != key || !IsOfItsPool(*deployment)) {
    return Fail(ErrorKind::kNotFound, "no deployment " + ToString(name));
  }
  return *deployment;
}

Result<WorkloadState> KubernetesPlatform::Observe(const LaneKey& key) {
  Result<CachedDeployment> deployment = FindOwn(key);
  if (!deployment) return tl::unexpected<Error>(std::move(deployment).error());
  if (deployment->ending) return Ending(DeploymentNameOf(key));
  WorkloadState state = deployment->state;
  // Workers that were told of another NATS server need to be applied anew, like any other change.
  if (deployment->nats_url != options_.nats_url) state.lane_hash.clear();
  return state;
}

Result<std::string> KubernetesPlatform::UidForApply(const WorkerPool& pool,
                                                    const ObjectName& name) {
  std::optional<CachedDeployment> there;
  {
    const std::lock_guard lock(mutex_);
    if (const CachedDeployment* cached = cache_.Find(name); cached != nullptr) there = *cached;
  }
  if (!there) {
    // One without our label is not in the cache.
    const Result<Answer> answer = api_.Call(GetRequest(kDeployments, name));
    if (!answer && answer.error().kind == ErrorKind::kNotFound) return std::string();
    if (!answer) return tl::unexpected<Error>(answer.error());
    const json object = ParseJson(answer->body);
    if (!object.is_object()) return tl::unexpected<Error>(Unreadable());
    there = ReadDeployment(object);
  }
  if (Result<void> owner = CheckOwner(*there, name, pool); !owner) {
    return tl::unexpected<Error>(std::move(owner).error());
  }
  if (there->ending) return Ending(name);
  return there->uid;
}

Result<WorkloadState> KubernetesPlatform::Written(const Result<Answer>& answer) {
  if (!answer) return tl::unexpected<Error>(answer.error());
  const json object = ParseJson(answer->body);
  if (!object.is_object()) return tl::unexpected<Error>(Unreadable());
  const std::lock_guard lock(mutex_);
  return cache_.OnWritten(object, clock_.Now());
}

Result<WorkloadState> KubernetesPlatform::Apply(const WorkerPool& pool, const Lane& lane,
                                                int replicas) {
  const ObjectName name = DeploymentNameOf(pool.KeyOf(lane));
  Result<std::string> uid = UidForApply(pool, name);
  if (!uid) return Wrap(std::move(uid).error(), "applying deployment " + ToString(name));
  Result<std::string> manifest = DeploymentManifest(
      pool, lane, replicas, {.nats_url = options_.nats_url, .uid = *std::move(uid)});
  if (!manifest) return tl::unexpected<Error>(std::move(manifest).error());
  Result<WorkloadState> state =
      Written(api_.Call(ApplyRequest(kDeployments, name, *std::move(manifest))));
  if (!state) return Wrap(std::move(state).error(), "applying deployment " + ToString(name));
  return state;
}

Result<WorkloadState> KubernetesPlatform::SetReplicas(const LaneKey& key, int replicas) {
  const Result<CachedDeployment> deployment = FindOwn(key);
  if (!deployment) return tl::unexpected<Error>(deployment.error());
  const ObjectName name = DeploymentNameOf(key);
  if (deployment->ending) return Ending(name);
  json patch = OnlyThis(deployment->uid);
  patch["spec"] = {{"replicas", replicas}};
  Result<WorkloadState> state =
      Written(api_.Call(MergePatchRequest(kDeployments, name, DumpJson(patch))));
  if (!state) return Wrap(std::move(state).error(), "scaling deployment " + ToString(name));
  return state;
}

Result<Crew> KubernetesPlatform::Workers(const LaneKey& key) {
  if (Result<void> filled = CheckFilled(pod_cache_filled_, "pods", PoolOf(key)); !filled) {
    return tl::unexpected<Error>(std::move(filled).error());
  }
  const std::lock_guard lock(mutex_);
  return pod_cache_.CrewOf(key);
}

Result<void> KubernetesPlatform::Mark(const LaneKey& key, const std::string& worker,
                                      const WorkerMarks& marks) {
  if (Result<void> filled = CheckFilled(pod_cache_filled_, "pods", PoolOf(key)); !filled) {
    return filled;
  }
  const ObjectName name{key.pool_namespace, worker};
  std::optional<std::string> patch;
  {
    const std::lock_guard lock(mutex_);
    const PodFacts* pod = pod_cache_.FindPlaced(key, worker);
    if (pod == nullptr) {
      return Fail(ErrorKind::kNotFound, "lane " + ToString(key) + " has no worker " + worker);
    }
    patch = MarkPatch(pod->uid, pod->marks, marks);
  }
  if (!patch) return {};
  const Result<Answer> answer = api_.Call(MergePatchRequest(kPods, name, *std::move(patch)));
  if (!answer) return Wrap(answer.error(), "marking pod " + ToString(name));
  const json object = ParseJson(answer->body);
  if (!object.is_object()) return tl::unexpected<Error>(Unreadable());
  const std::lock_guard lock(mutex_);
  pod_cache_.OnMarked(object, clock_.Now());
  return {};
}

Result<std::vector<LaneKey>> KubernetesPlatform::List(const PoolKey& key) {
  if (Result<void> filled = CheckFilled(cache_filled_, "deployments", key); !filled) {
    return tl::unexpected<Error>(std::move(filled).error());
  }
  const std::lock_guard lock(mutex_);
  return cache_.LanesOf(key);
}

Result<void> KubernetesPlatform::Remove(const LaneKey& key) {
  const Result<CachedDeployment> deployment = FindOwn(key);
  if (!deployment) {
    if (deployment.error().kind == ErrorKind::kNotFound) return {};
    return tl::unexpected<Error>(deployment.error());
  }
  const ObjectName name = DeploymentNameOf(key);
  if (deployment->ending) return {};
  // The Deployment stays until its pods are gone: while one of them finishes a job, List still has
  // the lane, and the pool keeps its finalizer.
  const Result<Answer> answer =
      api_.Call(DeleteRequest(kDeployments, name, deployment->uid, Propagation::kForeground));
  if (!answer && answer.error().kind != ErrorKind::kNotFound) {
    return Wrap(answer.error(), "deleting deployment " + ToString(name));
  }
  const std::lock_guard lock(mutex_);
  cache_.OnEnding(name);
  return {};
}

Result<void> KubernetesPlatform::WriteStatus(const WorkerPool& pool, const PoolStatus& status) {
  json patch = OnlyThis(pool.uid);
  patch["status"] = ParseJson(StatusToJson(status));
  const Result<Answer> answer =
      api_.Call(MergePatchStatusRequest(kWorkerPools, NameOf(pool.key), DumpJson(patch)));
  if (!answer) return Wrap(answer.error(), "writing the status of " + ToString(pool.key));
  return {};
}

Result<PoolStatus> KubernetesPlatform::ReadStatus(const PoolKey& key) {
  const Result<Answer> answer = api_.Call(GetRequest(kWorkerPools, NameOf(key)));
  if (!answer) return Wrap(answer.error(), "reading the status of " + ToString(key));
  const json object = ParseJson(answer->body);
  if (!object.is_object()) return tl::unexpected<Error>(Unreadable());
  const json* status = At(object, {"status"});
  return status == nullptr ? PoolStatus() : StatusFromJson(DumpJson(*status));
}

Result<void> KubernetesPlatform::SetFinalizer(const WorkerPool& pool, bool present) {
  const ObjectName name = NameOf(pool.key);
  const Result<Answer> answer = api_.Call(GetRequest(kWorkerPools, name));
  if (!answer) return tl::unexpected<Error>(answer.error());
  const json object = ParseJson(answer->body);
  if (!object.is_object()) return tl::unexpected<Error>(Unreadable());
  if (!pool.uid.empty() && TextAt(object, {"metadata", "uid"}) != pool.uid) {
    return Fail(ErrorKind::kNotFound, "another WorkerPool of that name has taken its place");
  }
  const std::optional<std::string> patch = FinalizerPatch(object, present);
  if (!patch) return {};
  const Result<Answer> patched = api_.Call(MergePatchRequest(kWorkerPools, name, *patch));
  if (!patched) return tl::unexpected<Error>(patched.error());
  return {};
}

Result<void> KubernetesPlatform::AddFinalizer(const WorkerPool& pool) {
  const Result<void> set = SetFinalizer(pool, true);
  if (!set) return Wrap(set.error(), "adding the finalizer of " + ToString(pool.key));
  return {};
}

Result<void> KubernetesPlatform::RemoveFinalizer(const WorkerPool& pool) {
  const Result<void> set = SetFinalizer(pool, false);
  // Without the pool there is nothing left to hold.
  if (!set && set.error().kind != ErrorKind::kNotFound) {
    return Wrap(set.error(), "removing the finalizer of " + ToString(pool.key));
  }
  return {};
}

void KubernetesPlatform::Publish(const WorkerPool& pool, const PoolEvent& event) {
  events_.Post({pool.key, pool.uid}, event);
}

}  // namespace lanekeeper::kubernetes
