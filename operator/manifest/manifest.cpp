#include "operator/manifest/manifest.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "operator/kubernetes/worker_pool_json.h"

namespace lanekeeper {
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

std::string KindOf(const json& object) {
  const auto kind = object.find("kind");
  return kind != object.end() && kind->is_string() ? kind->get<std::string>() : "";
}

Result<Manifest> ReadDocuments(const std::string& yaml) {
  Manifest manifest;
  for (const YAML::Node& document : YAML::LoadAll(yaml)) {
    const json object = ToJson(document, 0);
    if (!object.is_object()) continue;
    const std::string kind = KindOf(object);
    if (kind != "WorkerPool") {
      manifest.passed_over.push_back(kind);
      continue;
    }
    PoolKey key = kubernetes::PoolKeyFromJson(object);
    if (key.pool_namespace.empty()) key.pool_namespace = "default";
    const bool twice = std::ranges::any_of(
        manifest.pools, [&](const ManifestPool& other) { return other.key == key; });
    if (twice) {
      return Fail(ErrorKind::kInvalid, "two documents are WorkerPool " + ToString(key) +
                                           "; remove one, or name it otherwise");
    }
    manifest.pools.push_back({std::move(key), kubernetes::WorkerPoolFromJson(object)});
  }
  if (manifest.pools.empty()) {
    return Fail(ErrorKind::kNotFound, "no document with \"kind: WorkerPool\"");
  }
  return manifest;
}

}  // namespace

Result<Manifest> ReadManifest(const std::string& yaml) {
  try {
    return ReadDocuments(yaml);
  } catch (const YAML::Exception& error) {
    return Fail(ErrorKind::kInvalid, std::string("not YAML: ") + error.what());
  } catch (const json::exception& error) {
    return Fail(ErrorKind::kInvalid, std::string("not a WorkerPool: ") + error.what());
  }
}

Result<WorkerPool> ReadPool(const std::string& yaml) {
  Result<Manifest> manifest = ReadManifest(yaml);
  if (!manifest) return tl::unexpected<Error>(std::move(manifest).error());
  return std::move(manifest->pools.front().pool);
}

}  // namespace lanekeeper
