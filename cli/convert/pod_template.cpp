#include "cli/convert/pod_template.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/convert/json_read.h"
#include "operator/kubernetes/gpu_limits.h"

namespace lanekeeper::convert {
namespace {

constexpr std::string_view kReservedLabel = "lanekeeper.dev/";
constexpr std::string_view kReservedVariable = "LANEKEEPER_";
constexpr const char* kDeletionCost = "controller.kubernetes.io/pod-deletion-cost";
constexpr std::string_view kRuntime = "lanekeeper-worker";

// Of a Deployment, and what `kubectl get -o yaml` shows of each when nothing was said.
struct DeploymentField {
  const char* name;
  const char* usual;  // JSON.
  const char* why;
};
constexpr std::array kDeploymentFields = {
    DeploymentField{
        "strategy",
        R"({"type":"RollingUpdate","rollingUpdate":{"maxSurge":"25%","maxUnavailable":"25%"}})",
        "the operator rolls workers out itself: new ones first, and old ones finish "
        "their jobs"},
    DeploymentField{"minReadySeconds", "0", "a worker that is ready takes jobs"},
    DeploymentField{"revisionHistoryLimit", "10", "the operator keeps 2"},
    DeploymentField{"progressDeadlineSeconds", "600", "the operator sets 600"},
    DeploymentField{"paused", "false", "rollouts of a pool are not paused"},
};

void RemarkOnDeployment(const Json& spec, RemarksOn& remarks) {
  for (const DeploymentField& field : kDeploymentFields) {
    const Json* value = Find(spec, field.name);
    if (value == nullptr) continue;
    if (nlohmann::json(*value) == nlohmann::json::parse(field.usual)) continue;
    remarks.NotCarriedOver(std::string("spec.") + field.name, field.why);
  }
}

Json ReadMap(const Json& metadata, const char* map, RemarksOn& remarks) {
  Json kept = Json::object();
  const Json* found = Find(metadata, map);
  if (found == nullptr || !found->is_object()) return kept;
  for (const auto& [name, value] : found->items()) {
    if (name.starts_with(kReservedLabel) || name == kDeletionCost) {
      remarks.NotCarriedOver(std::string("spec.template.metadata.") + map + "." + name,
                             "it is the operator's to set");
    } else {
      // A label is a text, also where somebody forgot the quotes.
      kept[name] = value.is_number() || value.is_boolean() ? Json(value.dump()) : value;
    }
  }
  return kept;
}

Json ReadMetadata(const Json& pod_template, RemarksOn& remarks) {
  Json kept = Json::object();
  const Json* metadata = Find(pod_template, "metadata");
  if (metadata == nullptr || !metadata->is_object()) return kept;
  for (const char* map : {"labels", "annotations"}) {
    Json entries = ReadMap(*metadata, map, remarks);
    if (!entries.empty()) kept[map] = std::move(entries);
  }
  for (const auto& [name, value] : metadata->items()) {
    if (name == "labels" || name == "annotations" || name == "creationTimestamp") continue;
    remarks.NotCarriedOver("spec.template.metadata." + name, "the operator names the pods");
  }
  return kept;
}

// Kubernetes takes the last of two variables with one name; a pool has each once.
void ReadVariables(Json& container, const std::string& path, RemarksOn& remarks) {
  const Json* env = Find(container, "env");
  if (env == nullptr || !env->is_array()) return;
  std::vector<Json> kept;
  std::set<std::string> names;
  for (std::size_t i = env->size(); i-- > 0;) {
    const Json& variable = (*env)[i];
    const Json* name = Find(variable, "name");
    const std::string text = name != nullptr && name->is_string() ? name->get<std::string>() : "";
    if (text.starts_with(kReservedVariable)) {
      remarks.NotCarriedOver(path + ".env " + text,
                             "names that begin so are the operator's to set");
    } else if (!text.empty() && !names.insert(text).second) {
      remarks.NotCarriedOver(path + ".env " + text, "the first of two; Kubernetes took the last");
    } else {
      kept.push_back(variable);
    }
  }
  Json variables = Json::array();
  std::move(kept.rbegin(), kept.rend(), std::back_inserter(variables));
  container["env"] = std::move(variables);
}

// A fraction without quotes: the schema of a pool takes texts and whole numbers.
void ReadLimits(Json& container) {
  if (Find(container, "resources") == nullptr) return;
  Json& resources = container["resources"];
  if (Find(resources, "limits") == nullptr || !resources["limits"].is_object()) return;
  for (auto& [name, limit] : resources["limits"].items()) {
    if (limit.is_number_float()) limit = limit.dump();
  }
}

// The container named "worker", else the first; nullptr when there is none.
Json* WorkerOf(Json& spec) {
  if (Find(spec, "containers") == nullptr || !spec["containers"].is_array()) return nullptr;
  Json& containers = spec["containers"];
  for (Json& container : containers) {
    const Json* name = Find(container, "name");
    if (name != nullptr && *name == "worker") return &container;
  }
  return containers.empty() || !containers.front().is_object() ? nullptr : &containers.front();
}

bool RunsRuntime(const Json& container) {
  for (const char* field : {"command", "args"}) {
    const Json* words = Find(container, field);
    if (words == nullptr || !words->is_array()) continue;
    for (const Json& word : *words) {
      if (word.is_string() && word.get_ref<const std::string&>().ends_with(kRuntime)) return true;
    }
  }
  return false;
}

// Without one the operator asks the runtime's /readyz, which this program does not have: its pods
// would never be ready, and the operator would take those that are not for workers that never
// started, whatever they run.
void AddReadinessProbe(Json& worker, const std::string& path, RemarksOn& remarks) {
  if (Find(worker, "readinessProbe") != nullptr) return;
  for (const char* other : {"livenessProbe", "startupProbe"}) {
    const Json* probe = Find(worker, other);
    if (probe == nullptr || !probe->is_object()) continue;
    Json copy = *probe;
    copy.erase("terminationGracePeriodSeconds");
    worker["readinessProbe"] = std::move(copy);
    remarks.Assumed(path + ".readinessProbe",
                    std::string("a copy of ") + other +
                        ": without one the operator asks the worker runtime's /readyz, which this "
                        "program does not answer");
    return;
  }
  worker["readinessProbe"] = {{"exec", {{"command", {"/bin/sh", "-c", "exit 0"}}}},
                              {"periodSeconds", 10}};
  remarks.Assumed(path + ".readinessProbe",
                  "ready as soon as it runs, and an image with /bin/sh: without a probe the "
                  "operator asks the worker runtime's /readyz, which this program does not answer");
}

}  // namespace

PodTemplate ReadPodTemplate(const Json& deployment, RemarksOn& remarks) {
  PodTemplate read;
  const Json* deployment_spec = Find(deployment, "spec");
  const Json* pod_template =
      deployment_spec == nullptr ? nullptr : Find(*deployment_spec, "template");
  const Json* pod_spec = pod_template == nullptr ? nullptr : Find(*pod_template, "spec");
  if (pod_spec == nullptr || !pod_spec->is_object()) {
    remarks.Wrong("spec.template.spec", "is missing");
    return read;
  }
  RemarkOnDeployment(*deployment_spec, remarks);
  Json metadata = ReadMetadata(*pod_template, remarks);
  Json spec = *pod_spec;
  read.grace_seconds = IntegerOf(spec, "terminationGracePeriodSeconds",
                                 "spec.template.spec.terminationGracePeriodSeconds", remarks);
  spec.erase("terminationGracePeriodSeconds");
  Json* worker = WorkerOf(spec);
  if (worker == nullptr) {
    remarks.Wrong("spec.template.spec.containers", "there is none");
    return read;
  }
  Json& containers = spec["containers"];
  for (std::size_t i = 0; i < containers.size(); ++i) {
    if (!containers[i].is_object()) continue;
    ReadVariables(containers[i], "spec.template.spec.containers[" + std::to_string(i) + "]",
                  remarks);
    ReadLimits(containers[i]);
  }
  if (Find(spec, "initContainers") != nullptr && spec["initContainers"].is_array()) {
    for (Json& container : spec["initContainers"]) ReadLimits(container);
  }
  read.runs_runtime = RunsRuntime(*worker);
  if (!read.runs_runtime) {
    const auto index = static_cast<std::size_t>(worker - &containers[0]);
    AddReadinessProbe(*worker, "template.spec.containers[" + std::to_string(index) + "]", remarks);
  }
  const nlohmann::json plain(spec);
  read.asks_for_gpu =
      kubernetes::GpuLimitsOf(plain).gpus > 0 || kubernetes::ResourceClaimsOf(plain) > 0;
  read.value = Json::object();
  if (!metadata.empty()) read.value["metadata"] = std::move(metadata);
  read.value["spec"] = std::move(spec);
  return read;
}

}  // namespace lanekeeper::convert
