#include "operator/kubernetes/deployment_cache.h"

#include <iterator>
#include <utility>

#include "operator/kubernetes/object_json.h"
#include "operator/kubernetes/own_write.h"

namespace lanekeeper::kubernetes {
namespace {

using nlohmann::json;

std::string NatsUrlOf(const json& object) {
  for (const json& container : ListAt(object, {"spec", "template", "spec", "containers"})) {
    for (const json& variable : ListAt(container, {"env"})) {
      if (TextAt(variable, {"name"}) == kEnvNatsUrl) return TextAt(variable, {"value"});
    }
  }
  return "";
}

// Not by a change of the number alone, nor by workers that were told to end: status.replicas does
// not count those.
bool IsRolling(const json& object) {
  return IntegerAt(object, {"status", "updatedReplicas"}) <
         IntegerAt(object, {"status", "replicas"});
}

bool IsPending(const json& object) {
  return IntegerAt(object, {"status", "observedGeneration"}) <
         IntegerAt(object, {"metadata", "generation"});
}

}  // namespace

CachedDeployment ReadDeployment(const json& object) {
  CachedDeployment deployment;
  deployment.key = LaneOf(object);
  deployment.uid = TextAt(object, {"metadata", "uid"});
  for (const json& owner : ListAt(object, {"metadata", "ownerReferences"})) {
    const json* controller = At(owner, {"controller"});
    if (controller == nullptr || *controller != true) continue;
    deployment.owner_kind = TextAt(owner, {"kind"});
    deployment.owner_name = TextAt(owner, {"name"});
    deployment.owner_uid = TextAt(owner, {"uid"});
  }
  deployment.nats_url = NatsUrlOf(object);
  deployment.resource_version = VersionNumber(ResourceVersionOf(object));
  deployment.ending = !TextAt(object, {"metadata", "deletionTimestamp"}).empty();
  deployment.state = {.replicas = static_cast<int>(IntegerAt(object, {"spec", "replicas"})),
                      .ready = static_cast<int>(IntegerAt(object, {"status", "readyReplicas"})),
                      .placed = static_cast<int>(IntegerAt(object, {"status", "replicas"})),
                      .rolling = IsRolling(object),
                      .pending = IsPending(object),
                      .lane_hash = TextAt(object, {"metadata", "annotations", kAnnotationLaneHash}),
                      .generation = IntegerAt(object, {"metadata", "generation"})};
  return deployment;
}

bool IsOfItsPool(const CachedDeployment& deployment) {
  return deployment.owner_kind == kWorkerPools.kind && deployment.owner_name == deployment.key.pool;
}

bool DeploymentCache::IsOlder(std::uint64_t resource_version, const Entry& than,
                              MonotonicTime now) {
  return OwnWriteOutranks(than.written_at, than.deployment.resource_version, resource_version, now);
}

std::optional<LaneKey> DeploymentCache::OnWatched(const json& object, MonotonicTime now) {
  CachedDeployment deployment = ReadDeployment(object);
  const auto [entry, is_new] = entries_.try_emplace(NameOf(object));
  if (!is_new && IsOlder(deployment.resource_version, entry->second, now)) return std::nullopt;
  const bool changed = is_new || entry->second.deployment.state != deployment.state;
  // What was written is now what is watched; only a newer write can outrank the watch again.
  entry->second = {std::move(deployment), std::nullopt};
  if (!changed) return std::nullopt;
  return entry->second.deployment.key;
}

std::optional<LaneKey> DeploymentCache::OnGone(const ObjectName& name,
                                               const std::string& resource_version,
                                               MonotonicTime now) {
  const auto entry = entries_.find(name);
  if (entry == entries_.end()) return std::nullopt;
  if (IsOlder(VersionNumber(resource_version), entry->second, now)) return std::nullopt;
  const LaneKey key = entry->second.deployment.key;
  entries_.erase(entry);
  return key;
}

void DeploymentCache::OnListed(const std::set<ObjectName>& names,
                               const std::string& resource_version, MonotonicTime now) {
  const std::uint64_t listed_at = VersionNumber(resource_version);
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const bool keep = names.count(entry->first) != 0 || IsOlder(listed_at, entry->second, now);
    entry = keep ? std::next(entry) : entries_.erase(entry);
  }
}

WorkloadState DeploymentCache::OnWritten(const json& object, MonotonicTime now) {
  CachedDeployment deployment = ReadDeployment(object);
  const WorkloadState state = deployment.state;
  Entry& entry = entries_[NameOf(object)];
  // The watch may have been faster than the answer, and a write may have changed nothing.
  if (deployment.resource_version > entry.deployment.resource_version ||
      deployment.uid != entry.deployment.uid) {
    entry = {std::move(deployment), now};
  }
  return state;
}

void DeploymentCache::OnEnding(const ObjectName& name) {
  if (const auto entry = entries_.find(name); entry != entries_.end()) {
    entry->second.deployment.ending = true;
  }
}

const CachedDeployment* DeploymentCache::Find(const ObjectName& name) const {
  const auto entry = entries_.find(name);
  return entry == entries_.end() ? nullptr : &entry->second.deployment;
}

std::vector<LaneKey> DeploymentCache::LanesOf(const PoolKey& pool) const {
  std::vector<LaneKey> lanes;
  // Names begin with the pool's, so they stand together.
  const ObjectName first{pool.pool_namespace, pool.name + "-"};
  for (auto entry = entries_.lower_bound(first); entry != entries_.end(); ++entry) {
    const auto& [name, cached] = *entry;
    if (name.object_namespace != pool.pool_namespace ||
        name.name.compare(0, first.name.size(), first.name) != 0) {
      break;
    }
    if (IsOfItsPool(cached.deployment) && cached.deployment.key.pool == pool.name)
      lanes.push_back(cached.deployment.key);
  }
  return lanes;
}

}  // namespace lanekeeper::kubernetes
