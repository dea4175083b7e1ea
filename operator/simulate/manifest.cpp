#include "operator/simulate/manifest.h"

#include <yaml-cpp/yaml.h>

#include <nlohmann/json.hpp>

#include "operator/kubernetes/worker_pool_json.h"

namespace lanekeeper::simulate {
namespace {

using nlohmann::json;

// Deeper than any pod template; a file that nests without end must not take the stack with it.
constexpr int kDepthMax = 64;

// Plain scalars as YAML 1.2's JSON types; quoted ones are strings.
json ToJson(const YAML::Node& node, int depth) {
  if (depth > kDepthMax) throw YAML::Exception(node.Mark(), "nested too deeply");
  if (node.IsMap()) {
    json object = json::object();
    for (const auto& entry : node) {
      object[entry.first.as<std::string>()] = ToJson(entry.second, depth + 1);
    }
    return object;
  }
  if (node.IsSequence()) {
    json list = json::array();
    for (const YAML::Node& entry : node) list.push_back(ToJson(entry, depth + 1));
    return list;
  }
  if (!node.IsScalar()) return nullptr;
  const auto text = node.as<std::string>();
  if (node.Tag() == "!") return text;
  json plain = json::parse(text, nullptr, false);
  return plain.is_number() || plain.is_boolean() || plain.is_null() ? plain : json(text);
}

}  // namespace

Result<WorkerPool> ReadPool(const std::string& yaml) {
  try {
    for (const YAML::Node& document : YAML::LoadAll(yaml)) {
      const json object = ToJson(document, 0);
      if (!object.is_object() || object.value("kind", "") != "WorkerPool") continue;
      return kubernetes::WorkerPoolFromJson(object);
    }
  } catch (const YAML::Exception& error) {
    return Fail(ErrorKind::kInvalid, std::string("not YAML: ") + error.what());
  } catch (const json::exception& error) {
    return Fail(ErrorKind::kInvalid, std::string("not a WorkerPool: ") + error.what());
  }
  return Fail(ErrorKind::kNotFound, "no document with \"kind: WorkerPool\"");
}

}  // namespace lanekeeper::simulate
