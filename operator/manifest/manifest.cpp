#include "operator/manifest/manifest.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "operator/kubernetes/worker_pool_json.h"
#include "operator/manifest/pool_schema.h"
#include "operator/manifest/yaml_json.h"

namespace lanekeeper {
namespace {

using nlohmann::json;

std::string KindOf(const json& object) {
  const auto kind = object.find("kind");
  return kind != object.end() && kind->is_string() ? kind->get<std::string>() : "";
}

// Where the next problem begins in what the reader says: "<path>: <clause>; <path>: <clause>".
// Clauses have semicolons of their own, and no path after them.
std::size_t NextProblem(std::string_view text) {
  constexpr std::string_view kBetween = "; ";
  for (std::size_t at = text.find(kBetween); at != std::string_view::npos;
       at = text.find(kBetween, at + 1)) {
    const std::string_view rest = text.substr(at + kBetween.size());
    if (rest.starts_with("spec.") || rest.starts_with("metadata.")) return at;
  }
  return std::string_view::npos;
}

std::vector<FieldProblem> Split(std::string_view text) {
  std::vector<FieldProblem> problems;
  while (!text.empty()) {
    const std::size_t end = NextProblem(text);
    const std::string_view one = text.substr(0, end);
    const std::size_t colon = one.find(": ");
    if (colon == std::string_view::npos) {
      problems.push_back({"manifest", std::string(one)});
    } else {
      problems.push_back({std::string(one.substr(0, colon)), std::string(one.substr(colon + 2))});
    }
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 2);
  }
  return problems;
}

// "spec.lanes" of "spec.lanes[0].name".
bool IsWithin(std::string_view field, std::string_view outer) {
  if (!field.starts_with(outer)) return false;
  return field.size() == outer.size() || field[outer.size()] == '.' || field[outer.size()] == '[';
}

std::string Join(const std::vector<FieldProblem>& problems) {
  constexpr std::size_t kNamedMax = 8;
  std::string text;
  for (std::size_t i = 0; i < problems.size() && i < kNamedMax; ++i) {
    text += (i == 0 ? "" : "; ") + problems[i].field + ": " + problems[i].problem;
  }
  if (problems.size() > kNamedMax) {
    text += "; and " + std::to_string(problems.size() - kNamedMax) + " more";
  }
  return text;
}

// The reader knows the rules over several fields and words them best; the schema knows every field.
ManifestPool ReadOne(const json& object) {
  PoolKey key = kubernetes::PoolKeyFromJson(object);
  if (key.pool_namespace.empty()) key.pool_namespace = "default";
  ManifestPool read{std::move(key), kubernetes::WorkerPoolFromJson(object), {}};
  if (!read.pool) read.problems = Split(read.pool.error().message);
  const std::vector<FieldProblem> said = read.problems;
  for (FieldProblem& problem : CheckPoolObject(object)) {
    const bool known = std::ranges::any_of(said, [&](const FieldProblem& other) {
      return IsWithin(other.field, problem.field) || IsWithin(problem.field, other.field);
    });
    if (!known) read.problems.push_back(std::move(problem));
  }
  std::vector<FieldProblem> decisive;
  std::ranges::copy_if(read.problems, std::back_inserter(decisive),
                       [](const FieldProblem& problem) { return problem.field != "apiVersion"; });
  if (read.pool && !decisive.empty()) read.pool = Fail(ErrorKind::kInvalid, Join(decisive));
  return read;
}

}  // namespace

Result<Manifest> ReadManifest(const std::string& yaml) {
  const auto objects = ReadYaml(yaml);
  if (!objects) return tl::unexpected<Error>(objects.error());
  Manifest manifest;
  for (const auto& [document, object] : *objects) {
    if (!object.is_object()) continue;
    const std::string kind = KindOf(object);
    if (kind != "WorkerPool") {
      manifest.passed_over.push_back(kind);
      continue;
    }
    ManifestPool read = ReadOne(object);
    const bool twice = std::ranges::any_of(
        manifest.pools, [&](const ManifestPool& other) { return other.key == read.key; });
    if (twice) {
      return Fail(ErrorKind::kInvalid, "two documents are WorkerPool " + ToString(read.key) +
                                           "; remove one, or name it otherwise");
    }
    manifest.pools.push_back(std::move(read));
  }
  if (manifest.pools.empty()) {
    return Fail(ErrorKind::kNotFound, "no document with \"kind: WorkerPool\"");
  }
  return manifest;
}

Result<WorkerPool> ReadPool(const std::string& yaml) {
  Result<Manifest> manifest = ReadManifest(yaml);
  if (!manifest) return tl::unexpected<Error>(std::move(manifest).error());
  return std::move(manifest->pools.front().pool);
}

}  // namespace lanekeeper
