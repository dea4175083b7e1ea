#include "operator/kubernetes/deployment_manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "operator/control/ports.h"

namespace lanekeeper::kubernetes {
namespace {

using nlohmann::json;
using testing::HasSubstr;

WorkerPool Pool(const char* pod_template, LaneClass lane_class = LaneClass::kShort) {
  Lane lane{.name = "short",
            .lane_class = lane_class,
            .queue = {.stream = "LK_studio_media_short", .consumer = "workers"},
            .template_json = pod_template};
  lane.workers.grace = std::chrono::milliseconds(40001);
  return {.key = {"studio", "media"}, .uid = "p-1", .lanes = {lane}};
}

constexpr const char* kTemplate =
    R"({"spec":{"containers":[{"name":"side","image":"s"},{"name":"worker","image":"w",
        "env":[{"name":"MODE","value":"fast"}]}]}})";

json Build(const WorkerPool& pool, int replicas = 3, ManifestOptions options = {}) {
  const Result<std::string> manifest =
      DeploymentManifest(pool, pool.lanes[0], replicas, std::move(options));
  EXPECT_TRUE(manifest) << manifest.error().message;
  return manifest ? json::parse(*manifest) : json();
}

TEST(DeploymentManifest, IsTheWholeWishOfALane) {
  const WorkerPool pool = Pool(kTemplate);
  const json expected = json::parse(R"({
    "apiVersion": "apps/v1", "kind": "Deployment",
    "metadata": {
      "name": "media-short", "namespace": "studio",
      "labels": {"app.kubernetes.io/name": "lanekeeper-worker",
                 "app.kubernetes.io/managed-by": "lanekeeper",
                 "lanekeeper.dev/pool": "media", "lanekeeper.dev/lane": "short"},
      "annotations": {"lanekeeper.dev/lane-hash": "HASH"},
      "ownerReferences": [{"apiVersion": "lanekeeper.dev/v1alpha1", "kind": "WorkerPool",
                           "name": "media", "uid": "p-1", "controller": true,
                           "blockOwnerDeletion": true}]},
    "spec": {
      "replicas": 3, "revisionHistoryLimit": 2, "progressDeadlineSeconds": 600,
      "selector": {"matchLabels": {"lanekeeper.dev/pool": "media", "lanekeeper.dev/lane": "short"}},
      "strategy": {"type": "RollingUpdate",
                   "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
      "template": {
        "metadata": {"labels": {"app.kubernetes.io/name": "lanekeeper-worker",
                                "app.kubernetes.io/managed-by": "lanekeeper",
                                "lanekeeper.dev/pool": "media", "lanekeeper.dev/lane": "short"}},
        "spec": {
          "terminationGracePeriodSeconds": 41,
          "containers": [
            {"name": "side", "image": "s"},
            {"name": "worker", "image": "w",
             "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8081}, "periodSeconds": 1,
                                "timeoutSeconds": 2, "failureThreshold": 1},
             "env": [
              {"name": "MODE", "value": "fast"},
              {"name": "LANEKEEPER_NATS_URL", "value": "nats://n:4222"},
              {"name": "LANEKEEPER_NAMESPACE", "value": "studio"},
              {"name": "LANEKEEPER_POOL", "value": "media"},
              {"name": "LANEKEEPER_LANE", "value": "short"},
              {"name": "LANEKEEPER_WORKER",
               "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
              {"name": "LANEKEEPER_STREAM", "value": "LK_studio_media_short"},
              {"name": "LANEKEEPER_CONSUMER", "value": "workers"},
              {"name": "LANEKEEPER_DEAD_SUBJECT", "value": "lk.dead.studio.media.short"},
              {"name": "LANEKEEPER_SLOTS", "value": "8"},
              {"name": "LANEKEEPER_TIMEOUT", "value": "30s"},
              {"name": "LANEKEEPER_GRACE", "value": "40s1ms"},
              {"name": "LANEKEEPER_ATTEMPTS", "value": "5"},
              {"name": "LANEKEEPER_CRASHES", "value": "2"},
              {"name": "LANEKEEPER_TRACKING", "value": "Full"},
              {"name": "LANEKEEPER_BACKOFF_INITIAL", "value": "1s"},
              {"name": "LANEKEEPER_BACKOFF_MAX", "value": "5m"}]}]}}}})");
  json manifest = Build(pool, 3, {.nats_url = "nats://n:4222"});
  EXPECT_EQ(manifest["metadata"]["annotations"][kAnnotationLaneHash], LaneHash(pool.lanes[0]));
  manifest["metadata"]["annotations"][kAnnotationLaneHash] = "HASH";
  EXPECT_EQ(manifest, expected);
}

