#include "cli/convert/scaled_object.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "cli/convert/json_read.h"

namespace lanekeeper::convert {
namespace {

constexpr const char* kTriggerType = "nats-jetstream";
// Bounds of crds/workerpools.yaml.
constexpr std::int64_t kWorkersMax = 10'000;
constexpr std::int64_t kJobsPerWorkerMax = 1'000'000;
constexpr std::int64_t kWindowSecondsMax = 24 * 3600;
// What KEDA, and the HPA it makes, take when nothing is said.
constexpr std::int64_t kCooldownSeconds = 300;

struct Unequal {
  const char* field;
  const char* why;
};

constexpr std::array kSpecFields = {
    Unequal{"pollingInterval", "the operator looks at every queue twice a second; nothing to do"},
    Unequal{"initialCooldownPeriod",
            "a new lane's workers stay for scaling.scaleDownWindow like any others; nothing to do"},
    Unequal{
        "idleReplicaCount",
        "a lane has one minimum; set workers.min to 0 if no worker should run while it is idle"},
    Unequal{"fallback",
            "while the depth of a queue is unknown the number of workers stays as it is; for more "
            "then, raise workers.min"},
};

constexpr std::array kKnownSpecFields = {"scaleTargetRef",  "cooldownPeriod", "minReplicaCount",
                                         "maxReplicaCount", "advanced",       "triggers"};

constexpr std::array kMetadataFields = {
    Unequal{"natsServerMonitoringEndpoint",
            "the operator asks NATS itself, over its own connection; the chart's nats.url has to "
            "be the server that has this stream"},
    Unequal{"useHttps",
            "no monitoring endpoint is asked; for TLS write tls:// in the chart's nats.url"},
};

void ReadAdvanced(const Json& advanced, RemarksOn& remarks, std::optional<std::int64_t>& window) {
  for (const auto& [name, value] : advanced.items()) {
    const std::string path = "spec.advanced." + name;
    if (name == "scalingModifiers") {
      remarks.NotCarriedOver(path,
                             "a lane follows its own queue and no formula; scaling.targetWait is a "
                             "policy by time instead");
    } else if (name == "restoreToOriginalReplicaCount") {
      remarks.NotCarriedOver(path, "the operator owns its Deployments; nothing to do");
    } else if (name != "horizontalPodAutoscalerConfig") {
      remarks.NotCarriedOver(path, "not known to this version");
    }
  }
  const Json* hpa = Find(advanced, "horizontalPodAutoscalerConfig");
  if (hpa == nullptr) return;
  const std::string path = "spec.advanced.horizontalPodAutoscalerConfig";
  if (Find(*hpa, "name") != nullptr) {
    remarks.NotCarriedOver(path + ".name", "there is no HPA any more; nothing to do");
  }
  const Json* behavior = Find(*hpa, "behavior");
  if (behavior == nullptr) return;
  if (Find(*behavior, "scaleUp") != nullptr) {
    remarks.NotCarriedOver(
        path + ".behavior.scaleUp",
        "a lane grows to the number it wants in one step; workers.max bounds it");
  }
  const Json* down = Find(*behavior, "scaleDown");
  if (down == nullptr) return;
  for (const auto& [name, value] : down->items()) {
    const std::string field = path + ".behavior.scaleDown." + name;
    if (name == "stabilizationWindowSeconds") {
      window = IntegerOf(*down, name, field, remarks);
    } else if (name == "selectPolicy" && value == "Disabled") {
      remarks.NotCarriedOver(field, "a lane always shrinks; workers.min holds its size");
    } else {
      remarks.NotCarriedOver(
          field,
          "workers go as they become idle, any number at once, and running jobs are not cut");
    }
  }
}

// The window for fewer workers is the HPA's, and the last worker goes after KEDA's cooldown. A lane
// has one window for both: the longer one keeps either promise.
void ReadWindow(const Json& spec, RemarksOn& remarks, ScaledObject& read) {
  const auto cooldown = IntegerOf(spec, "cooldownPeriod", "spec.cooldownPeriod", remarks);
  std::optional<std::int64_t> window;
  if (const Json* advanced = Find(spec, "advanced")) {
    if (advanced->is_object()) ReadAdvanced(*advanced, remarks, window);
  }
  const bool to_zero = read.workers_min == 0;
  if (!to_zero && cooldown) {
    remarks.NotCarriedOver("spec.cooldownPeriod",
                           "KEDA waits for it before the last worker goes, and with "
                           "minReplicaCount that one never goes");
  }
  if (!window && !(to_zero && cooldown)) {
    remarks.Assumed("scaling.scaleDownWindow",
                    "5m, as KEDA and the HPA wait when nothing is said; leave it out for the "
                    "shorter one of the lane's class: running jobs are never cut");
    read.window_seconds = kCooldownSeconds;
    return;
  }
  std::int64_t longer = to_zero ? cooldown.value_or(0) : 0;
  if (window) longer = std::max(longer, *window);
  read.window_seconds = std::clamp<std::int64_t>(longer, 1, kWindowSecondsMax);
  if (longer > kWindowSecondsMax) {
    remarks.NotCarriedOver("spec.cooldownPeriod", "scaling.scaleDownWindow is at most 24h");
  }
  if (window && to_zero && cooldown && *window != *cooldown) {
    remarks.Assumed("scaling.scaleDownWindow",
                    "the longer of cooldownPeriod and stabilizationWindowSeconds: a lane has one "
                    "window for all of its workers, the last one included");
  }
}

void ReadBounds(const Json& spec, RemarksOn& remarks, ScaledObject& read) {
  read.workers_min =
      IntegerOf(spec, "minReplicaCount", "spec.minReplicaCount", remarks).value_or(0);
  const auto max = IntegerOf(spec, "maxReplicaCount", "spec.maxReplicaCount", remarks);
  read.workers_max = max.value_or(100);
  if (read.workers_min < 0) remarks.Wrong("spec.minReplicaCount", "must not be negative");
  if (read.workers_max < 1) remarks.Wrong("spec.maxReplicaCount", "must be at least 1");
  if (read.workers_min > read.workers_max) {
    remarks.Wrong("spec.minReplicaCount",
                  std::to_string(read.workers_min) + " is more than maxReplicaCount, " +
                      std::to_string(read.workers_max) + (max ? "" : " by default"));
  }
  if (read.workers_max > kWorkersMax) {
    remarks.NotCarriedOver("spec.maxReplicaCount", "workers.max is at most 10000");
    read.workers_max = kWorkersMax;
    read.workers_min = std::min(read.workers_min, kWorkersMax);
  }
}

// The name of a stream or consumer, as NATS takes it.
std::string QueueName(const Json& metadata, const char* name, const std::string& path,
                      RemarksOn& remarks) {
  const std::string field = path + ".metadata." + name;
  if (Find(metadata, name) == nullptr) {
    remarks.Wrong(field, "is missing");
    return "";
  }
  std::string text = TextOf(metadata, name, field, remarks);
  constexpr std::size_t kNameMax = 255;
  if (text.size() > kNameMax || text.find_first_of(" \t\r\n\f\v.*>/\\") != std::string::npos) {
    remarks.Wrong(field, Shown(Json(text)) + " is no name of a " + name);
  }
  return text;
}

void ReadTriggerMetadata(const Json& metadata, const std::string& path, RemarksOn& remarks,
                         QueueTrigger& trigger) {
  trigger.stream = QueueName(metadata, "stream", path, remarks);
  trigger.consumer = QueueName(metadata, "consumer", path, remarks);
  const std::string lag = path + ".metadata.lagThreshold";
  trigger.lag_threshold = IntegerOf(metadata, "lagThreshold", lag, remarks).value_or(10);
  if (trigger.lag_threshold < 1) remarks.Wrong(lag, "must be at least 1");
  if (trigger.lag_threshold > kJobsPerWorkerMax) {
    remarks.NotCarriedOver(lag, "scaling.jobsPerWorker is at most 1000000");
    trigger.lag_threshold = kJobsPerWorkerMax;
  }
  for (const auto& [name, value] : metadata.items()) {
    const std::string field = path + ".metadata." + name;
    if (name == "stream" || name == "consumer" || name == "lagThreshold") continue;
    const auto* unequal =
        std::find_if(kMetadataFields.begin(), kMetadataFields.end(),
                     [&key = name](const Unequal& one) { return key == one.field; });
    if (unequal != kMetadataFields.end()) {
      remarks.NotCarriedOver(field, unequal->why);
    } else if (name == "activationLagThreshold") {
      const auto lag_at_start = IntegerOf(metadata, name, field, remarks);
      if (lag_at_start == 0) continue;
      remarks.NotCarriedOver(field,
                             "the first job of an idle lane starts a worker: a job never waits for "
                             "others to come");
    } else if (name == "account") {
      const bool is_global = value == "$G";
      remarks.NotCarriedOver(
          field, std::string("the account is that of the operator's own connection") +
                     (is_global ? "; nothing to do where there are no accounts"
                                : "; the user in the chart's nats.url has to be of this account"));
    } else {
      remarks.NotCarriedOver(field, "not known to this version");
    }
  }
}

std::optional<QueueTrigger> ReadTrigger(const Json& entry, const std::string& path,
                                        RemarksOn& remarks) {
  const std::string type = TextOf(entry, "type", path + ".type", remarks);
  if (type != kTriggerType) {
    remarks.NotCarriedOver(path,
                           "a trigger of type " + (type.empty() ? std::string("nothing") : type) +
                               ": a lane follows its queue alone" +
                               (type == "cron" ? "; raise workers.min for the hours instead" : ""));
    return std::nullopt;
  }
  QueueTrigger trigger;
  trigger.name = TextOf(entry, "name", path + ".name", remarks);
  for (const auto& [name, value] : entry.items()) {
    const std::string field = path + "." + name;
    if (name == "type" || name == "name" || name == "metadata" || value.is_null()) continue;
    if (name == "authenticationRef") {
      remarks.NotCarriedOver(field,
                             "the operator and the workers log in with what the chart's nats.url "
                             "or nats.urlSecret says");
    } else if (name == "useCachedMetrics") {
      remarks.NotCarriedOver(field, "nothing is asked twice; nothing to do");
    } else if (name == "metricType") {
      if (value != "AverageValue") {
        remarks.NotCarriedOver(
            field, "jobsPerWorker is an average over all workers; " + Shown(value) + " is not");
      }
    } else {
      remarks.NotCarriedOver(field, "not known to this version");
    }
  }
  static const Json kNothing = Json::object();
  const Json* metadata = Find(entry, "metadata");
  ReadTriggerMetadata(metadata != nullptr && metadata->is_object() ? *metadata : kNothing, path,
                      remarks, trigger);
  return trigger;
}

void ReadTriggers(const Json& spec, RemarksOn& remarks, ScaledObject& read) {
  const Json* triggers = Find(spec, "triggers");
  if (triggers == nullptr || !triggers->is_array() || triggers->empty()) {
    remarks.Wrong("spec.triggers", "there is none");
    return;
  }
  std::string types;
  for (std::size_t i = 0; i < triggers->size(); ++i) {
    const std::string path = "spec.triggers[" + std::to_string(i) + "]";
    auto trigger = ReadTrigger((*triggers)[i], path, remarks);
    if (trigger) read.triggers.push_back(*std::move(trigger));
    const Json* type = Find((*triggers)[i], "type");
    if (type != nullptr) types += (types.empty() ? "" : ", ") + Shown(*type);
  }
  if (read.triggers.empty()) {
    remarks.Wrong("spec.triggers", "none is of type nats-jetstream, but " + types +
                                       ": only a JetStream consumer can become a lane");
  }
}

// As Kubernetes names objects. Goes into the commands at the top of the manifest.
void CheckName(const std::string& name, const std::string& field, RemarksOn& remarks) {
  constexpr std::size_t kNameMax = 253;
  const bool fits =
      name.size() <= kNameMax && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
      });
  if (!fits || name.starts_with('-')) {
    remarks.Wrong(field, Shown(Json(name)) + " is no name of an object");
  }
}

