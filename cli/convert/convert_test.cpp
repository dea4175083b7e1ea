#include "cli/convert/convert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "cli/convert/convert_command.h"
#include "operator/manifest/manifest.h"

namespace lanekeeper::convert {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string TextOf(const fs::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

std::vector<std::string> Cases() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator("cli/convert/testdata")) {
    const std::string file = entry.path().filename().string();
    if (file.ends_with(".in.yaml")) names.push_back(file.substr(0, file.find('.')));
  }
  std::sort(names.begin(), names.end());
  return names;
}

// X.in.yaml becomes X.out.yaml, or is refused with the lines of X.err.txt. With
// LANEKEEPER_WRITE_GOLDEN in the environment they are written instead: read the difference.
TEST(ConvertTest, EveryExampleBecomesWhatStandsBesideIt) {
  const std::vector<std::string> names = Cases();
  ASSERT_GE(names.size(), 8U);
  for (const std::string& name : names) {
    const fs::path folder = "cli/convert/testdata";
    const Result<Converted> made =
        Convert({{name + ".in.yaml", TextOf(folder / (name + ".in.yaml"))}}, {});
    const fs::path file = folder / (name + (made ? ".out.yaml" : ".err.txt"));
    const std::string text = made ? made->yaml : made.error().message + "\n";
    if (std::getenv("LANEKEEPER_WRITE_GOLDEN") != nullptr) std::ofstream(file) << text;
    EXPECT_EQ(text, TextOf(file)) << file;
    if (!made) continue;
    const Result<Manifest> manifest = ReadManifest(made->yaml);
    ASSERT_TRUE(manifest) << name << ": " << manifest.error().message;
    for (const ManifestPool& pool : manifest->pools) EXPECT_TRUE(pool.problems.empty()) << name;
    // What is on standard error is also in the file, those about other documents excepted.
    for (const std::string& note : made->notes) {
      if (!note.starts_with("passed over") && note.find("ScaledJob") == std::string::npos) {
        EXPECT_THAT(made->yaml, HasSubstr("# " + note + "\n"));
      }
    }
  }
}

constexpr const char* kDeployment =
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: app, namespace: studio}\n"
    "spec: {template: {spec: {containers: [{name: app, image: 'app:1'}]}}}\n---\n";

std::string Scaled(const std::string& spec, const std::string& metadata = "") {
  return "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: app, namespace: "
         "studio" +
         metadata + "}\nspec:\n  scaleTargetRef: {name: app}\n" + spec;
}

constexpr const char* kTrigger =
    "  triggers: [{type: nats-jetstream, metadata: {stream: JOBS, consumer: render}}]\n";

Result<Converted> Made(const std::string& scaled) {
  return Convert({{"in.yaml", kDeployment + scaled}}, {});
}

// The first pool that comes of it; ends the test when there is none.
WorkerPool PoolOf(const std::string& scaled) {
  const Result<Converted> made = Made(scaled);
  EXPECT_TRUE(made) << made.error().message;
  Result<WorkerPool> pool = ReadPool(made ? made->yaml : "");
  EXPECT_TRUE(pool) << pool.error().message;
  return pool ? *pool : WorkerPool{};
}

TEST(ConvertTest, DefaultsAreThoseOfKeda) {
  const WorkerPool pool = PoolOf(Scaled(kTrigger));
  ASSERT_EQ(pool.lanes.size(), 1U);
  const Lane& lane = pool.lanes[0];
  EXPECT_EQ(pool.key, (PoolKey{"studio", "app"}));
  EXPECT_EQ(lane.name, "render");
  EXPECT_EQ(lane.queue.stream, "JOBS");
  EXPECT_TRUE(lane.queue.external);
  EXPECT_EQ(lane.workers.min, 0);
  EXPECT_EQ(lane.workers.max, 100);
  EXPECT_EQ(lane.scaling.jobs_per_worker, 10);
  EXPECT_EQ(lane.scaling.scale_down_window, std::chrono::minutes(5));
  EXPECT_FALSE(pool.paused);
}

TEST(ConvertTest, TheWindowIsTheLongerOfCooldownAndStabilization) {
  const std::string hpa =
      "  advanced: {horizontalPodAutoscalerConfig: {behavior: {scaleDown: "
      "{stabilizationWindowSeconds: 120}}}}\n";
  const auto window = [](const std::string& spec) {
    const WorkerPool pool = PoolOf(Scaled(kTrigger + spec));
    return pool.lanes.empty() ? 0
                              : pool.lanes[0].scaling.scale_down_window / std::chrono::seconds(1);
  };
  EXPECT_EQ(window("  cooldownPeriod: 45\n"), 45);
  EXPECT_EQ(window(hpa), 120);
  EXPECT_EQ(window(hpa + "  cooldownPeriod: 45\n"), 120);
  EXPECT_EQ(window(hpa + "  cooldownPeriod: 600\n"), 600);
  EXPECT_EQ(window(hpa + "  cooldownPeriod: 600\n  minReplicaCount: 1\n"), 120);
  EXPECT_EQ(window("  cooldownPeriod: 0\n"), 1);
}