TEST(DeploymentManifest, WorkersAreToldWhatHasNoDefaultOnlyWhenItIsSet) {
  WorkerPool pool = Pool(kTemplate);
  EXPECT_THAT(Build(pool).dump(), testing::Not(HasSubstr("LANEKEEPER_OVERRUN_LANE")));
  const std::string hash = LaneHash(pool.lanes[0]);
  pool.lanes[0].jobs.overrun_lane = "long";
  EXPECT_THAT(Build(pool).dump(),
              HasSubstr(R"({"name":"LANEKEEPER_OVERRUN_LANE","value":"long"})"));
  EXPECT_NE(LaneHash(pool.lanes[0]), hash);
}

// A setting in the environment that is not in the hash would never reach workers that run.
TEST(DeploymentManifest, EverySettingInTheEnvironmentIsInTheHash) {
  const Lane lane = Pool(kTemplate).lanes[0];
  std::set<std::string> hashes{LaneHash(lane)};
  const auto add = [&](auto change) {
    Lane other = lane;
    change(other);
    EXPECT_TRUE(hashes.insert(LaneHash(other)).second) << hashes.size();
  };
  add([](Lane& changed) { changed.queue.stream = "S"; });
  add([](Lane& changed) { changed.queue.consumer = "c"; });
  add([](Lane& changed) { changed.workers.slots = 9; });
  add([](Lane& changed) { changed.workers.grace *= 2; });
  add([](Lane& changed) { changed.jobs.timeout *= 2; });
  add([](Lane& changed) { changed.jobs.attempts_max = 6; });
  add([](Lane& changed) { changed.jobs.crashes_max = 6; });
  add([](Lane& changed) { changed.jobs.tracking = Tracking::kFailures; });
  add([](Lane& changed) { changed.jobs.tracking = Tracking::kNone; });
  add([](Lane& changed) { changed.jobs.overrun_lane = "long"; });
  add([](Lane& changed) { changed.jobs.backoff.initial *= 2; });
  add([](Lane& changed) { changed.jobs.backoff.max *= 2; });
  const auto with_gpus = [&](int gpus) {
    add([gpus](Lane& changed) {
      changed.workers.gpus = gpus;
      changed.workers.add_gpu_limit = true;
    });
  };
  with_gpus(1);
  with_gpus(2);
  // Counted for the budget only: no worker has to start anew for it.
  Lane counted = lane;
  counted.workers.gpus = 2;
  EXPECT_EQ(LaneHash(counted), LaneHash(lane));
}

TEST(DeploymentManifest, TemplateIsOtherwiseUntouched) {
  const char* pod_template =
      R"({"metadata":{"labels":{"team":"a"},"annotations":{"x":"y"}},
          "spec":{"nodeSelector":{"gpu":"a100"},"runtimeClassName":"nvidia",
                  "priorityClassName":"batch","tolerations":[{"key":"a"}],"later":[1,null],
                  "containers":[{"name":"w","image":"i","readinessProbe":{"exec":{}}}]}})";
  json built = Build(Pool(pod_template))["spec"]["template"];
  built["spec"]["containers"][0].erase("env");
  built["spec"].erase("terminationGracePeriodSeconds");
  for (const char* label : {kLabelApp, kLabelManagedBy, kLabelPool, kLabelLane}) {
    EXPECT_EQ(built["metadata"]["labels"].erase(label), 1u) << label;
  }
  EXPECT_EQ(built, json::parse(pod_template));
}

TEST(DeploymentManifest, WithoutAContainerNamedWorkerTheFirstIsIt) {
  const json built = Build(Pool(R"({"spec":{"containers":[{"name":"a"},{"name":"b"}]}})"));
  const json& containers = built["spec"]["template"]["spec"]["containers"];
  EXPECT_TRUE(containers[0].contains("env"));
  EXPECT_FALSE(containers[1].contains("env"));
}

TEST(DeploymentManifest, PersonsDescriptiveLabelsWinAndOursForTheSelectorDo) {
  const json built = Build(Pool(R"({"metadata":{"labels":{"app.kubernetes.io/name":"thumbs",
      "lanekeeper.dev/lane":"wrong"}},"spec":{"containers":[{"name":"a"}]}})"));
  const json& labels = built["spec"]["template"]["metadata"]["labels"];
  EXPECT_EQ(labels["app.kubernetes.io/name"], "thumbs");
  EXPECT_EQ(labels["lanekeeper.dev/lane"], "short");
}

TEST(DeploymentManifest, LargerGraceOfTheTemplateStays) {
  const auto grace_of = [](const char* pod_template) {
    return Build(Pool(pod_template))["spec"]["template"]["spec"]["terminationGracePeriodSeconds"];
  };
  EXPECT_EQ(grace_of(R"({"spec":{"terminationGracePeriodSeconds":90,"containers":[{}]}})"), 90);
  EXPECT_EQ(grace_of(R"({"spec":{"terminationGracePeriodSeconds":5,"containers":[{}]}})"), 41);
}

TEST(DeploymentManifest, GpuWorkersGoBeforeTheirSuccessorsCome) {
  const json rolling = Build(Pool(kTemplate, LaneClass::kGpu))["spec"]["strategy"]["rollingUpdate"];
  EXPECT_EQ(rolling, json::parse(R"({"maxSurge":0,"maxUnavailable":1})"));
  EXPECT_EQ(Build(Pool(kTemplate, LaneClass::kLong))["spec"]["strategy"]["rollingUpdate"],
            json::parse(R"({"maxSurge":"25%","maxUnavailable":0})"));
}