void ReadTarget(const Json& spec, RemarksOn& remarks, ScaledObject& read) {
  const Json* target = Find(spec, "scaleTargetRef");
  if (target == nullptr || !target->is_object()) {
    remarks.Wrong("spec.scaleTargetRef", "is missing");
    return;
  }
  read.deployment = TextOf(*target, "name", "spec.scaleTargetRef.name", remarks);
  if (Find(*target, "name") == nullptr) remarks.Wrong("spec.scaleTargetRef.name", "is missing");
  CheckName(read.deployment, "spec.scaleTargetRef.name", remarks);
  const std::string kind = TextOf(*target, "kind", "spec.scaleTargetRef.kind", remarks);
  if (!kind.empty() && kind != "Deployment") {
    remarks.Wrong("spec.scaleTargetRef.kind",
                  kind +
                      " cannot be converted: workers are pods of a Deployment; write the pool "
                      "by hand with its pod template");
  }
  if (Find(*target, "envSourceContainerName") != nullptr) {
    remarks.NotCarriedOver("spec.scaleTargetRef.envSourceContainerName",
                           "nothing is read out of the pod's environment; nothing to do");
  }
}

// As strconv.ParseBool has it; KEDA pauses for what is none.
bool IsFalse(const std::string& text) {
  constexpr std::array<std::string_view, 6> kFalse = {"0", "f", "F", "false", "False", "FALSE"};
  return std::find(kFalse.begin(), kFalse.end(), text) != kFalse.end();
}

