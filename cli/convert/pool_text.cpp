#include "cli/convert/pool_text.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "cli/convert/json_read.h"
#include "operator/manifest/yaml_text.h"

namespace lanekeeper::convert {
namespace {

constexpr std::size_t kChosenNameMax = 30;
// A Deployment that gives its pods longer than this has jobs that take longer, too.
constexpr std::int64_t kLongGraceSeconds = 120;
constexpr std::int64_t kGraceSecondsMax = 169 * 3600;

std::string Duration(std::int64_t seconds) {
  if (seconds % 3600 == 0) return std::to_string(seconds / 3600) + "h";
  if (seconds % 60 == 0) return std::to_string(seconds / 60) + "m";
  return std::to_string(seconds) + "s";
}

// `wanted`, or with a number behind it; taken from then on.
std::string FreeName(const std::string& pool, const std::string& wanted,
                     std::set<std::string>& taken, const std::set<std::string>& deployments) {
  for (int n = 1;; ++n) {
    const std::string suffix = n == 1 ? "" : "-" + std::to_string(n);
    std::string name = wanted.substr(0, kChosenNameMax - suffix.size());
    while (name.ends_with('-')) name.pop_back();
    name += suffix;
    if (deployments.contains(pool + "-" + name)) continue;
    if (taken.insert(name).second) return name;
  }
}

std::string ClassOf(const PodTemplate& pod_template) {
  if (pod_template.asks_for_gpu) return "Gpu";
  return pod_template.grace_seconds.value_or(0) >= kLongGraceSeconds ? "Long" : "Short";
}

Json LaneOf(const std::string& name, const Source& source, const QueueTrigger& trigger) {
  Json lane;
  lane["name"] = name;
  lane["class"] = ClassOf(source.pod_template);
  lane["queue"] = {{"stream", trigger.stream}, {"consumer", trigger.consumer}};
  lane["workers"] = {{"min", source.scaled.workers_min}, {"max", source.scaled.workers_max}};
  if (source.pod_template.grace_seconds) {
    lane["workers"]["grace"] =
        Duration(std::clamp<std::int64_t>(*source.pod_template.grace_seconds, 1, kGraceSecondsMax));
  }
  lane["scaling"] = {{"jobsPerWorker", trigger.lag_threshold},
                     {"scaleDownWindow", Duration(source.scaled.window_seconds)}};
  return lane;
}

void Assume(Source& source, const std::string& text) { source.notes.push_back("assumed: " + text); }

void AddLanes(const std::string& pool, Source& source, bool own_template,
              const std::set<std::string>& deployments, std::set<std::string>& taken, Json& lanes) {
  const ScaledObject& scaled = source.scaled;
  for (const QueueTrigger& trigger : scaled.triggers) {
    const std::string wanted = NameOf(trigger.name.empty() ? trigger.consumer : trigger.name);
    Json lane = LaneOf(FreeName(pool, wanted, taken, deployments), source, trigger);
    if (own_template) lane["template"] = source.pod_template.value;
    lanes.push_back(std::move(lane));
  }
  const std::string lane_class = ClassOf(source.pod_template);
  if (lane_class == "Short") {
    Assume(source,
           "lanes[].class: Short, which KEDA does not know: jobs of at most 30s; with the worker "
           "runtime set class: Long or jobs.timeout where they take longer");
  } else if (lane_class == "Long") {
    Assume(source, "lanes[].class: Long, because the pods have " +
                       Duration(*source.pod_template.grace_seconds) + " for their end");
  }
  if (scaled.triggers.size() > 1) {
    Assume(source,
           "lanes[]: one for each trigger, with workers of its own, where KEDA had one Deployment "
           "for all; the consumer of a worker's lane is in its environment, LANEKEEPER_STREAM and "
           "LANEKEEPER_CONSUMER: let it pull from that one");
    if (scaled.workers_min > 0) {
      Assume(source, "workers.min: " + std::to_string(scaled.workers_min) +
                         " for each lane, where KEDA had as many for all");
    }
  }
}

// KEDA's maximum was for all triggers of an object; lanes have one each.
void AddBudget(const std::vector<Source>& sources, Json& spec) {
  if (sources.size() != 1 || sources[0].scaled.triggers.size() < 2) return;
  const ScaledObject& scaled = sources[0].scaled;
  const auto lanes = static_cast<std::int64_t>(scaled.triggers.size());
  spec["budget"] = {{"workers", std::max(scaled.workers_max, scaled.workers_min * lanes)}};
}

std::string Ref(const ScaledObject& scaled, const std::string& name) {
  return OneLine(scaled.object_namespace.empty() ? name : scaled.object_namespace + "/" + name);
}

std::string NamespaceFlag(const ScaledObject& scaled) {
  return scaled.object_namespace.empty() ? "" : OneLine(" -n " + scaled.object_namespace);
}

// A program that pulls by itself.
constexpr const char* kOwnProgram = R"(#
# The workers run your own program, and it pulls from its consumer as before. The operator sets the number of
# its pods by the depth of the queue, waiting and running jobs together, as KEDA did. It does not hear from
# the program what it runs, so that it removes pods only while no job of the lane runs at all; and timeout,
# attempts, crashes, back-off, dead letters, records and cancelling of jobs are not in force: your consumer's
# ack_wait and max_deliver are.
# With the worker runtime in the pod they are, and idle workers go while others are busy. It pulls and
# acknowledges, and hands each job to your code: a program that stays (--serve-exec), one for each job (--exec),
# or an HTTP server beside it (--http-url); see worker-runtime/HANDLERS.md. For example, with your program put on
# top of the image of the worker runtime:
#   command: [lanekeeper-worker, --serve-exec, /app/your-program]
# Then take out the readinessProbe that stands in for the runtime's own.
)";

}  // namespace

