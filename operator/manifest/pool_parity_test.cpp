// Every manifest of crds/testdata against the verdict of a real API server, which crds/crd_test.py
// holds them to: what it refuses is refused here, by the same field, and nothing else is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "operator/manifest/manifest.h"

namespace lanekeeper {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<fs::path> Files(const char* folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".yaml") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string TextOf(const fs::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

bool IsBefore(const fs::path& file) { return file.stem().extension() == ".before"; }

// The second of two versions, refused because of the first: each is good by itself.
bool IsUpdate(const fs::path& file) {
  return fs::exists(file.parent_path() / (file.stem().string() + ".before.yaml"));
}

std::string Said(const ManifestPool& pool) {
  std::string text;
  for (const FieldProblem& one : pool.problems) text += one.field + ": " + one.problem + "\n";
  return text;
}

// "spec.lanes[0].name" of "# expect: spec\.lanes\[0\]\.name: Invalid value"; empty where the
// expectation begins with a message.
std::string ExpectedField(const std::string& text) {
  constexpr std::string_view kPrefix = "# expect: ";
  std::string line = text.substr(kPrefix.size(), text.find('\n') - kPrefix.size());
  std::erase(line, '\\');
  const std::string unknown = "unknown field \"";
  if (line.starts_with(unknown)) {
    return line.substr(unknown.size(), line.find('"', unknown.size()) - unknown.size());
  }
  const std::size_t end = line.find(": ");
  return line.starts_with("spec") ? line.substr(0, end) : "";
}

// The field itself, or one that is part of it.
bool Names(const ManifestPool& pool, const std::string& field) {
  return std::ranges::any_of(pool.problems,
                             [&](const FieldProblem& one) { return one.field.starts_with(field); });
}

TEST(PoolParityTest, WhatTheApiServerAcceptsIsAccepted) {
  int accepted = 0;
  for (const char* folder : {"crds/testdata/good", "crds/testdata/bad", "e2e/examples"}) {
    for (const fs::path& file : Files(folder)) {
      const bool is_bad = std::string_view(folder).ends_with("bad");
      if (is_bad && !IsBefore(file) && !IsUpdate(file)) continue;
      const Result<Manifest> manifest = ReadManifest(TextOf(file));
      ASSERT_TRUE(manifest) << file << ": " << manifest.error().message;
      for (const ManifestPool& pool : manifest->pools) {
        EXPECT_THAT(pool.problems, IsEmpty()) << file << ": " << Said(pool);
        EXPECT_TRUE(pool.pool) << file << ": " << pool.pool.error().message;
        ++accepted;
      }
    }
  }
  EXPECT_GE(accepted, 40);
}

TEST(PoolParityTest, WhatTheApiServerRefusesIsRefusedByTheSameField) {
  int refused = 0;
  for (const fs::path& file : Files("crds/testdata/bad")) {
    if (IsBefore(file) || IsUpdate(file)) continue;
    const std::string text = TextOf(file);
    const Result<Manifest> manifest = ReadManifest(text);
    ASSERT_TRUE(manifest) << file << ": " << manifest.error().message;
    ASSERT_EQ(manifest->pools.size(), 1U) << file;
    const ManifestPool& pool = manifest->pools.front();
    EXPECT_FALSE(pool.problems.empty()) << file << " is accepted";
    EXPECT_FALSE(pool.pool) << file;
    const std::string field = ExpectedField(text);
    // One that the schema puts at the template, because CEL cannot look at one or the other, and
    // the reader at the lane.
    const bool elsewhere = pool.problems.size() == 1 && field == "spec.template" &&
                           pool.problems[0].field.ends_with("].class");
    EXPECT_TRUE(elsewhere || Names(pool, field)) << file << ": not " << field << ": " << Said(pool);
    ++refused;
  }
  EXPECT_GE(refused, 140);
}

constexpr const char* kHead =
    "apiVersion: lanekeeper.dev/v1alpha1\nkind: WorkerPool\nmetadata: {name: a}\nspec:\n"
    "  template: {spec: {containers: [{name: w, image: i}]}}\n";

std::vector<FieldProblem> Problems(const std::string& yaml) {
  const Result<Manifest> manifest = ReadManifest(yaml);
  if (!manifest) return {{"manifest", manifest.error().message}};
  return manifest->pools.front().problems;
}

// Each was tried on an API server 1.34 with `kubectl apply --dry-run=server`.
TEST(PoolParityTest, SpellingsThatKubectlTakesAreTaken) {
  for (const char* lanes :
       {"lanes: [{name: a, workers: {slots: 8.0}}]", "lanes: [{name: a, queue: {maxDepth: 1e3}}]",
        "lanes: [{name: a, queue: , class: null}]", "paused: yes\n  lanes: [{name: a}]",
        "lanes: [{name: a, jobs: &j {attempts: 3}}, {name: b, jobs: {<<: *j, crashes: 4}}]"}) {
    EXPECT_THAT(Problems(std::string(kHead) + "  " + lanes), IsEmpty()) << lanes;
  }
}

TEST(PoolParityTest, WhatEveryObjectNeedsIsAskedFor) {
  const std::string lanes = "  lanes: [{name: a}]\n";
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = kHead + lanes;
    return Problems(text.replace(text.find(from), from.size(), to));
  };
  EXPECT_THAT(with("lanekeeper.dev/v1alpha1", "lanekeeper.dev/v1"),
              Contains(testing::Field(&FieldProblem::field, "apiVersion")));
  EXPECT_THAT(with("apiVersion: lanekeeper.dev/v1alpha1\n", ""),
              Contains(testing::Field(&FieldProblem::field, "apiVersion")));
  for (const auto& [metadata, field] : std::vector<std::pair<std::string, std::string>>{
           {"{name: a, lables: {a: b}}", "metadata.lables"},
           {"{name: a, labels: {a: 5}}", "metadata.labels.a"},
           {"{name: a, labels: {a: x y}}", "metadata.labels.a"},
           {"{name: a, labels: {b c: d}}", "metadata.labels.b c"},
           {"{name: a, annotations: {q r: s}}", "metadata.annotations.q r"},
           {"{name: A_b}", "metadata.name"},
           {"{}", "metadata.name"}}) {
    EXPECT_THAT(with("{name: a}", metadata), Contains(testing::Field(&FieldProblem::field, field)))
        << metadata;
  }
  EXPECT_THAT(Problems(kHead + lanes + "sepc: 1\n"),
              Contains(FieldProblem{"sepc", "unknown field; did you mean spec?"}));
}

TEST(PoolParityTest, LimitsOfTheSchemaAreHeld) {
  const std::string long_value(131073, 'x');
  const auto problems = Problems(
      "apiVersion: lanekeeper.dev/v1alpha1\nkind: WorkerPool\nmetadata: {name: a}\nspec:\n"
      "  template: {spec: {containers: [{name: w, image: i, env: [{name: X, value: " +
      long_value + "}]}]}}\n  lanes: [{name: a}]\n");
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0].field, "spec.template.spec.containers[0].env[0].value");
  EXPECT_THAT(problems[0].problem, HasSubstr("131072"));
}

}  // namespace
}  // namespace lanekeeper