TEST(DeploymentManifest, ProbeOfTheTemplateStaysAlone) {
  const json built = Build(Pool(
      R"({"spec":{"containers":[{"name":"worker","readinessProbe":{"exec":{}}},{"name":"b"}]}})"));
  const json& containers = built["spec"]["template"]["spec"]["containers"];
  EXPECT_EQ(containers[0]["readinessProbe"], json::parse(R"({"exec":{}})"));
  EXPECT_FALSE(containers[1].contains("readinessProbe"));
}

json PodSpecOf(const WorkerPool& pool) { return Build(pool)["spec"]["template"]["spec"]; }

const json kToleration =
    json::parse(R"({"key":"nvidia.com/gpu","operator":"Exists","effect":"NoSchedule"})");

TEST(DeploymentManifest, GpuWorkersTolerateWhatKeepsOthersOffTheirNodes) {
  EXPECT_EQ(PodSpecOf(Pool(kTemplate, LaneClass::kGpu))["tolerations"], json::array({kToleration}));
  EXPECT_FALSE(PodSpecOf(Pool(kTemplate, LaneClass::kLong)).contains("tolerations"));
  const char* with_own = R"({"spec":{"tolerations":[{"key":"a"},
      {"effect":"NoSchedule","key":"nvidia.com/gpu","operator":"Exists"}],"containers":[{}]}})";
  EXPECT_EQ(PodSpecOf(Pool(with_own, LaneClass::kGpu))["tolerations"],
            (json::array({{{"key", "a"}}, kToleration})));
}

TEST(DeploymentManifest, GpusOfAnotherVendorHaveATaintOfTheirOwn) {
  const char* amd =
      R"({"spec":{"containers":[{"resources":{"limits":{"amd.com/gpu":1,"x.com/gpu":0}}}]}})";
  const json tolerations = PodSpecOf(Pool(amd, LaneClass::kGpu))["tolerations"];
  ASSERT_EQ(tolerations.size(), 2u);
  EXPECT_EQ(tolerations[1]["key"], "amd.com/gpu");
}

TEST(DeploymentManifest, GpusOfTheLaneAreALimitOfTheWorkerContainer) {
  WorkerPool pool = Pool(R"({"spec":{"containers":[{"name":"side"},
      {"name":"worker","resources":{"limits":{"cpu":"1"},"requests":{"cpu":"1"}}}]}})",
                         LaneClass::kGpu);
  pool.lanes[0].workers.gpus = 2;
  const std::string hash = LaneHash(pool.lanes[0]);
  EXPECT_FALSE(PodSpecOf(pool)["containers"][1]["resources"]["limits"].contains("nvidia.com/gpu"))
      << "the template asks for them";
  pool.lanes[0].workers.add_gpu_limit = true;
  const json pod_spec = PodSpecOf(pool);
  EXPECT_EQ(pod_spec["containers"][1]["resources"],
            json::parse(R"({"limits":{"cpu":"1","nvidia.com/gpu":"2"},"requests":{"cpu":"1"}})"));
  EXPECT_FALSE(pod_spec["containers"][0].contains("resources"));
  EXPECT_NE(LaneHash(pool.lanes[0]), hash);
}

TEST(DeploymentManifest, UidMakesItAChangeOfThatOneOnly) {
  EXPECT_EQ(Build(Pool(kTemplate), 1, {.uid = "d-1"})["metadata"]["uid"], "d-1");
  EXPECT_FALSE(Build(Pool(kTemplate))["metadata"].contains("uid"));
}

TEST(DeploymentManifest, WithoutANatsUrlTheVariableIsLeftOut) {
  EXPECT_THAT(Build(Pool(kTemplate)).dump(), testing::Not(HasSubstr("LANEKEEPER_NATS_URL")));
}

TEST(DeploymentManifest, ZeroWorkersIsANumberToo) {
  EXPECT_EQ(Build(Pool(kTemplate), 0)["spec"]["replicas"], 0);
}

TEST(DeploymentManifest, TemplateThatCannotCarryAWorkerIsRefused) {
  for (const char* pod_template :
       {"", "7", "{}", R"({"spec":{}})", R"({"spec":{"containers":[]}})",
        R"({"spec":{"containers":{}}})", R"({"spec":{"containers":["x"]}})"}) {
    const WorkerPool pool = Pool(pod_template);
    const Result<std::string> manifest = DeploymentManifest(pool, pool.lanes[0], 1, {});
    ASSERT_FALSE(manifest) << pod_template;
    EXPECT_EQ(manifest.error().kind, ErrorKind::kInvalid);
    EXPECT_THAT(manifest.error().message, HasSubstr("lane short: the template has no"));
  }
}

}  // namespace
}  // namespace lanekeeper::kubernetes
