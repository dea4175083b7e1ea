#include "operator/kubernetes/deployment_manifest.h"

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>

#include "operator/control/lane_settings.h"
#include "operator/control/ports.h"
#include "operator/kubernetes/gpu_limits.h"
#include "operator/kubernetes/json_access.h"
#include "operator/kubernetes/pool_nats_json.h"
#include "worker-runtime/job/names.h"

namespace lanekeeper::kubernetes {
namespace {

using nlohmann::json;

json SelectorOf(const WorkerPool& pool, const Lane& lane) {
  return {{kLabelPool, pool.key.name}, {kLabelLane, lane.name}};
}

json LabelsOf(const WorkerPool& pool, const Lane& lane) {
  json labels = SelectorOf(pool, lane);
  labels[kLabelApp] = kAppName;
  labels[kLabelManagedBy] = kManagedBy;
  return labels;
}

json OwnerOf(const WorkerPool& pool) {
  return {{"apiVersion", kWorkerPools.api_version},
          {"kind", kWorkerPools.kind},
          {"name", pool.key.name},
          {"uid", pool.uid},
          {"controller", true},
          {"blockOwnerDeletion", true}};
}

// A worker shares nothing with its successor, so a new one may start before an old one ends, unless
// both need the same GPU.
json StrategyOf(LaneClass lane_class) {
  const bool gpu = lane_class == LaneClass::kGpu;
  json rolling = {{"maxSurge", gpu ? json(0) : json("25%")}, {"maxUnavailable", gpu ? 1 : 0}};
  return {{"type", "RollingUpdate"}, {"rollingUpdate", std::move(rolling)}};
}

void AddSettings(json& variables, const WorkerPool& pool, const Lane& lane,
                 const ManifestOptions& options) {
  const std::string& url = pool.nats ? pool.nats->url : options.nats_url;
  for (const LaneSetting& setting : LaneSettings(pool, lane, url)) {
    // Before the variables of the queue; another order would be another template.
    if (std::string_view(setting.name) == kEnvStream) {
      variables.push_back(
          {{"name", kEnvWorker}, {"valueFrom", {{"fieldRef", {{"fieldPath", "metadata.name"}}}}}});
    }
    variables.push_back({{"name", setting.name}, {"value", setting.value}});
  }
}

// The container named "worker", else the first; nullptr when there is none.
json* WorkerContainer(json& pod_spec) {
  const auto containers = pod_spec.find("containers");
  if (containers == pod_spec.end() || !containers->is_array() || containers->empty()) {
    return nullptr;
  }
  for (json& container : *containers) {
    if (TextAt(container, {"name"}) == "worker") return &container;
  }
  json& first = containers->front();
  return first.is_object() ? &first : nullptr;
}

// The member `name`, made an empty one of `type` when it is missing or something else.
json& Member(json& object, const char* name, const json& empty) {
  json& member = object[name];
  if (member.type() != empty.type()) member = empty;
  return member;
}

// A worker that drains says there that it takes no jobs; its pod is then the first a ReplicaSet
// removes. Seen at the next second, because nobody can be released before.
void AddReadinessProbe(json& worker) {
  if (worker.contains("readinessProbe")) return;
  worker["readinessProbe"] = {{"httpGet", {{"path", "/readyz"}, {"port", kWorkerHttpPort}}},
                              {"periodSeconds", 1},
                              {"timeoutSeconds", 2},
                              {"failureThreshold", 1}};
}

// Nodes with GPUs are kept for those who need one by a taint named like the resource.
void AddToleration(json& pod_spec, const std::string& resource) {
  const json toleration = {{"key", resource}, {"operator", "Exists"}, {"effect", "NoSchedule"}};
  json& tolerations = Member(pod_spec, "tolerations", json::array());
  const auto found = std::find(tolerations.begin(), tolerations.end(), toleration);
  if (found == tolerations.end()) tolerations.push_back(toleration);
}

void AddGpus(json& pod_spec, json& worker, const LaneWorkers& workers) {
  if (workers.add_gpu_limit) {
    json& limits = Member(Member(worker, "resources", json::object()), "limits", json::object());
    limits[kGpuResource] = std::to_string(workers.gpus);
  }
  AddToleration(pod_spec, kGpuResource);
  for (const std::string& resource : GpuLimitsOf(pod_spec).resources) {
    AddToleration(pod_spec, resource);
  }
}

std::int64_t GraceSeconds(const json& pod_spec, const Lane& lane) {
  const std::int64_t of_lane = std::chrono::ceil<std::chrono::seconds>(lane.workers.grace).count();
  return std::max(of_lane, IntegerAt(pod_spec, {"terminationGracePeriodSeconds"}));
}

Result<json> PodTemplate(const WorkerPool& pool, const Lane& lane, const ManifestOptions& options) {
  json pod_template = ParseJson(lane.template_json);
  if (!pod_template.is_object() || !pod_template["spec"].is_object()) {
    return Fail(ErrorKind::kInvalid, "lane " + lane.name + ": the template has no pod spec");
  }
  json& pod_spec = pod_template["spec"];
  json* worker = WorkerContainer(pod_spec);
  if (worker == nullptr) {
    return Fail(ErrorKind::kInvalid, "lane " + lane.name + ": the template has no container");
  }
  json& labels = Member(Member(pod_template, "metadata", json::object()), "labels", json::object());
  // Those the selector needs are ours; the descriptive ones are the person's to choose.
  labels.update(SelectorOf(pool, lane));
  const json wanted = LabelsOf(pool, lane);
  for (const auto& [label, value] : wanted.items()) {
    if (!labels.contains(label)) labels[label] = value;
  }
  pod_spec["terminationGracePeriodSeconds"] = GraceSeconds(pod_spec, lane);
  json& variables = Member(*worker, "env", json::array());
  AddSettings(variables, pool, lane, options);
  if (pool.nats) AddPoolNats(*pool.nats, pod_spec, *worker, variables);
  AddReadinessProbe(*worker);
  if (lane.lane_class == LaneClass::kGpu) AddGpus(pod_spec, *worker, lane.workers);
  return pod_template;
}

}  // namespace

ObjectName DeploymentNameOf(const LaneKey& key) {
  return {key.pool_namespace, key.pool + "-" + key.lane};
}

Result<std::string> DeploymentManifest(const WorkerPool& pool, const Lane& lane, int replicas,
                                       const ManifestOptions& options) {
  Result<json> pod_template = PodTemplate(pool, lane, options);
  if (!pod_template) return tl::unexpected<Error>(std::move(pod_template).error());

  const ObjectName name = DeploymentNameOf(pool.KeyOf(lane));
  json metadata = {{"name", name.name},
                   {"namespace", name.object_namespace},
                   {"labels", LabelsOf(pool, lane)},
                   {"annotations", {{kAnnotationLaneHash, LaneHash(lane)}}},
                   {"ownerReferences", json::array({OwnerOf(pool)})}};
  if (!options.uid.empty()) metadata["uid"] = options.uid;
  json spec = {{"replicas", replicas},
               {"revisionHistoryLimit", 2},
               {"progressDeadlineSeconds", 600},
               {"selector", {{"matchLabels", SelectorOf(pool, lane)}}},
               {"strategy", StrategyOf(lane.lane_class)},
               {"template", *std::move(pod_template)}};
  return DumpJson({{"apiVersion", kDeployments.api_version},
                   {"kind", kDeployments.kind},
                   {"metadata", std::move(metadata)},
                   {"spec", std::move(spec)}});
}

}  // namespace lanekeeper::kubernetes
