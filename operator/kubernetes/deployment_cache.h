// The Deployments of all lanes, as the watch tells of them and as our own writes left them,
// whichever is newer. Pure. Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "operator/control/ports.h"
#include "operator/kubernetes/object_names.h"

namespace lanekeeper::kubernetes {

// What is kept of a Deployment.
struct CachedDeployment {
  LaneKey key;  // By its labels. Lane and pool are empty when they are missing.
  std::string uid;
  std::string owner_kind;  // Of the controlling owner; empty: there is none.
  std::string owner_name;
  std::string owner_uid;
  std::string nats_url;  // Its workers are told.
  std::uint64_t resource_version = 0;
  bool ending = false;  // Deleted, but still there until its pods are gone.
  WorkloadState state;
  bool operator==(const CachedDeployment&) const = default;
};

CachedDeployment ReadDeployment(const nlohmann::json& object);

// Owned by a WorkerPool of the name that its labels say. Labels alone can be copied.
bool IsOfItsPool(const CachedDeployment& deployment);

class DeploymentCache {
 public:
  // From the watch. Returns the lane whose WorkloadState is now another, if any.
  std::optional<LaneKey> OnWatched(const nlohmann::json& object, MonotonicTime now);
  std::optional<LaneKey> OnGone(const ObjectName& name, const std::string& resource_version,
                                MonotonicTime now);
  // Drops what is not among `names`: a Deployment we made and somebody else removed before the
  // watch ever saw it.
  void OnListed(const std::set<ObjectName>& names, const std::string& resource_version,
                MonotonicTime now);
  // The answer to a write of ours.
  WorkloadState OnWritten(const nlohmann::json& object, MonotonicTime now);
  // A delete of ours was accepted; the watch tells of the end.
  void OnEnding(const ObjectName& name);

  // nullptr: there is none. Until the next call.
  const CachedDeployment* Find(const ObjectName& name) const;
  // Of its own Deployments only.
  std::vector<LaneKey> LanesOf(const PoolKey& pool) const;

 private:
  struct Entry {
    CachedDeployment deployment;
    std::optional<MonotonicTime> written_at;  // By us; the watch has not told of it yet.
  };
  static bool IsOlder(std::uint64_t resource_version, const Entry& than, MonotonicTime now);

  std::map<ObjectName, Entry> entries_;
};

}  // namespace lanekeeper::kubernetes