std::string NameOf(const std::string& text) {
  std::string name;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool fits = byte < 0x80 && std::isalnum(byte) != 0;
    if (fits) {
      name += static_cast<char>(std::tolower(byte));
    } else if (!name.empty() && name.back() != '-') {
      name += '-';
    }
  }
  if (!name.empty() && std::isdigit(static_cast<unsigned char>(name.front())) != 0) {
    name.insert(0, "q-");
  }
  name = name.substr(0, kChosenNameMax);
  while (name.ends_with('-')) name.pop_back();
  return name.empty() ? "jobs" : name;
}

Json PoolOf(const std::string& name, std::vector<Source>& sources,
            const std::set<std::string>& deployments) {
  Json metadata = {{"name", name}};
  if (!sources[0].scaled.object_namespace.empty()) {
    metadata["namespace"] = sources[0].scaled.object_namespace;
  }
  const bool one_template = std::ranges::all_of(sources, [&](const Source& source) {
    return source.pod_template.value == sources[0].pod_template.value;
  });
  Json spec = Json::object();
  if (std::ranges::all_of(sources, [](const Source& source) { return source.scaled.paused; })) {
    spec["paused"] = true;
  } else {
    for (Source& source : sources) {
      if (source.scaled.paused) {
        Assume(source,
               "spec.paused: left out, because other ScaledObjects of this pool are not "
               "paused; scaling.mode: Observe holds one lane");
      }
    }
  }
  if (one_template) spec["template"] = sources[0].pod_template.value;
  Json lanes = Json::array();
  std::set<std::string> taken;
  for (Source& source : sources) {
    AddLanes(name, source, !one_template, deployments, taken, lanes);
  }
  spec["lanes"] = std::move(lanes);
  AddBudget(sources, spec);
  return {{"apiVersion", "lanekeeper.dev/v1alpha1"},
          {"kind", "WorkerPool"},
          {"metadata", std::move(metadata)},
          {"spec", std::move(spec)}};
}

std::string PoolText(const Json& pool, const std::vector<Source>& sources) {
  std::string text = "# Made by `lanekeeper convert` of";
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const ScaledObject& scaled = sources[i].scaled;
    text += std::string(i == 0 ? "" : ",") + " ScaledObject " + Ref(scaled, scaled.name) +
            " and Deployment " + Ref(scaled, scaled.deployment);
  }
  text += ".\n#\n";
  for (const Source& source : sources) {
    for (const std::string& note : source.notes) text += "# " + note + "\n";
  }
  const bool own_program = std::ranges::any_of(
      sources, [](const Source& source) { return !source.pod_template.runs_runtime; });
  if (own_program) text += kOwnProgram;
  text += "#\n# How to go over; both sets of workers may pull from a consumer meanwhile:\n";
  for (const Source& source : sources) {
    text += "#   kubectl delete scaledobject " + source.scaled.name + NamespaceFlag(source.scaled) +
            "   # its Deployment keeps its pods\n";
  }
  text += "#   kubectl apply -f THIS_FILE\n";
  std::set<std::string> deleted;
  for (const Source& source : sources) {
    if (!deleted.insert(source.scaled.deployment).second) continue;
    text += "#   kubectl delete deployment " + source.scaled.deployment +
            NamespaceFlag(source.scaled) + "   # once the new workers are ready\n";
  }
  return text + WriteYaml(pool);
}

}  // namespace lanekeeper::convert
