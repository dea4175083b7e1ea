#include "operator/manifest/pool_schema.h"

#include <regex>
#include <string>
#include <utility>

#include "operator/manifest/crd_text.h"
#include "operator/manifest/yaml_json.h"

namespace lanekeeper {
namespace {

using nlohmann::json;

constexpr const char* kApiVersion = "lanekeeper.dev/v1alpha1";

// What people may write of an object's metadata, and what `kubectl get -o yaml` shows besides.
constexpr const char* kMetadataSchema = R"json({
  "type": "object",
  "properties": {
    "name": {"type": "string", "maxLength": 253,
             "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"},
    "namespace": {"type": "string", "maxLength": 63, "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"},
    "labels": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 63,
               "pattern": "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"}},
    "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
    "generateName": {"type": "string"},
    "finalizers": {"type": "array", "items": {"type": "string"}},
    "ownerReferences": {"type": "array"},
    "managedFields": {"type": "array"},
    "creationTimestamp": {"type": "string"},
    "deletionTimestamp": {"type": "string"},
    "deletionGracePeriodSeconds": {"type": "integer"},
    "generation": {"type": "integer"},
    "resourceVersion": {"type": "string"},
    "selfLink": {"type": "string"},
    "uid": {"type": "string"}
  }
})json";

// The schema of the one version there is.
json PoolSchema() {
  const auto crd = ReadYaml(kCrdText);
  json schema = crd->front().value["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
  schema["properties"]["metadata"] = json::parse(kMetadataSchema);
  return schema;
}

// "name" or "prefix/name" of a label or an annotation.
bool IsKey(const std::string& key) {
  static const std::regex kKey(
      "^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
      "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$");
  constexpr std::size_t kKeyMax = 253 + 1 + 63;
  return key.size() <= kKeyMax && std::regex_match(key, kKey);
}

void CheckKeys(const json& metadata, const char* map, std::vector<FieldProblem>& problems) {
  const auto found = metadata.find(map);
  if (found == metadata.end() || !found->is_object()) return;
  for (const auto& [key, value] : found->items()) {
    if (IsKey(key)) continue;
    problems.push_back({std::string("metadata.") + map + "." + key,
                        "the key must be letters, digits, '-', '_' and '.', with a DNS name and a "
                        "slash before it or without"});
  }
}

}  // namespace

std::vector<FieldProblem> CheckPoolObject(const json& object) {
  static const json kSchema = PoolSchema();
  std::vector<FieldProblem> problems;
  const auto version = object.find("apiVersion");
  if (version == object.end() || *version != kApiVersion) {
    problems.push_back(
        {"apiVersion",
         std::string("must be ") + kApiVersion +
             (version == object.end()
                  ? ", is missing"
                  : ", is " + version->dump(-1, ' ', false, json::error_handler_t::replace))});
  }
  json checked = object;
  checked.erase("status");
  checked.erase("apiVersion");
  for (FieldProblem& problem : CheckSchema(kSchema, checked, "")) {
    problems.push_back(std::move(problem));
  }
  const auto metadata = object.find("metadata");
  if (metadata == object.end() || !metadata->is_object() || !metadata->contains("name")) {
    problems.push_back({"metadata.name", "is missing"});
  }
  if (metadata != object.end() && metadata->is_object()) {
    CheckKeys(*metadata, "labels", problems);
    CheckKeys(*metadata, "annotations", problems);
  }
  return problems;
}

}  // namespace lanekeeper
