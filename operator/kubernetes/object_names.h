// The names Lanekeeper uses inside Kubernetes: resources, labels, annotations. Pure.
#pragma once

#include <array>
#include <compare>
#include <string>
#include <string_view>

namespace lanekeeper::kubernetes {

// A kind of object and where the API server serves it.
struct Resource {
  std::string_view api_path;     // "/apis/apps/v1"; "/api/v1" for the core group.
  std::string_view plural;       // "deployments".
  std::string_view api_version;  // "apps/v1".
  std::string_view kind;         // "Deployment".
  bool operator==(const Resource&) const = default;
};

inline constexpr Resource kWorkerPools{"/apis/lanekeeper.dev/v1alpha1", "workerpools",
                                       "lanekeeper.dev/v1alpha1", "WorkerPool"};
inline constexpr Resource kDeployments{"/apis/apps/v1", "deployments", "apps/v1", "Deployment"};
inline constexpr Resource kPods{"/api/v1", "pods", "v1", "Pod"};
inline constexpr Resource kLeases{"/apis/coordination.k8s.io/v1", "leases",
                                  "coordination.k8s.io/v1", "Lease"};
inline constexpr Resource kSecrets{"/api/v1", "secrets", "v1", "Secret"};
inline constexpr Resource kEvents{"/api/v1", "events", "v1", "Event"};

struct ObjectName {
  std::string object_namespace;
  std::string name;
  auto operator<=>(const ObjectName&) const = default;
};

inline std::string ToString(const ObjectName& name) {
  return name.object_namespace + "/" + name.name;
}

// Who wrote a field, in metadata.managedFields, and who reports an event.
inline constexpr std::string_view kFieldManager = "lanekeeper";
inline constexpr std::string_view kFinalizer = "lanekeeper.dev/queues";

inline constexpr const char* kLabelApp = "app.kubernetes.io/name";
inline constexpr const char* kAppName = "lanekeeper-worker";
inline constexpr const char* kLabelManagedBy = "app.kubernetes.io/managed-by";
inline constexpr const char* kManagedBy = "lanekeeper";
inline constexpr const char* kLabelPool = "lanekeeper.dev/pool";
inline constexpr const char* kLabelLane = "lanekeeper.dev/lane";
inline constexpr std::string_view kOwnLabelPrefix = "lanekeeper.dev/";
inline constexpr const char* kAnnotationLaneHash = "lanekeeper.dev/lane-hash";

// A ReplicaSet with fewer pods to have takes those of the lowest cost first, among equally ready
// ones. Zero without it.
inline constexpr const char* kAnnotationDeletionCost = "controller.kubernetes.io/pod-deletion-cost";
inline constexpr const char* kCostOfTheFirstToGo = "-1000";

// What makes those who empty nodes leave a pod alone.
struct Shield {
  const char* annotation;
  const char* value;
};
inline constexpr std::array<Shield, 2> kShields{
    {{"karpenter.sh/do-not-disrupt", "true"},
     {"cluster-autoscaler.kubernetes.io/safe-to-evict", "false"}}};
// Which of them Lanekeeper put on a pod, with commas between them. The others are the person's.
inline constexpr const char* kAnnotationShield = "lanekeeper.dev/shield";

}  // namespace lanekeeper::kubernetes
