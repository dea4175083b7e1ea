#include "cli/convert/convert.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "cli/convert/json_read.h"
#include "cli/convert/pool_text.h"
#include "operator/manifest/manifest.h"
#include "operator/manifest/yaml_json.h"

namespace lanekeeper::convert {
namespace {

// What a lane's worth of output is made of; more than any cluster's namespace has.
constexpr std::size_t kScaledObjectsMax = 1000;

struct Object {
  std::string place;  // "deploy.yaml, document 2"
  std::string kind;
  std::string object_namespace;
  std::string name;
  Json value;
};

struct Objects {
  std::vector<Object> scaled;
  std::vector<Object> deployments;
  std::vector<Object> scaled_jobs;
  std::set<std::string> others;  // Kinds.
};

std::string TextAt(const Json& object, const char* outer, const char* name) {
  const Json* found = outer == nullptr ? &object : Find(object, outer);
  if (found != nullptr) found = Find(*found, name);
  return found != nullptr && found->is_string() ? found->get<std::string>() : "";
}

std::string NameAndSpace(const Object& object) {
  const std::string name = object.name.empty() ? "without a name" : object.name;
  return object.object_namespace.empty() ? name : object.object_namespace + "/" + name;
}

// "deploy.yaml, document 2, ScaledObject studio/render"
std::string WithPlace(const Object& object) {
  return object.place + ", " + object.kind + " " + NameAndSpace(object);
}

Result<Objects> Sort(const std::vector<ConvertInput>& inputs) {
  Objects objects;
  for (const ConvertInput& input : inputs) {
    auto read = ReadYamlInOrder(input.text);
    if (!read) return Wrap(std::move(read).error(), input.name);
    for (auto& [document, value] : *read) {
      if (!value.is_object()) continue;
      Object object{input.name + ", document " + std::to_string(document),
                    TextAt(value, nullptr, "kind"), TextAt(value, "metadata", "namespace"),
                    TextAt(value, "metadata", "name"), std::move(value)};
      const std::string version = TextAt(object.value, nullptr, "apiVersion");
      const bool of_keda = version.starts_with("keda.");
      if (of_keda && object.kind == "ScaledObject") {
        objects.scaled.push_back(std::move(object));
      } else if (of_keda && object.kind == "ScaledJob") {
        objects.scaled_jobs.push_back(std::move(object));
      } else if (version.starts_with("apps/") && object.kind == "Deployment") {
        objects.deployments.push_back(std::move(object));
      } else {
        objects.others.insert(object.kind.empty() ? "documents without a kind" : object.kind);
      }
    }
  }
  return objects;
}

// The Deployment of that name; one of the two may leave the namespace to kubectl's -n.
const Object* DeploymentOf(const Objects& objects, const ScaledObject& scaled) {
  const auto found = std::ranges::find_if(objects.deployments, [&](const Object& one) {
    return one.name == scaled.deployment &&
           (one.object_namespace == scaled.object_namespace || one.object_namespace.empty() ||
            scaled.object_namespace.empty());
  });
  return found == objects.deployments.end() ? nullptr : &*found;
}

void RemarkOnMetadata(const Object& object, RemarksOn& remarks) {
  const Json* metadata = Find(object.value, "metadata");
  const Json* labels = metadata == nullptr ? nullptr : Find(*metadata, "labels");
  if (labels != nullptr && labels->is_object() && !labels->empty()) {
    remarks.NotCarriedOver("metadata.labels", "labels of the pods are kept, these are not");
  }
}

Source ReadSource(const Objects& objects, const Object& object, Remarks& remarks) {
  Source source;
  Remarks own;
  RemarksOn on(object.kind + " " + NameAndSpace(object), own);
  source.scaled = ReadScaledObject(object.value, on);
  RemarkOnMetadata(object, on);
  if (object.name.empty()) on.Wrong("metadata.name", "is missing");
  const Object* deployment = DeploymentOf(objects, source.scaled);
  if (deployment != nullptr) {
    if (source.scaled.object_namespace.empty()) {
      source.scaled.object_namespace = deployment->object_namespace;
    }
    RemarksOn on_deployment("Deployment " + NameAndSpace(*deployment), own);
    source.pod_template = ReadPodTemplate(deployment->value, on_deployment);
  } else if (!source.scaled.deployment.empty()) {
    on.Wrong("spec.scaleTargetRef.name",
             "no Deployment \"" + source.scaled.deployment +
                 "\" among the documents: give it too, as in `kubectl get deployment " +
                 source.scaled.deployment + " -o yaml`");
  }
  for (const std::string& wrong : own.wrong) remarks.wrong.push_back(object.place + ", " + wrong);
  source.notes = std::move(own.notes);
  return source;
}

// What is to be converted, or a line for everything that stands against it.
Result<std::vector<Source>> ReadSources(const Objects& objects, Remarks& remarks) {
  const char* const kScaledJob =
      "pods of a ScaledJob end after a job, and workers stay: make its program the handler of a "
      "lane, `lanekeeper-worker --exec PROGRAM`, which starts it for each job";
  for (const Object& job : objects.scaled_jobs) {
    if (objects.scaled.empty()) {
      remarks.wrong.push_back(WithPlace(job) + ": spec.jobTargetRef: " + kScaledJob);
    } else {
      remarks.notes.push_back("not carried over: ScaledJob " + NameAndSpace(job) +
                              " spec.jobTargetRef: " + kScaledJob);
    }
  }
  if (objects.scaled.empty() && remarks.wrong.empty()) {
    return Fail(ErrorKind::kInvalid,
                "nothing to convert: no document is a ScaledObject of keda.sh");
  }
  if (objects.scaled.size() > kScaledObjectsMax) {
    return Fail(ErrorKind::kInvalid, "more than 1000 ScaledObjects: convert fewer at a time");
  }
  std::vector<Source> sources;
  std::set<std::string> seen;
  for (const Object& object : objects.scaled) {
    if (!object.name.empty() && !seen.insert(NameAndSpace(object)).second) {
      remarks.wrong.push_back(WithPlace(object) +
                              ": metadata.name: another document has the same; remove one");
      continue;
    }
    sources.push_back(ReadSource(objects, object, remarks));
  }
  if (remarks.wrong.empty()) return sources;
  std::string message;
  for (const std::string& wrong : remarks.wrong) message += (message.empty() ? "" : "\n") + wrong;
  return Fail(ErrorKind::kInvalid, message);
}

// Names of Deployments that are there already: "<pool>-<lane>" must be none of them.
std::set<std::string> DeploymentNames(const Objects& objects) {
  std::set<std::string> names;
  for (const Object& deployment : objects.deployments) names.insert(deployment.name);
  return names;
}

// Pools by their name, in the order of the input.
Result<std::vector<std::pair<std::string, std::vector<Source>>>> Group(
    std::vector<Source> sources, const ConvertOptions& options) {
  std::vector<std::pair<std::string, std::vector<Source>>> pools;
  if (!options.pool.empty()) {
    for (const Source& source : sources) {
      if (source.scaled.object_namespace == sources[0].scaled.object_namespace) continue;
      return Fail(ErrorKind::kInvalid, "--pool: the ScaledObjects are in namespaces \"" +
                                           sources[0].scaled.object_namespace + "\" and \"" +
                                           source.scaled.object_namespace + "\"; a pool is in one");
    }
    pools.emplace_back(options.pool, std::move(sources));
    return pools;
  }
  std::set<std::pair<std::string, std::string>> taken;
  for (Source& source : sources) {
    const std::string wanted = NameOf(source.scaled.deployment);
    std::string name = wanted;
    constexpr std::size_t kRoomForNumber = 26;
    for (int n = 2; !taken.emplace(source.scaled.object_namespace, name).second; ++n) {
      name = wanted.substr(0, kRoomForNumber) + "-" + std::to_string(n);
    }
    if (name != source.scaled.deployment) {
      source.notes.push_back("assumed: metadata.name: " + name +
                             ", because a pool's name has at most 30 characters a-z, 0-9 and '-' "
                             "and is there once");
    }
    pools.emplace_back(name, std::vector<Source>{});
    pools.back().second.push_back(std::move(source));
  }
  return pools;
}

// Our own manifest by our own rules: what they refuse stands in the Deployment's template.
Result<void> Check(const std::string& yaml) {
  const Result<Manifest> manifest = ReadManifest(yaml);
  if (!manifest) return Wrap(manifest.error(), "the WorkerPool that comes of it would be refused");
  std::string message;
  for (const ManifestPool& pool : manifest->pools) {
    for (const FieldProblem& one : pool.problems) {
      message += (message.empty() ? "" : "\n") + std::string("WorkerPool ") + ToString(pool.key) +
                 " that comes of it would be refused: " + one.field + ": " + one.problem;
    }
  }
  if (message.empty()) return {};
  return Fail(ErrorKind::kInvalid, message);
}

}  // namespace

Result<Converted> Convert(const std::vector<ConvertInput>& inputs, const ConvertOptions& options) {
  if (!options.pool.empty() && options.pool != NameOf(options.pool)) {
    return Fail(ErrorKind::kInvalid, "--pool: must be at most 30 characters a-z, 0-9 and '-'");
  }
  const Result<Objects> objects = Sort(inputs);
  if (!objects) return tl::unexpected<Error>(objects.error());
  Remarks remarks;
  Result<std::vector<Source>> sources = ReadSources(*objects, remarks);
  if (!sources) return tl::unexpected<Error>(std::move(sources).error());
  auto pools = Group(*std::move(sources), options);
  if (!pools) return tl::unexpected<Error>(std::move(pools).error());

  Converted converted;
  const std::set<std::string> deployments = DeploymentNames(*objects);
  for (auto& [name, of_pool] : *pools) {
    const Json pool = PoolOf(name, of_pool, deployments);
    converted.yaml += (converted.yaml.empty() ? "" : "---\n") + PoolText(pool, of_pool);
    for (const Source& source : of_pool) {
      converted.notes.insert(converted.notes.end(), source.notes.begin(), source.notes.end());
    }
  }
  for (std::string& note : remarks.notes) converted.notes.push_back(std::move(note));
  if (!objects->others.empty()) {
    std::string kinds;
    for (const std::string& kind : objects->others) {
      kinds += (kinds.empty() ? "" : ", ") + OneLine(kind);
    }
    converted.notes.push_back("passed over: " + kinds + ": they are not part of a pool; keep them");
  }
  const Result<void> check = Check(converted.yaml);
  if (!check) return tl::unexpected<Error>(check.error());
  return converted;
}

}  // namespace lanekeeper::convert
