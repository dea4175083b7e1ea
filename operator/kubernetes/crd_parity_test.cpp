// The reader against the examples of crds/testdata: what the API server lets through can be read,
// and what it refuses is refused here too, because a local file has no API server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "operator/kubernetes/deployment_manifest.h"
#include "operator/kubernetes/worker_pool_json.h"

namespace lanekeeper::kubernetes {
namespace {

using nlohmann::json;

// Plain scalars as YAML 1.2 JSON types; quoted ones are strings.
json ToJson(const YAML::Node& node) {
  if (node.IsMap()) {
    json object = json::object();
    for (const auto& entry : node) object[entry.first.as<std::string>()] = ToJson(entry.second);
    return object;
  }
  if (node.IsSequence()) {
    json list = json::array();
    for (const YAML::Node& entry : node) list.push_back(ToJson(entry));
    return list;
  }
  if (!node.IsScalar()) return nullptr;
  const std::string text = node.as<std::string>();
  if (node.Tag() == "!") return text;  // Quoted.
  const json plain = json::parse(text, nullptr, false);
  return plain.is_number() || plain.is_boolean() || plain.is_null() ? plain : json(text);
}

// Every WorkerPool of a file.
std::vector<json> Pools(const std::filesystem::path& file) {
  std::vector<json> pools;
  for (const YAML::Node& document : YAML::LoadAllFromFile(file.string())) {
    json object = ToJson(document);
    if (object.is_object() && object.value("kind", "") == "WorkerPool") {
      pools.push_back(std::move(object));
    }
  }
  return pools;
}

std::vector<std::filesystem::path> Files(const char* directory) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().extension() == ".yaml") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

TEST(CrdParity, EveryAcceptedPoolCanBeReadAndDeployed) {
  int pools = 0;
  for (const char* directory : {"crds/testdata/good", "e2e/examples"}) {
    for (const std::filesystem::path& file : Files(directory)) {
      for (const json& object : Pools(file)) {
        const Result<WorkerPool> pool = WorkerPoolFromJson(object);
        EXPECT_TRUE(pool) << file << ": " << pool.error().message;
        if (!pool) continue;
        ++pools;
        for (const Lane& lane : pool->lanes) {
          EXPECT_TRUE(DeploymentManifest(*pool, lane, 1, {})) << file << " " << lane.name;
        }
      }
    }
  }
  EXPECT_GE(pools, 10);
}

// Refused by the schema and not by the reader, each for one of these reasons.
bool IsTheServersBusiness(const std::string& file) {
  // A change of something that cannot change: the reader sees one version only.
  if (file.rfind("update-", 0) == 0) return true;
  // Unknown fields are for later versions.
  if (file.rfind("unknown-", 0) == 0) return true;
  // Parts of the pod template the operator does not rely on: the Deployment would be refused.
  static const std::set<std::string> kPodTemplate = {"container-image-with-space.yaml",
                                                     "container-name-no-dns-label.yaml",
                                                     "pod-label-with-space.yaml", "pod-name.yaml"};
  return kPodTemplate.count(file) != 0;
}

TEST(CrdParity, EveryRefusedPoolIsRefused) {
  int refused = 0;
  for (const std::filesystem::path& file : Files("crds/testdata/bad")) {
    const std::string name = file.filename().string();
    if (IsTheServersBusiness(name)) continue;
    for (const json& object : Pools(file)) {
      const Result<WorkerPool> pool = WorkerPoolFromJson(object);
      EXPECT_FALSE(pool) << name;
      if (pool) continue;
      ++refused;
      EXPECT_EQ(pool.error().kind, ErrorKind::kInvalid) << name;
    }
  }
  EXPECT_GE(refused, 50);
}

}  // namespace
}  // namespace lanekeeper::kubernetes
