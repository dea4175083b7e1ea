#include "operator/kubernetes/worker_pool_json.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "operator/kubernetes/gpu_limits.h"
#include "operator/kubernetes/json_access.h"
#include "operator/kubernetes/json_fields.h"
#include "operator/kubernetes/object_names.h"
#include "operator/kubernetes/pool_nats_json.h"
#include "worker-runtime/job/codec.h"
#include "worker-runtime/job/names.h"

namespace lanekeeper::kubernetes {
namespace {

using nlohmann::json;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::size_t kLanesMax = 16;
constexpr std::size_t kRoutesMax = 128;
constexpr std::size_t kPoolNameMax = 30;
constexpr std::size_t kLaneNameMax = 30;
constexpr std::size_t kContainersMax = 16;
constexpr std::size_t kStreamNameMax = 255;
constexpr int kGpusMax = 64;

struct ClassDefaults {
  milliseconds timeout;
  int slots;
  milliseconds grace_over_timeout;
  milliseconds scale_down_window;
  int window_cold_starts;  // Unless the lane names a window.
};

ClassDefaults DefaultsOf(LaneClass lane_class) {
  switch (lane_class) {
    case LaneClass::kShort:
      return {seconds(30), 8, seconds(10), seconds(15), 1};
    case LaneClass::kLong:
      return {hours(6), 1, seconds(30), seconds(60), 1};
    case LaneClass::kGpu:
      break;
  }
  return {hours(1), 1, seconds(30), seconds(60), 10};
}

// 0 to 64, written in one way only.
bool IsGpuCount(const json& limit) {
  const std::string text = limit.is_string() ? limit.get<std::string>() : DumpJson(limit);
  int count = -1;
  std::from_chars(text.data(), text.data() + text.size(), count);
  return count >= 0 && count <= kGpusMax && std::to_string(count) == text;
}

bool IsLaneName(std::string_view name) {
  if (name.empty() || name.size() > kLaneNameMax) return false;
  if (name.front() < 'a' || name.front() > 'z' || name.back() == '-') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

// As the worker reads Lk-Type.
bool IsJobType(std::string_view type) {
  if (type.empty() || type.size() > kJobTypeBytesMax) return false;
  return std::all_of(type.begin(), type.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("._-/:").find(c) != std::string_view::npos;
  });
}

// A stream or consumer name as NATS takes it.
bool IsQueueName(std::string_view name) {
  if (name.empty() || name.size() > kStreamNameMax) return false;
  return name.find_first_of(" \t\r\n\f\v.*>/\\") == std::string_view::npos;
}

void CheckLimits(const Fields& container) {
  const Fields limits = container.Object("resources").Object("limits");
  if (limits.value() == nullptr) return;
  for (const auto& [name, limit] : limits.value()->items()) {
    if (!limit.is_string() && !limit.is_number_integer()) {
      limits.Refuse(name, "must be a string or a whole number: write half a CPU as 500m");
    } else if (IsGpuResource(name) && !IsGpuCount(limit)) {
      limits.Refuse(name, "must be a whole number of GPUs from 0 to 64, is " + DumpJson(limit));
    }
  }
}

void CheckContainer(const Fields& container, std::set<std::string>& names) {
  const std::string name = container.Text("name", "");
  if (name.empty()) {
    container.Refuse("name", "is missing");
  } else if (!names.insert(name).second) {
    container.Refuse("name", "\"" + name + "\" is used twice");
  }
  if (container.Text("image", "").empty()) container.Refuse("image", "is missing");
  std::set<std::string> variables;
  for (const Fields& variable : container.List("env")) {
    const std::string variable_name = variable.Text("name", "");
    if (variable_name.empty()) {
      variable.Refuse("name", "is missing");
    } else if (variable_name.rfind("LANEKEEPER_", 0) == 0) {
      variable.Refuse("name", "\"" + variable_name +
                                  "\": names that start with LANEKEEPER_ are reserved for the "
                                  "operator");
    } else if (!variables.insert(variable_name).second) {
      variable.Refuse("name", "\"" + variable_name + "\" is used twice");
    }
    variable.Text("value", "");
  }
  CheckLimits(container);
}

bool IsReserved(std::string_view key) {
  return key.substr(0, kOwnLabelPrefix.size()) == kOwnLabelPrefix;
}

// Only what the operator relies on; the rest is for Kubernetes to judge.
void CheckTemplate(const Fields& pod_template) {
  const Fields labels = pod_template.Object("metadata").Object("labels");
  for (const std::string& label : labels.Names()) {
    labels.Text(label, "");
    if (IsReserved(label)) {
      labels.Refuse(label,
                    "label keys that start with lanekeeper.dev/ are reserved for the operator");
    }
  }
  const Fields annotations = pod_template.Object("metadata").Object("annotations");
  for (const std::string& annotation : annotations.Names()) {
    annotations.Text(annotation, "");
    if (annotation == kAnnotationDeletionCost) {
      annotations.Refuse(annotation, "is set by the operator, for workers that may go first");
    } else if (IsReserved(annotation)) {
      annotations.Refuse(
          annotation,
          "annotation keys that start with lanekeeper.dev/ are reserved for the operator");
    }
  }

  const Fields spec = pod_template.Object("spec");
  if (spec.Has("terminationGracePeriodSeconds")) {
    spec.Refuse("terminationGracePeriodSeconds",
                "is set by the operator: use workers.grace of the lane");
  }
  if (spec.Text("restartPolicy", "Always") != "Always") {
    spec.Refuse("restartPolicy", "must be Always, or left out");
  }
  const std::vector<Fields> containers = spec.List("containers");
  if (containers.empty() || containers.size() > kContainersMax) {
    spec.Refuse("containers",
                "must have 1 to 16 entries, has " + std::to_string(containers.size()));
  }
  std::set<std::string> names;
  for (const Fields& container : containers) CheckContainer(container, names);
  for (const Fields& container : spec.List("initContainers")) CheckLimits(container);
  RefuseNatsVolume(spec);
}

// The lane's own template, or else the pool's; nullptr when there is none.
const json* TemplateOf(const Fields& spec, const Fields& lane) {
  const Fields& owner = lane.Has("template") ? lane : spec;
  return owner.Object("template").value();
}

LaneQueue ReadQueue(const Fields& fields, const LaneKey& key) {
  LaneQueue queue;
  queue.external = fields.Has("stream") || fields.Has("consumer");
  if (queue.external) {
    for (const char* name : {"stream", "consumer"}) {
      if (!fields.Has(name)) {
        fields.Refuse(name, "is required: stream and consumer are set together");
      } else if (!IsQueueName(fields.Text(name, "-"))) {
        fields.Refuse(name,
                      "must be 1 to 255 characters without white space and none of . * > / \\");
      }
    }
    // Another pool's lane, or the records of all of them.
    if (const std::string stream = fields.Text("stream", "");
        stream.starts_with("LK_") || stream.starts_with("KV_LK_")) {
      fields.Refuse("stream", "must not start with LK_ or KV_LK_: these are Lanekeeper's own");
    }
    for (const char* name : {"maxDepth", "storage", "replicas"}) {
      if (fields.Has(name)) {
        fields.Refuse(name, "cannot be set for an existing stream: it belongs to that stream");
      }
    }
    queue.stream = fields.Text("stream", "");
    queue.consumer = fields.Text("consumer", "");
    return queue;
  }
  queue.stream = JobStreamName(key);
  queue.consumer = std::string(kConsumerName);
  queue.depth_max = fields.Integer("maxDepth", 10000, 1, 100'000'000);
  queue.storage =
      fields.Choice("storage", {"File", "Memory"}) == 1 ? StorageKind::kMemory : StorageKind::kFile;
  queue.replicas = static_cast<int>(fields.Integer("replicas", 1, 1, 5));
  if (queue.replicas == 2 || queue.replicas == 4) {
    fields.Refuse("replicas", "must be 1, 3 or 5, is " + std::to_string(queue.replicas));
  }
  return queue;
}

LaneJobs ReadJobs(const Fields& fields, const ClassDefaults& defaults) {
  LaneJobs jobs;
  jobs.timeout = fields.Duration("timeout", defaults.timeout, milliseconds(1), hours(168));
  jobs.attempts_max = static_cast<int>(fields.Integer("attempts", 5, 1, 100));
  jobs.crashes_max = static_cast<int>(fields.Integer("crashes", 2, 1, 100));
  constexpr Tracking kTrackings[] = {Tracking::kFull, Tracking::kFailures, Tracking::kNone};
  jobs.tracking = kTrackings[fields.Choice("tracking", {"Full", "Failures", "None"})];
  const Fields overrun = fields.Object("onOverrun");
  jobs.overrun_lane = overrun.Text("moveTo", "");
  if (overrun.value() != nullptr && jobs.overrun_lane.empty()) {
    overrun.Refuse("moveTo", "is missing");
  } else if (overrun.value() != nullptr && jobs.tracking == Tracking::kNone) {
    fields.Refuse("onOverrun", "needs the jobs' records: set tracking to Full or Failures");
  }
  const Fields backoff = fields.Object("backoff");
  jobs.backoff.initial = backoff.Duration("initial", seconds(1), milliseconds(1), hours(168));
  jobs.backoff.max = backoff.Duration("max", minutes(5), milliseconds(1), hours(168));
  if (jobs.backoff.initial > jobs.backoff.max) {
    backoff.Refuse("initial", "must not be more than max (default 5m)");
  }
  return jobs;
}

LaneWorkers ReadWorkers(const Fields& fields, const ClassDefaults& defaults, milliseconds timeout) {
  LaneWorkers workers;
  workers.min = static_cast<int>(fields.Integer("min", 0, 0, 10000));
  workers.max = static_cast<int>(fields.Integer("max", 10, 1, 10000));
  workers.slots = static_cast<int>(fields.Integer("slots", defaults.slots, 1, 1024));
  workers.grace =
      fields.Duration("grace", timeout + defaults.grace_over_timeout, seconds(1), hours(169));
  if (workers.min > workers.max) fields.Refuse("min", "must not be more than max (default 10)");
  return workers;
}

LaneScaling ReadScaling(const Fields& fields, const ClassDefaults& defaults, int slots) {
  LaneScaling scaling;
  scaling.jobs_per_worker = fields.Integer("jobsPerWorker", slots, 1, 1'000'000);
  if (fields.Has("targetWait")) {
    scaling.target_wait = fields.Duration("targetWait", minutes(1), milliseconds(1), hours(168));
    if (fields.Has("jobsPerWorker")) {
      fields.Refuse("targetWait",
                    "cannot be set together with jobsPerWorker: each is a policy of its own; leave "
                    "one of them out");
    }
  }
  scaling.scale_down_window =
      fields.Duration("scaleDownWindow", defaults.scale_down_window, milliseconds(1), hours(24));
  scaling.window_cold_starts = fields.Has("scaleDownWindow") ? 1 : defaults.window_cold_starts;
  scaling.mode =
      fields.Choice("mode", {"Act", "Observe"}) == 1 ? ScalingMode::kObserve : ScalingMode::kAct;
  return scaling;
}

AdmissionPolicy ReadAdmission(const Fields& fields) {
  AdmissionPolicy admission;
  if (fields.Has("maxWait")) {
    admission.wait_max = fields.Duration("maxWait", minutes(1), milliseconds(1), hours(168));
  }
  if (fields.Has("maxPerCaller")) {
    admission.caller_depth_max = fields.Integer("maxPerCaller", 1, 1, 100'000'000);
  }
  return admission;
}

// workers.gpus against what the lane's template asks for. Exactly Gpu lanes ask for GPUs.
void ReadGpus(const Fields& fields, const json& pod_spec, Lane& lane) {
  const Fields workers = fields.Object("workers");
  // One that is out of bounds is one problem, not also "none".
  const auto given =
      workers.Has("gpus") ? static_cast<int>(workers.Integer("gpus", 1, 0, kGpusMax)) : 0;
  const int limits = GpuLimitsOf(pod_spec).gpus;
  const int claims = ResourceClaimsOf(pod_spec);
  const bool template_asks = limits > 0 || claims > 0;
  if (lane.lane_class == LaneClass::kGpu) {
    lane.workers.gpus = given > 0 ? given : limits > 0 ? limits : claims;
    lane.workers.add_gpu_limit = given > 0 && claims == 0;
    if (given == 0 && !template_asks) {
      workers.Refuse("gpus",
                     "a Gpu lane must ask for a GPU: set workers.gpus, or a limit such as "
                     "nvidia.com/gpu or resourceClaims in its template");
    } else if (given > 0 && limits > 0) {
      workers.Refuse("gpus",
                     "cannot be set together with a GPU limit in the template: it is that limit; "
                     "leave one of them out");
    }
    return;
  }
  if (given > 0) workers.Refuse("gpus", "is only for lanes of class Gpu: set class to Gpu");
  if (!template_asks) return;
  if (fields.Has("template")) {
    fields.Refuse("template",
                  "asks for a GPU, by a limit or by resourceClaims: set class to Gpu, or take them "
                  "out");
  } else {
    fields.Refuse("class",
                  "must be Gpu, because spec.template asks for a GPU: set it, or give the lane a "
                  "template of its own");
  }
}

Lane ReadLane(const Fields& spec, const Fields& fields, const PoolKey& pool) {
  Lane lane;
  lane.name = fields.Text("name", "");
  if (!IsLaneName(lane.name)) {
    fields.Refuse("name", lane.name.empty()
                              ? "is missing"
                              : "\"" + lane.name +
                                    "\" must be at most 30 characters a-z, 0-9 and '-', begin "
                                    "with a letter and end with a letter or digit");
  }
  constexpr LaneClass kClasses[] = {LaneClass::kShort, LaneClass::kLong, LaneClass::kGpu};
  lane.lane_class = kClasses[fields.Choice("class", {"Short", "Long", "Gpu"})];
  const ClassDefaults defaults = DefaultsOf(lane.lane_class);

  lane.queue = ReadQueue(fields.Object("queue"), {pool.pool_namespace, pool.name, lane.name});
  lane.jobs = ReadJobs(fields.Object("jobs"), defaults);
  lane.workers = ReadWorkers(fields.Object("workers"), defaults, lane.jobs.timeout);
  lane.scaling = ReadScaling(fields.Object("scaling"), defaults, lane.workers.slots);
  lane.admission = ReadAdmission(fields.Object("admission"));
  if (fields.Has("template")) CheckTemplate(fields.Object("template"));
  const json* pod_template = TemplateOf(spec, fields);
  if (pod_template != nullptr) {
    lane.template_json = DumpJson(*pod_template);
    const json* pod_spec = At(*pod_template, {"spec"});
    ReadGpus(fields, pod_spec == nullptr ? json::object() : *pod_spec, lane);
  }
  return lane;
}

const Lane* LaneNamed(const std::vector<Lane>& lanes, const std::string& name) {
  const auto found = std::ranges::find(lanes, name, &Lane::name);
  return found == lanes.end() ? nullptr : &*found;
}

// Following moveTo from `lane` on comes to an end, within as many steps as there are lanes.
bool OverrunEnds(const std::vector<Lane>& lanes, const Lane& lane) {
  const Lane* at = &lane;
  for (std::size_t steps = 0; steps <= lanes.size(); ++steps) {
    if (at == nullptr || at->jobs.overrun_lane.empty()) return true;
    at = LaneNamed(lanes, at->jobs.overrun_lane);
  }
  return false;
}

// What stands against moving jobs from `lane` to where it says; empty when nothing does.
std::string OverrunProblem(const std::vector<Lane>& lanes, const Lane& lane) {
  const std::string name = "\"" + lane.jobs.overrun_lane + "\" ";
  const Lane* target = LaneNamed(lanes, lane.jobs.overrun_lane);
  if (target == nullptr || target == &lane) return name + "is not another lane of the pool";
  if (target->queue.external) {
    return name + "has an existing queue.stream: the operator does not know how to publish there";
  }
  if (target->jobs.tracking == Tracking::kNone) {
    return name + "has jobs.tracking None: the job's checkpoint and attempts would be lost";
  }
  if (!OverrunEnds(lanes, *target))
    return name + "leads round in a circle: it has to end somewhere";
  return "";
}

std::vector<Lane> ReadLanes(const Fields& spec, const PoolKey& pool) {
  const std::vector<Fields> entries = spec.List("lanes");
  if (entries.empty() || entries.size() > kLanesMax) {
    spec.Refuse("lanes", "must have 1 to 16 entries, has " + std::to_string(entries.size()));
  }
  std::vector<Lane> lanes;
  std::set<std::string> names;
  std::set<std::pair<std::string, std::string>> external_queues;
  for (const Fields& entry : entries) {
    if (lanes.size() == kLanesMax) break;
    lanes.push_back(ReadLane(spec, entry, pool));
    const Lane& lane = lanes.back();
    if (!names.insert(lane.name).second) {
      entry.Refuse("name", "\"" + lane.name + "\" is used twice");
    }
    if (lane.queue.external &&
        !external_queues.emplace(lane.queue.stream, lane.queue.consumer).second) {
      entry.Refuse("queue", "names the same stream and consumer as another lane");
    }
  }
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    if (lanes[i].jobs.overrun_lane.empty()) continue;
    const std::string problem = OverrunProblem(lanes, lanes[i]);
    if (!problem.empty()) entries[i].Object("jobs").Object("onOverrun").Refuse("moveTo", problem);
  }
  const bool every_lane_has_one = std::all_of(
      lanes.begin(), lanes.end(), [](const Lane& lane) { return !lane.template_json.empty(); });
  if (!every_lane_has_one) {
    spec.Refuse("template", "is required unless every lane has a template of its own");
  }
  return lanes;
}

std::vector<Route> ReadRoutes(const Fields& spec, const std::vector<Lane>& lanes) {
  const std::vector<Fields> entries = spec.List("routes");
  if (entries.size() > kRoutesMax) {
    spec.Refuse("routes", "must have at most 128 entries, has " + std::to_string(entries.size()));
  }
  std::vector<Route> routes;
  std::set<std::string> types;
  for (const Fields& entry : entries) {
    if (routes.size() == kRoutesMax) break;
    Route route{.type = entry.Text("type", ""), .lane = entry.Text("lane", "")};
    if (route.type.empty()) {
      entry.Refuse("type", "is missing");
    } else if (!IsJobType(route.type)) {
      entry.Refuse("type", "must be at most 128 letters, digits and characters of . _ - / :");
    } else if (!types.insert(route.type).second) {
      entry.Refuse("type", "\"" + route.type + "\" has a route already");
    }
    if (route.lane.empty()) {
      entry.Refuse("lane", "is missing");
    } else if (LaneNamed(lanes, route.lane) == nullptr) {
      entry.Refuse("lane", "\"" + route.lane + "\" is not a lane of the pool");
    }
    routes.push_back(std::move(route));
  }
  return routes;
}

scaling::PoolBudget ReadBudget(const Fields& fields) {
  scaling::PoolBudget budget;
  if (fields.Has("workers")) {
    budget.workers = static_cast<int>(fields.Integer("workers", 1, 1, 100'000));
  }
  if (fields.Has("gpus")) budget.gpus = static_cast<int>(fields.Integer("gpus", 0, 0, 100'000));
  return budget;
}

void ReadMetadata(const Fields& metadata, WorkerPool& pool) {
  pool.key.name = metadata.Text("name", "");
  pool.key.pool_namespace = metadata.Text("namespace", "default");
  pool.uid = metadata.Text("uid", "");
  pool.generation = IntegerAt(*metadata.value(), {"generation"});
  pool.deleting = metadata.Has("deletionTimestamp");
  for (const json& finalizer : ListAt(*metadata.value(), {"finalizers"})) {
    if (finalizer.is_string() && finalizer.get_ref<const std::string&>() == kFinalizer) {
      pool.has_finalizer = true;
    }
  }
  if (pool.key.name.empty()) return metadata.Refuse("name", "is missing");
  const Result<void> check = CheckLaneKey({pool.key.pool_namespace, pool.key.name, "lane"});
  if (!check) {
    metadata.Refuse("name", check.error().message);
  } else if (pool.key.name.size() > kPoolNameMax) {
    metadata.Refuse("name",
                    "must be at most 30 characters: <pool>-<lane> becomes the name of a "
                    "Deployment");
  }
}

}  // namespace

Result<WorkerPool> ParseWorkerPool(std::string_view text) {
  const json object = ParseJson(text);
  if (object.is_discarded()) return Fail(ErrorKind::kInvalid, "this is not JSON");
  return WorkerPoolFromJson(object);
}

Result<WorkerPool> WorkerPoolFromJson(const json& object) {
  Problems problems;
  const Fields root(&object, "", problems);
  const Fields metadata = root.Object("metadata");
  const Fields spec = root.Object("spec");
  if (metadata.value() == nullptr) root.Refuse("metadata", "is missing");
  if (spec.value() == nullptr) root.Refuse("spec", "is missing");
  if (!problems.empty()) return problems.AsError();

  WorkerPool pool;
  ReadMetadata(metadata, pool);
  pool.paused = spec.Flag("paused", false);
  pool.delete_queues = spec.Object("queue").Choice("deletePolicy", {"Retain", "Delete"}) == 1;
  if (spec.Has("template")) CheckTemplate(spec.Object("template"));
  pool.lanes = ReadLanes(spec, pool.key);
  pool.routes = ReadRoutes(spec, pool.lanes);
  pool.routing =
      spec.Choice("routing", {"Routes", "Learned"}) == 1 ? Routing::kLearned : Routing::kRoutes;
  pool.budget = ReadBudget(spec.Object("budget"));
  pool.nats = ReadPoolNats(spec.Object("nats"));
  for (Lane& lane : pool.lanes) lane.nats = pool.nats;
  if (!problems.empty()) return problems.AsError();
  return pool;
}

PoolKey PoolKeyFromJson(const json& object) {
  return {TextAt(object, {"metadata", "namespace"}), TextAt(object, {"metadata", "name"})};
}

}  // namespace lanekeeper::kubernetes