TEST(ConvertTest, PausedIsPaused) {
  const auto paused = [](const std::string& annotation) {
    return PoolOf(Scaled(kTrigger, ", annotations: {" + annotation + "}")).paused;
  };
  EXPECT_TRUE(paused("autoscaling.keda.sh/paused: 'true'"));
  EXPECT_TRUE(paused("autoscaling.keda.sh/paused: ''"));
  EXPECT_FALSE(paused("autoscaling.keda.sh/paused: 'false'"));
  EXPECT_TRUE(paused("autoscaling.keda.sh/paused-replicas: '0'"));
}

TEST(ConvertTest, WhatIsWrongIsNamedWithDocumentAndField) {
  const auto refused = [](const std::string& text) {
    const Result<Converted> made = Convert({{"in.yaml", text}}, {});
    return made ? "converted" : made.error().message;
  };
  EXPECT_THAT(refused("kind: Pod\n"), HasSubstr("nothing to convert"));
  EXPECT_THAT(
      refused(Scaled(kTrigger)),
      StartsWith("in.yaml, document 1, ScaledObject studio/app: spec.scaleTargetRef.name: no "
                 "Deployment \"app\""));
  const std::string deployment = kDeployment;
  for (const auto& [spec, said] : std::vector<std::pair<std::string, std::string>>{
           {"  triggers: [{type: kafka, metadata: {}}]\n", "spec.triggers: none is of type"},
           {"  triggers: []\n", "spec.triggers: there is none"},
           {"  triggers: [{type: nats-jetstream, metadata: {stream: A}}]\n",
            "spec.triggers[0].metadata.consumer: is missing"},
           {std::string(kTrigger) + "  minReplicaCount: 5\n  maxReplicaCount: 2\n",
            "spec.minReplicaCount: 5 is more than maxReplicaCount, 2"},
           {std::string(kTrigger) + "  maxReplicaCount: '{{ .Values.max }}'\n",
            "spec.maxReplicaCount: \"{{ .Values.max }}\" is a template: render it first"},
           {std::string(kTrigger) + "  maxReplicaCount: many\n", "must be a whole number"},
           {"  triggers: [{type: nats-jetstream, metadata: {stream: '$(S)', consumer: c}}]\n",
            "spec.triggers[0].metadata.stream: \"$(S)\" is a template"},
           {"  triggers: [{type: nats-jetstream, metadata: {stream: a.b, consumer: c}}]\n",
            "is no name of a stream"}}) {
    EXPECT_THAT(
        refused(deployment + Scaled(spec)),
        AllOf(StartsWith("in.yaml, document 2, ScaledObject studio/app: "), HasSubstr(said)));
  }
  EXPECT_THAT(refused("apiVersion: keda.sh/v1alpha1\nkind: ScaledJob\nmetadata: {name: j}\n"),
              HasSubstr("ScaledJob j: spec.jobTargetRef: "));
  EXPECT_THAT(refused("a: {{ .Values.b }}\n"), AllOf(StartsWith("in.yaml: "), HasSubstr("render")));
}

TEST(ConvertTest, APoolCanHaveALaneForEachScaledObject) {
  const std::string other =
      "---\napiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: b, namespace: "
      "studio}\nspec:\n  scaleTargetRef: {name: app}\n  triggers: [{type: nats-jetstream, "
      "metadata: "
      "{stream: MORE, consumer: render}}]\n";
  const Result<Converted> made =
      Convert({{"in.yaml", kDeployment + Scaled(kTrigger) + other}}, {.pool = "media"});
  ASSERT_TRUE(made) << made.error().message;
  const Result<WorkerPool> pool = ReadPool(made->yaml);
  ASSERT_TRUE(pool) << pool.error().message;
  ASSERT_EQ(pool->lanes.size(), 2U);
  EXPECT_EQ(pool->lanes[0].name, "render");
  EXPECT_EQ(pool->lanes[1].name, "render-2");
  EXPECT_FALSE(Convert({{"in.yaml", kDeployment + Scaled(kTrigger)}}, {.pool = "No Name"}));
}

TEST(ConvertTest, ANameCannotWriteIntoTheManifest) {
  const Result<Converted> made = Made(Scaled(std::string(kTrigger) + "  \"x\\nkind: Pod\": 1\n"));
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_THAT(made->yaml, Not(HasSubstr("\nkind: Pod")));
  EXPECT_FALSE(Made(Scaled(kTrigger, ", labels: {a: b}").replace(52, 3, "\"a\\nb\"")));
}

TEST(ConvertCommandTest, TheManifestGoesOutAndTheNotesBeside) {
  std::istringstream in(kDeployment + Scaled(std::string(kTrigger) + "  pollingInterval: 5\n"));
  std::ostringstream out;
  std::ostringstream err;
  EXPECT_EQ(RunConvert({.files = {"-"}}, in, out, err), cli::Exit::kOk);
  EXPECT_THAT(out.str(), HasSubstr("\nkind: WorkerPool\n"));
  EXPECT_THAT(err.str(),
              HasSubstr("# not carried over: ScaledObject studio/app spec.pollingInterval: "));
  std::istringstream nothing("kind: Pod");
  std::ostringstream empty;
  EXPECT_EQ(RunConvert({.files = {"-"}}, nothing, empty, err), cli::Exit::kUsage);
  EXPECT_EQ(RunConvert({.files = {"/nonexistent"}}, nothing, empty, err), cli::Exit::kUsage);
  EXPECT_EQ(empty.str(), "");
}

}  // namespace
}  // namespace lanekeeper::convert