void ReadAnnotations(const Json& metadata, RemarksOn& remarks, ScaledObject& read) {
  const Json* annotations = Find(metadata, "annotations");
  if (annotations == nullptr || !annotations->is_object()) return;
  for (const auto& [name, value] : annotations->items()) {
    const std::string field = "metadata.annotations." + name;
    const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    if (name == "autoscaling.keda.sh/paused") {
      read.paused = read.paused || !IsFalse(text);
    } else if (name == "autoscaling.keda.sh/paused-replicas") {
      read.paused = true;
      remarks.NotCarriedOver(field,
                             "spec.paused is set, which keeps the number of workers there is; it "
                             "begins at workers.min and not at " +
                                 Shown(value));
    } else if (name == "autoscaling.keda.sh/paused-scale-in" ||
               name == "autoscaling.keda.sh/paused-scale-out") {
      if (!IsFalse(text)) {
        remarks.NotCarriedOver(field,
                               "spec.paused holds the number in both directions; "
                               "workers.min or workers.max holds it in one");
      }
    } else if (name.find("keda.sh/") != std::string::npos) {
      remarks.NotCarriedOver(field, "it is about KEDA itself");
    }
  }
}

}  // namespace

ScaledObject ReadScaledObject(const Json& object, RemarksOn& remarks) {
  static const Json kNothing = Json::object();
  ScaledObject read;
  const Json* metadata = Find(object, "metadata");
  const Json& meta = metadata == nullptr ? kNothing : *metadata;
  read.name = TextOf(meta, "name", "metadata.name", remarks);
  read.object_namespace = TextOf(meta, "namespace", "metadata.namespace", remarks);
  CheckName(read.name, "metadata.name", remarks);
  CheckName(read.object_namespace, "metadata.namespace", remarks);
  ReadAnnotations(meta, remarks, read);
  const Json* found = Find(object, "spec");
  if (found == nullptr || !found->is_object()) {
    remarks.Wrong("spec", "is missing");
    return read;
  }
  const Json& spec = *found;
  ReadTarget(spec, remarks, read);
  ReadBounds(spec, remarks, read);
  ReadTriggers(spec, remarks, read);
  ReadWindow(spec, remarks, read);
  for (const auto& [name, value] : spec.items()) {
    if (value.is_null()) continue;
    const auto* unequal =
        std::find_if(kSpecFields.begin(), kSpecFields.end(),
                     [&key = name](const Unequal& one) { return key == one.field; });
    if (unequal != kSpecFields.end()) {
      remarks.NotCarriedOver("spec." + name, unequal->why);
    } else if (std::find(kKnownSpecFields.begin(), kKnownSpecFields.end(), name) ==
               kKnownSpecFields.end()) {
      remarks.NotCarriedOver("spec." + name, "not known to this version");
    }
  }
  return read;
}

}  // namespace lanekeeper::convert
