#include "operator/kubernetes/worker_pool_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

namespace lanekeeper::kubernetes {
namespace {

using nlohmann::json;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;

json Manifest(const char* lanes = R"([{"name":"short"}])") {
  return {{"apiVersion", "lanekeeper.dev/v1alpha1"},
          {"kind", "WorkerPool"},
          {"metadata", {{"name", "media"}, {"namespace", "studio"}}},
          {"spec",
           {{"template",
             {{"spec", {{"containers", json::array({{{"name", "worker"}, {"image", "w:1"}}})}}}}},
            {"lanes", json::parse(lanes)}}}};
}

TEST(ParseWorkerPool, LeastManifestGetsEveryDefault) {
  const Result<WorkerPool> pool = ParseWorkerPool(Manifest().dump());
  ASSERT_TRUE(pool) << pool.error().message;
  const WorkerPool expected{
      .key = {"studio", "media"},
      .lanes = {
          Lane{.name = "short",
               .lane_class = LaneClass::kShort,
               .queue = {.external = false,
                         .stream = "LK_studio_media_short",
                         .consumer = "workers",
                         .depth_max = 10000,
                         .storage = StorageKind::kFile,
                         .replicas = 1},
               .jobs = {.timeout = seconds(30),
                        .attempts_max = 5,
                        .crashes_max = 2,
                        .tracking = Tracking::kFull,
                        .overrun_lane = "",
                        .backoff = {.initial = seconds(1), .max = minutes(5)}},
               .workers = {.min = 0, .max = 10, .slots = 8, .grace = seconds(40)},
               .scaling = {.jobs_per_worker = 8, .scale_down_window = seconds(15)},
               .template_json = R"({"spec":{"containers":[{"image":"w:1","name":"worker"}]}})"}}};
  EXPECT_EQ(*pool, expected);
}

TEST(ParseWorkerPool, ClassesHaveTheirOwnDefaults) {
  const Result<WorkerPool> pool =
      WorkerPoolFromJson(Manifest(R"([{"name":"a","class":"Short"},{"name":"b","class":"Long"},
                   {"name":"c","class":"Gpu","workers":{"gpus":1}}])"));
  ASSERT_TRUE(pool) << pool.error().message;
  const Lane& long_lane = pool->lanes[1];
  EXPECT_EQ(long_lane.lane_class, LaneClass::kLong);
  EXPECT_EQ(long_lane.jobs.timeout, hours(6));
  EXPECT_EQ(long_lane.workers.slots, 1);
  EXPECT_EQ(long_lane.workers.grace, hours(6) + seconds(30));
  EXPECT_EQ(long_lane.scaling.jobs_per_worker, 1);
  EXPECT_EQ(long_lane.scaling.scale_down_window, seconds(60));
  EXPECT_EQ(long_lane.scaling.window_cold_starts, 1);
  const Lane& gpu = pool->lanes[2];
  EXPECT_EQ(gpu.lane_class, LaneClass::kGpu);
  EXPECT_EQ(gpu.jobs.timeout, hours(1));
  EXPECT_EQ(gpu.workers.slots, 1);
  EXPECT_EQ(gpu.workers.grace, hours(1) + seconds(30));
  EXPECT_EQ(gpu.scaling.scale_down_window, seconds(60));
  EXPECT_EQ(gpu.scaling.window_cold_starts, 10);
}

TEST(ParseWorkerPool, GpuLaneThatNamesAWindowHasExactlyThat) {
  const Result<WorkerPool> pool = WorkerPoolFromJson(Manifest(
      R"([{"name":"a","class":"Gpu","workers":{"gpus":1},"scaling":{"scaleDownWindow":"5m"}}])"));
  ASSERT_TRUE(pool) << pool.error().message;
  EXPECT_EQ(pool->lanes[0].scaling.scale_down_window, minutes(5));
  EXPECT_EQ(pool->lanes[0].scaling.window_cold_starts, 1);
}

TEST(ParseWorkerPool, WaitPolicyAndModeAndBudget) {
  json manifest =
      Manifest(R"([{"name":"a","scaling":{"targetWait":"2m","mode":"Observe"}},{"name":"b"}])");
  Result<WorkerPool> pool = WorkerPoolFromJson(manifest);
  ASSERT_TRUE(pool) << pool.error().message;
  EXPECT_EQ(pool->lanes[0].scaling.target_wait, minutes(2));
  EXPECT_EQ(pool->lanes[0].scaling.mode, ScalingMode::kObserve);
  EXPECT_EQ(pool->lanes[1].scaling.target_wait, std::nullopt);
  EXPECT_EQ(pool->lanes[1].scaling.mode, ScalingMode::kAct);
  EXPECT_EQ(pool->budget, scaling::PoolBudget());
  manifest["spec"]["budget"] = {{"workers", 60}, {"gpus", 0}};
  pool = WorkerPoolFromJson(manifest);
  ASSERT_TRUE(pool) << pool.error().message;
  EXPECT_EQ(pool->budget, (scaling::PoolBudget{.workers = 60, .gpus = 0}));
}

struct GpuCase {
  const char* name;
  const char* lane;             // Without its name.
  const char* pod_spec = "{}";  // Beside the container; of spec.template.
  int gpus = 0;
  bool add_limit = false;
  const char* problem = "";  // Empty: there is none.
};
void PrintTo(const GpuCase& row, std::ostream* out) { *out << row.name; }

class GpuTest : public testing::TestWithParam<GpuCase> {};

TEST_P(GpuTest, ExactlyGpuLanesAskForOne) {
  json manifest = Manifest(("[" + std::string(GetParam().lane) + "]").c_str());
  manifest["spec"]["lanes"][0]["name"] = "a";
  json& pod_spec = manifest["spec"]["template"]["spec"];
  const json beside = json::parse(GetParam().pod_spec);
  if (beside.contains("resources")) {
    pod_spec["containers"][0]["resources"] = beside["resources"];
  } else {
    pod_spec.update(beside);
  }
  const Result<WorkerPool> pool = WorkerPoolFromJson(manifest);
  if (*GetParam().problem != '\0') {
    ASSERT_FALSE(pool);
    EXPECT_EQ(pool.error(), (Error{ErrorKind::kInvalid, GetParam().problem}));
    return;
  }
  ASSERT_TRUE(pool) << pool.error().message;
  EXPECT_EQ(pool->lanes[0].workers.gpus, GetParam().gpus);
  EXPECT_EQ(pool->lanes[0].workers.add_gpu_limit, GetParam().add_limit);
}

constexpr const char* kOneGpu = R"({"resources":{"limits":{"nvidia.com/gpu":1}}})";
constexpr const char* kNoGpu =
    "spec.lanes[0].workers.gpus: a Gpu lane must ask for a GPU: set workers.gpus, or a limit such "
    "as nvidia.com/gpu or resourceClaims in its template";
INSTANTIATE_TEST_SUITE_P(
    Rows, GpuTest,
    testing::Values(
        GpuCase{"ByNumber", R"({"class":"Gpu","workers":{"gpus":2}})", "{}", 2, true},
        GpuCase{"ByLimit", R"({"class":"Gpu"})", kOneGpu, 1, false},
        GpuCase{"ByLimitOfItsOwn",
                R"({"class":"Gpu","template":{"spec":{"containers":[{"name":"w","image":"w",
                    "resources":{"limits":{"amd.com/gpu":"2"}}}]}}})",
                "{}", 2, false},
        GpuCase{"ByClaims", R"({"class":"Gpu"})",
                R"({"resourceClaims":[{"name":"a"},{"name":"b"}]})", 2, false},
        GpuCase{"ByClaimsThatAreMoreThanOneEach", R"({"class":"Gpu","workers":{"gpus":4}})",
                R"({"resourceClaims":[{"name":"a"}]})", 4, false},
        GpuCase{"ByAnInitContainer", R"({"class":"Gpu"})",
                R"({"initContainers":[{"resources":{"limits":{"nvidia.com/gpu":1}}}]})", 1, false},
        GpuCase{
            "ByALimitOfItsOwnAlthoughTheOthersDoNot",
            R"({"class":"Short","template":{"spec":{"containers":[{"name":"w","image":"w"}]}}})",
            kOneGpu, 0, false},
        GpuCase{"ByNothing", R"({"class":"Gpu"})", "{}", 0, false, kNoGpu},
        GpuCase{"ByZero", R"({"class":"Gpu","workers":{"gpus":0}})",
                R"({"resources":{"limits":{"nvidia.com/gpu":0}}})", 0, false, kNoGpu},
        GpuCase{"ByAnotherResource", R"({"class":"Gpu"})",
                R"({"resources":{"limits":{"google.com/tpu":1}}})", 0, false, kNoGpu},
        GpuCase{"ByNumberAndLimit", R"({"class":"Gpu","workers":{"gpus":1}})", kOneGpu, 0, false,
                "spec.lanes[0].workers.gpus: cannot be set together with a GPU limit in the "
                "template: it is that limit; leave one of them out"},
        GpuCase{"TooMany", R"({"class":"Gpu","workers":{"gpus":65}})", "{}", 0, false,
                "spec.lanes[0].workers.gpus: must be at most 64, is 65"},
        GpuCase{"ShortByNumber", R"({"workers":{"gpus":1}})", "{}", 0, false,
                "spec.lanes[0].workers.gpus: is only for lanes of class Gpu: set class to Gpu"},
        GpuCase{"ShortByNoNumber", R"({"workers":{"gpus":0}})", "{}", 0, false},
        GpuCase{"ShortByLimitOfThePool", "{}", kOneGpu, 0, false,
                "spec.lanes[0].class: must be Gpu, because spec.template asks for a GPU: set it, "
                "or give the lane a template of its own"},
        GpuCase{"LongByLimitOfItsOwn",
                R"({"class":"Long","template":{"spec":{"containers":[{"name":"w","image":"w",
                    "resources":{"limits":{"gpu.intel.com/xe":1}}}]}}})",
                "{}", 0, false,
                "spec.lanes[0].template: asks for a GPU, by a limit or by resourceClaims: set "
                "class to Gpu, or take them out"},
        GpuCase{"LongByClaims", R"({"class":"Long"})", R"({"resourceClaims":[{"name":"a"}]})", 0,
                false,
                "spec.lanes[0].class: must be Gpu, because spec.template asks for a GPU: set it, "
                "or give the lane a template of its own"},
        GpuCase{"PartOfAGpu", R"({"class":"Gpu"})",
                R"({"resources":{"limits":{"nvidia.com/gpu":"500m"}}})", 0, false,
                "spec.template.spec.containers[0].resources.limits.nvidia.com/gpu: must be a whole "
                "number of GPUs from 0 to 64, is \"500m\"; spec.lanes[0].workers.gpus: a Gpu lane "
                "must ask for a GPU: set workers.gpus, or a limit such as nvidia.com/gpu or "
                "resourceClaims in its template"}),
    [](const auto& test) { return test.param.name; });

TEST(ParseWorkerPool, EveryFieldCanBeSet) {
  json manifest = Manifest(R"([{
    "name": "short", "class": "Long",
    "template": {"spec": {"containers": [{"name": "own", "image": "own:1"}]}},
    "queue": {"maxDepth": 5000, "storage": "Memory", "replicas": 3},
    "jobs": {"timeout": "45s", "attempts": 3, "crashes": 4, "tracking": "Failures",
             "onOverrun": {"moveTo": "long"}, "backoff": {"initial": "500ms", "max": "1m"}},
    "workers": {"min": 1, "max": 50, "slots": 16, "grace": "2m"},
    "scaling": {"jobsPerWorker": 32, "scaleDownWindow": "20s"},
    "admission": {"maxWait": "90s", "maxPerCaller": 200}}, {"name": "long"}])");
  manifest["spec"]["routes"] = json::parse(R"([{"type": "film", "lane": "long"}])");
  manifest["spec"]["routing"] = "Learned";
  manifest["spec"]["paused"] = true;
  manifest["spec"]["queue"] = {{"deletePolicy", "Delete"}};
  manifest["metadata"]["uid"] = "p-1";
  manifest["metadata"]["generation"] = 7;
  manifest["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
  manifest["metadata"]["finalizers"] = {"someone.else/x", "lanekeeper.dev/queues"};
  const Result<WorkerPool> pool = WorkerPoolFromJson(manifest);
  ASSERT_TRUE(pool) << pool.error().message;
  const WorkerPool expected{
      .key = {"studio", "media"},
      .uid = "p-1",
      .generation = 7,
      .deleting = true,
      .has_finalizer = true,
      .paused = true,
      .delete_queues = true,
      .lanes = {Lane{
                    .name = "short",
                    .lane_class = LaneClass::kLong,
                    .queue = {.stream = "LK_studio_media_short",
                              .consumer = "workers",
                              .depth_max = 5000,
                              .storage = StorageKind::kMemory,
                              .replicas = 3},
                    .jobs = {.timeout = seconds(45),
                             .attempts_max = 3,
                             .crashes_max = 4,
                             .tracking = Tracking::kFailures,
                             .overrun_lane = "long",
                             .backoff = {.initial = milliseconds(500), .max = minutes(1)}},
                    .workers = {.min = 1, .max = 50, .slots = 16, .grace = minutes(2)},
                    .scaling = {.jobs_per_worker = 32, .scale_down_window = seconds(20)},
                    .admission = {.wait_max = seconds(90), .caller_depth_max = 200},
                    .template_json = R"({"spec":{"containers":[{"image":"own:1","name":"own"}]}})"},
                pool->lanes.back()},
      .routes = {{"film", "long"}},
      .routing = Routing::kLearned};
  EXPECT_EQ(*pool, expected);
}

TEST(ParseWorkerPool, GraceAndJobsPerWorkerFollowTheFieldsTheyDependOn) {
  const Result<WorkerPool> pool = WorkerPoolFromJson(
      Manifest(R"([{"name":"a","jobs":{"timeout":"10m"},"workers":{"slots":3}}])"));
  ASSERT_TRUE(pool);
  EXPECT_EQ(pool->lanes[0].workers.grace, minutes(10) + seconds(10));
  EXPECT_EQ(pool->lanes[0].scaling.jobs_per_worker, 3);
}

TEST(ParseWorkerPool, ExistingQueueIsExternal) {
  const Result<WorkerPool> pool = WorkerPoolFromJson(
      Manifest(R"([{"name":"a","queue":{"stream":"ORDERS","consumer":"w_1"}}])"));
  ASSERT_TRUE(pool) << pool.error().message;
  EXPECT_TRUE(pool->lanes[0].queue.external);
  EXPECT_EQ(pool->lanes[0].queue.stream, "ORDERS");
  EXPECT_EQ(pool->lanes[0].queue.consumer, "w_1");
}

TEST(ParseWorkerPool, NullIsTheSameAsMissing) {
  json manifest = Manifest(R"([{"name":"a","class":null,"queue":null,"workers":{"max":null}}])");
  manifest["metadata"]["namespace"] = nullptr;
  const Result<WorkerPool> pool = WorkerPoolFromJson(manifest);
  ASSERT_TRUE(pool) << pool.error().message;
  EXPECT_EQ(pool->key.pool_namespace, "default");
  EXPECT_EQ(pool->lanes[0].workers.max, 10);
}

TEST(ParseWorkerPool, UnknownFieldsArePassedOver) {
  json manifest = Manifest(R"([{"name":"a","scaling":{"later":"2m"},"later":{"x":[1]}}])");
  manifest["spec"]["later"] = {{"workers", 60}};
  EXPECT_TRUE(WorkerPoolFromJson(manifest));
}

TEST(ParseWorkerPool, TemplatePassesThroughUntouched) {
  json manifest = Manifest();
  const json pod_template = json::parse(R"({"metadata":{"labels":{"team":"a"}},
    "spec":{"nodeSelector":{"x":"y"},"later":[1,2.5,null,"\u00e9"],
            "containers":[{"name":"w","image":"w","env":[{"name":"A","value":"b"}]}]}})");
  manifest["spec"]["template"] = pod_template;
  const Result<WorkerPool> pool = WorkerPoolFromJson(manifest);
  ASSERT_TRUE(pool) << pool.error().message;
  EXPECT_EQ(json::parse(pool->lanes[0].template_json), pod_template);
}

struct PoolRefusalCase {
  const char* name;
  const char* pointer;  // Where to put
  const char* value;    // what, as JSON.
  const char* message;
};
void PrintTo(const PoolRefusalCase& row, std::ostream* out) { *out << row.name; }

class RefusedPoolTest : public testing::TestWithParam<PoolRefusalCase> {};

TEST_P(RefusedPoolTest, NamesTheField) {
  json manifest = Manifest(R"([{"name":"a"},{"name":"b"}])");
  manifest[json::json_pointer(GetParam().pointer)] = json::parse(GetParam().value);
  const Result<WorkerPool> pool = WorkerPoolFromJson(manifest);
  ASSERT_FALSE(pool);
  EXPECT_EQ(pool.error(), (Error{ErrorKind::kInvalid, GetParam().message}));
}

INSTANTIATE_TEST_SUITE_P(
    Rows, RefusedPoolTest,
    testing::Values(
        PoolRefusalCase{
            "NoObject", "", "7",
            "manifest: must be an object, is a number; metadata: is missing; spec: is missing"},
        PoolRefusalCase{"NoSpec", "/spec", "null", "spec: is missing"},
        PoolRefusalCase{"SpecIsAList", "/spec", "[]",
                        "spec: must be an object, is a list; spec: is missing"},
        PoolRefusalCase{"NameMissing", "/metadata/name", "null", "metadata.name: is missing"},
        PoolRefusalCase{
            "NameTooLong", "/metadata/name", R"("a234567890123456789012345678901")",
            "metadata.name: must be at most 30 characters: <pool>-<lane> becomes the name "
            "of a Deployment"},
        PoolRefusalCase{"NoLanes", "/spec/lanes", "[]",
                        "spec.lanes: must have 1 to 16 entries, has 0"},
        PoolRefusalCase{"LanesNoList", "/spec/lanes", "{}",
                        "spec.lanes: must be a list, is an object; spec.lanes: must have 1 to 16 "
                        "entries, has 0"},
        PoolRefusalCase{
            "LaneNoObject", "/spec/lanes/1", "7",
            "spec.lanes[1]: must be an object, is a number; spec.lanes[1].name: is missing"},
        PoolRefusalCase{"LaneNameTwice", "/spec/lanes/1/name", R"("a")",
                        "spec.lanes[1].name: \"a\" is used twice"},
        PoolRefusalCase{"ClassUnknown", "/spec/lanes/1/class", R"("short")",
                        "spec.lanes[1].class: \"short\" is not one of Short, Long, Gpu"},
        PoolRefusalCase{"ClassNumber", "/spec/lanes/1/class", "1",
                        "spec.lanes[1].class: must be a string, is a number"},
        PoolRefusalCase{"RoutesNoList", "/spec/routes", "{}",
                        "spec.routes: must be a list, is an object"},
        PoolRefusalCase{"RouteWithNothing", "/spec/routes", "[{}]",
                        "spec.routes[0].type: is missing; spec.routes[0].lane: is missing"},
        PoolRefusalCase{
            "RouteTypeWithSpace", "/spec/routes", R"([{"type":"a b","lane":"a"}])",
            "spec.routes[0].type: must be at most 128 letters, digits and characters of "
            ". _ - / :"},
        PoolRefusalCase{"RouteTypeTwice", "/spec/routes",
                        R"([{"type":"x","lane":"a"},{"type":"x","lane":"b"}])",
                        "spec.routes[1].type: \"x\" has a route already"},
        PoolRefusalCase{"RouteToNobody", "/spec/routes", R"([{"type":"x","lane":"c"}])",
                        "spec.routes[0].lane: \"c\" is not a lane of the pool"},
        PoolRefusalCase{"RoutingUnknown", "/spec/routing", R"("Random")",
                        "spec.routing: \"Random\" is not one of Routes, Learned"},
        PoolRefusalCase{"AdmissionNoObject", "/spec/lanes/1/admission", "7",
                        "spec.lanes[1].admission: must be an object, is a number"},
        PoolRefusalCase{
            "AdmissionWaitZero", "/spec/lanes/1/admission/maxWait", R"("0s")",
            "spec.lanes[1].admission.maxWait: must be at least 1ms and at most 168h, is "
            "0s"},
        PoolRefusalCase{"AdmissionPerCallerZero", "/spec/lanes/1/admission/maxPerCaller", "0",
                        "spec.lanes[1].admission.maxPerCaller: must be at least 1, is 0"},
        PoolRefusalCase{"MaxZero", "/spec/lanes/1/workers/max", "0",
                        "spec.lanes[1].workers.max: must be at least 1, is 0"},
        PoolRefusalCase{
            "MaxHuge", "/spec/lanes/1/workers/max", "18446744073709551615",
            "spec.lanes[1].workers.max: must be at most 10000, is 18446744073709551615"},
        PoolRefusalCase{"MaxFraction", "/spec/lanes/1/workers/max", "1.5",
                        "spec.lanes[1].workers.max: must be a whole number, is 1.5"},
        PoolRefusalCase{"MaxText", "/spec/lanes/1/workers/max", R"("5")",
                        "spec.lanes[1].workers.max: must be a whole number, is a string"},
        PoolRefusalCase{"MinOverMax", "/spec/lanes/1/workers/min", "11",
                        "spec.lanes[1].workers.min: must not be more than max (default 10)"},
        PoolRefusalCase{"MinNegative", "/spec/lanes/1/workers/min", "-1",
                        "spec.lanes[1].workers.min: must be at least 0, is -1"},
        PoolRefusalCase{"SlotsTooMany", "/spec/lanes/1/workers/slots", "1025",
                        "spec.lanes[1].workers.slots: must be at most 1024, is 1025"},
        PoolRefusalCase{
            "GraceTooShort", "/spec/lanes/1/workers/grace", R"("999ms")",
            "spec.lanes[1].workers.grace: must be at least 1s and at most 169h, is 999ms"},
        PoolRefusalCase{"TimeoutZero", "/spec/lanes/1/jobs/timeout", R"("0s")",
                        "spec.lanes[1].jobs.timeout: must be at least 1ms and at most 168h, is 0s"},
        PoolRefusalCase{
            "TimeoutWords", "/spec/lanes/1/jobs/timeout", R"("soon")",
            "spec.lanes[1].jobs.timeout: \"soon\" is not a duration; write it like 30s, "
            "5m, 6h or 1h30m"},
        PoolRefusalCase{
            "TimeoutNumber", "/spec/lanes/1/jobs/timeout", "30",
            "spec.lanes[1].jobs.timeout: must be a duration such as \"30s\", is a number"},
        PoolRefusalCase{"AttemptsZero", "/spec/lanes/1/jobs/attempts", "0",
                        "spec.lanes[1].jobs.attempts: must be at least 1, is 0"},
        PoolRefusalCase{"CrashesZero", "/spec/lanes/1/jobs/crashes", "0",
                        "spec.lanes[1].jobs.crashes: must be at least 1, is 0"},
        PoolRefusalCase{"TrackingUnknown", "/spec/lanes/1/jobs/tracking", R"("full")",
                        "spec.lanes[1].jobs.tracking: \"full\" is not one of Full, Failures, None"},
        PoolRefusalCase{"OverrunWithoutALane", "/spec/lanes/1/jobs/onOverrun", "{}",
                        "spec.lanes[1].jobs.onOverrun.moveTo: is missing"},
        PoolRefusalCase{
            "OverrunToNobody", "/spec/lanes/1/jobs/onOverrun", R"({"moveTo":"c"})",
            "spec.lanes[1].jobs.onOverrun.moveTo: \"c\" is not another lane of the pool"},
        PoolRefusalCase{
            "OverrunToItself", "/spec/lanes/1/jobs/onOverrun", R"({"moveTo":"b"})",
            "spec.lanes[1].jobs.onOverrun.moveTo: \"b\" is not another lane of the pool"},
        PoolRefusalCase{
            "OverrunWithoutRecords", "/spec/lanes/1/jobs",
            R"({"tracking":"None","onOverrun":{"moveTo":"a"}})",
            "spec.lanes[1].jobs.onOverrun: needs the jobs' records: set tracking to Full "
            "or Failures"},
        PoolRefusalCase{
            "BackoffBackwards", "/spec/lanes/1/jobs/backoff/initial", R"("6m")",
            "spec.lanes[1].jobs.backoff.initial: must not be more than max (default 5m)"},
        PoolRefusalCase{"TwoReplicas", "/spec/lanes/1/queue/replicas", "2",
                        "spec.lanes[1].queue.replicas: must be 1, 3 or 5, is 2"},
        PoolRefusalCase{"StreamWithoutConsumer", "/spec/lanes/1/queue/stream", R"("S")",
                        "spec.lanes[1].queue.consumer: is required: stream and consumer are set "
                        "together"},
        PoolRefusalCase{"StreamWithDepth", "/spec/lanes/1/queue",
                        R"({"stream":"S","consumer":"C","maxDepth":1})",
                        "spec.lanes[1].queue.maxDepth: cannot be set for an existing stream: it "
                        "belongs to that stream"},
        PoolRefusalCase{
            "StreamWithADot", "/spec/lanes/1/queue", R"({"stream":"a.b","consumer":"C"})",
            "spec.lanes[1].queue.stream: must be 1 to 255 characters without white space "
            "and none of . * > / \\"},
        PoolRefusalCase{"StreamOfAnotherPool", "/spec/lanes/1/queue",
                        R"({"stream":"LK_other_mail_short","consumer":"workers"})",
                        "spec.lanes[1].queue.stream: must not start with LK_ or KV_LK_: these are "
                        "Lanekeeper's own"},
        PoolRefusalCase{"StreamOfAllRecords", "/spec/lanes/1/queue",
                        R"({"stream":"KV_LK_jobs","consumer":"workers"})",
                        "spec.lanes[1].queue.stream: must not start with LK_ or KV_LK_: these are "
                        "Lanekeeper's own"},
        PoolRefusalCase{"JobsPerWorkerZero", "/spec/lanes/1/scaling/jobsPerWorker", "0",
                        "spec.lanes[1].scaling.jobsPerWorker: must be at least 1, is 0"},
        PoolRefusalCase{
            "WindowTooLong", "/spec/lanes/1/scaling/scaleDownWindow", R"("25h")",
            "spec.lanes[1].scaling.scaleDownWindow: must be at least 1ms and at most 24h, "
            "is 25h"},
        PoolRefusalCase{
            "WaitAndDepthPolicy", "/spec/lanes/1/scaling",
            R"({"targetWait":"2m","jobsPerWorker":4})",
            "spec.lanes[1].scaling.targetWait: cannot be set together with jobsPerWorker: "
            "each is a policy of its own; leave one of them out"},
        PoolRefusalCase{
            "TargetWaitZero", "/spec/lanes/1/scaling/targetWait", R"("0s")",
            "spec.lanes[1].scaling.targetWait: must be at least 1ms and at most 168h, is "
            "0s"},
        PoolRefusalCase{"ModeUnknown", "/spec/lanes/1/scaling/mode", R"("Shadow")",
                        "spec.lanes[1].scaling.mode: \"Shadow\" is not one of Act, Observe"},
        PoolRefusalCase{"BudgetOfNoWorker", "/spec/budget/workers", "0",
                        "spec.budget.workers: must be at least 1, is 0"},
        PoolRefusalCase{"BudgetOfTooManyGpus", "/spec/budget/gpus", "100001",
                        "spec.budget.gpus: must be at most 100000, is 100001"},
        PoolRefusalCase{
            "HalfACpuAsANumber", "/spec/template/spec/containers/0/resources",
            R"({"limits":{"cpu":0.5}})",
            "spec.template.spec.containers[0].resources.limits.cpu: must be a string or a "
            "whole number: write half a CPU as 500m"},
        PoolRefusalCase{"DeletionCostInTheTemplate", "/spec/template/metadata/annotations",
                        R"({"controller.kubernetes.io/pod-deletion-cost":"5"})",
                        "spec.template.metadata.annotations.controller.kubernetes.io/"
                        "pod-deletion-cost: is set by the operator, for workers that may go first"},
        PoolRefusalCase{"ReservedAnnotation", "/spec/template/metadata/annotations",
                        R"({"lanekeeper.dev/shield":"x"})",
                        "spec.template.metadata.annotations.lanekeeper.dev/shield: annotation keys "
                        "that start with lanekeeper.dev/ are reserved for the operator"},
        PoolRefusalCase{"PausedText", "/spec/paused", R"("yes")",
                        "spec.paused: must be true or false, is a string"},
        PoolRefusalCase{"DeletePolicy", "/spec/queue/deletePolicy", R"("Orphan")",
                        "spec.queue.deletePolicy: \"Orphan\" is not one of Retain, Delete"},
        PoolRefusalCase{"NoTemplate", "/spec/template", "null",
                        "spec.template: is required unless every lane has a template of its own"},
        PoolRefusalCase{"NoContainers", "/spec/template/spec/containers", "[]",
                        "spec.template.spec.containers: must have 1 to 16 entries, has 0"},
        PoolRefusalCase{"ContainerWithoutImage", "/spec/template/spec/containers/0/image", "null",
                        "spec.template.spec.containers[0].image: is missing"},
        PoolRefusalCase{
            "ReservedVariable", "/spec/template/spec/containers/0/env",
            R"([{"name":"LANEKEEPER_LANE","value":"x"}])",
            "spec.template.spec.containers[0].env[0].name: \"LANEKEEPER_LANE\": names that "
            "start with LANEKEEPER_ are reserved for the operator"},
        PoolRefusalCase{
            "ReservedLabel", "/spec/template/metadata/labels", R"({"lanekeeper.dev/lane":"x"})",
            "spec.template.metadata.labels.lanekeeper.dev/lane: label keys that start with "
            "lanekeeper.dev/ are reserved for the operator"},
        PoolRefusalCase{
            "GraceInTheTemplate", "/spec/template/spec/terminationGracePeriodSeconds", "5",
            "spec.template.spec.terminationGracePeriodSeconds: is set by the operator: use "
            "workers.grace of the lane"}),
    [](const auto& test) { return test.param.name; });

struct OverrunCase {
  const char* name;
  const char* lanes;
  const char* problem;  // Of lane 0; empty: there is none.
};
void PrintTo(const OverrunCase& row, std::ostream* out) { *out << row.name; }

class OverrunTest : public testing::TestWithParam<OverrunCase> {};

TEST_P(OverrunTest, GoesWhereItCanEnd) {
  const Result<WorkerPool> pool = WorkerPoolFromJson(Manifest(GetParam().lanes));
  if (std::string_view(GetParam().problem).empty()) {
    EXPECT_TRUE(pool) << pool.error().message;
  } else {
    ASSERT_FALSE(pool);
    EXPECT_THAT(pool.error().message, HasSubstr(GetParam().problem));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Rows, OverrunTest,
    testing::Values(
        OverrunCase{"AChainOfThree",
                    R"([{"name":"a","jobs":{"onOverrun":{"moveTo":"b"}}},
                        {"name":"b","jobs":{"onOverrun":{"moveTo":"c"}}},{"name":"c"}])",
                    ""},
        OverrunCase{"TwoIntoOne",
                    R"([{"name":"a","jobs":{"onOverrun":{"moveTo":"c"}}},
                        {"name":"b","jobs":{"onOverrun":{"moveTo":"c"}}},{"name":"c"}])",
                    ""},
        OverrunCase{"OutOfAnExistingStream",
                    R"([{"name":"a","queue":{"stream":"S","consumer":"C"},
                         "jobs":{"onOverrun":{"moveTo":"b"}}},{"name":"b"}])",
                    ""},
        OverrunCase{"IntoAnExistingStream",
                    R"([{"name":"a","jobs":{"onOverrun":{"moveTo":"b"}}},
                        {"name":"b","queue":{"stream":"S","consumer":"C"}}])",
                    "spec.lanes[0].jobs.onOverrun.moveTo: \"b\" has an existing queue.stream"},
        OverrunCase{"IntoALaneWithoutRecords",
                    R"([{"name":"a","jobs":{"onOverrun":{"moveTo":"b"}}},
                        {"name":"b","jobs":{"tracking":"None"}}])",
                    "spec.lanes[0].jobs.onOverrun.moveTo: \"b\" has jobs.tracking None"},
        OverrunCase{"ToEachOther",
                    R"([{"name":"a","jobs":{"onOverrun":{"moveTo":"b"}}},
                        {"name":"b","jobs":{"onOverrun":{"moveTo":"a"}}}])",
                    "spec.lanes[0].jobs.onOverrun.moveTo: \"b\" leads round in a circle"},
        OverrunCase{"RoundOverThree",
                    R"([{"name":"a","jobs":{"onOverrun":{"moveTo":"b"}}},
                        {"name":"b","jobs":{"onOverrun":{"moveTo":"c"}}},
                        {"name":"c","jobs":{"onOverrun":{"moveTo":"a"}}}])",
                    "spec.lanes[0].jobs.onOverrun.moveTo: \"b\" leads round in a circle"},
        OverrunCase{"IntoACircleOfOthers",
                    R"([{"name":"a","jobs":{"onOverrun":{"moveTo":"b"}}},
                        {"name":"b","jobs":{"onOverrun":{"moveTo":"c"}}},
                        {"name":"c","jobs":{"onOverrun":{"moveTo":"b"}}}])",
                    "spec.lanes[0].jobs.onOverrun.moveTo: \"b\" leads round in a circle"}),
    [](const auto& test) { return test.param.name; });

TEST(ParseWorkerPool, AllProblemsAreNamedUpToALimit) {
  json manifest = Manifest();
  for (int i = 0; i < 16; ++i) {
    manifest["spec"]["lanes"][static_cast<std::size_t>(i)] = {{"name", "lane" + std::to_string(i)},
                                                              {"workers", {{"max", 0}}}};
  }
  const Result<WorkerPool> pool = WorkerPoolFromJson(manifest);
  ASSERT_FALSE(pool);
  EXPECT_THAT(pool.error().message, HasSubstr("spec.lanes[0].workers.max: must be at least 1"));
  EXPECT_THAT(pool.error().message, HasSubstr("spec.lanes[7].workers.max: must be at least 1"));
  EXPECT_THAT(pool.error().message, HasSubstr("; and 8 more"));
}

TEST(ParseWorkerPool, TextThatIsNoJsonIsRefused) {
  EXPECT_EQ(ParseWorkerPool("{").error(), (Error{ErrorKind::kInvalid, "this is not JSON"}));
  EXPECT_FALSE(ParseWorkerPool(""));
  EXPECT_FALSE(ParseWorkerPool("\xff"));
}

// Every value of a full manifest replaced by values of every type: an answer, never a crash.
TEST(ParseWorkerPool, NothingBreaksIt) {
  json manifest = Manifest(R"([{
    "name": "short", "class": "Gpu",
    "template": {"metadata": {"labels": {"a": "b"}, "annotations": {"a": "b"}},
                 "spec": {"containers": [{"name": "own", "image": "x", "env": [{"name": "A"}],
                                          "resources": {"limits": {"nvidia.com/gpu": "1"}}}],
                          "initContainers": [{"resources": {"limits": {"cpu": 1}}}],
                          "resourceClaims": [{"name": "a"}]}},
    "queue": {"stream": "S", "consumer": "C"},
    "jobs": {"timeout": "45s", "attempts": 3, "crashes": 4, "tracking": "Failures",
             "onOverrun": {"moveTo": "long"}, "backoff": {"initial": "500ms", "max": "1m"}},
    "workers": {"min": 1, "max": 50, "slots": 16, "grace": "2m", "gpus": 1},
    "scaling": {"targetWait": "2m", "mode": "Act", "scaleDownWindow": "20s"}},
    {"name": "long"}])");
  manifest["spec"]["budget"] = {{"workers", 60}, {"gpus", 2}};
  const json values = json::parse(
      R"([null, true, 0, -1, 1e308, 18446744073709551615, "", "\ud83d\ude00", [], [[]], {}, {"a":{}}])");
  const json flat = manifest.flatten();
  int tried = 0;
  for (const auto& [pointer, leaf] : flat.items()) {
    // The leaf and everything above it.
    for (json::json_pointer path(pointer); !path.empty(); path = path.parent_pointer()) {
      for (const json& value : values) {
        json broken = manifest;
        broken[path] = value;
        const Result<WorkerPool> pool = WorkerPoolFromJson(broken);
        if (!pool) {
          EXPECT_EQ(pool.error().kind, ErrorKind::kInvalid);
        }
        ++tried;
      }
    }
  }
  EXPECT_GT(tried, 1000);
}

TEST(PoolKeyFromJson, IsWhatCanBeRead) {
  EXPECT_EQ(PoolKeyFromJson(Manifest()), (PoolKey{"studio", "media"}));
  EXPECT_EQ(PoolKeyFromJson(json::array()), (PoolKey{}));
}

PoolStatus FullStatus() {
  return {.observed_generation = 7,
          .conditions = {{.type = "Ready",
                          .status = true,
                          .reason = "AllLanesReady",
                          .message = "All good.",
                          .last_transition = "2026-01-01T00:00:00Z"},
                         {.type = "DeadLetters",
                          .status = false,
                          .reason = "None",
                          .message = "",
                          .last_transition = "2026-01-01T00:00:00Z"}},
          .lanes = {{.name = "short",
                     .paused = true,
                     .waiting = 7,
                     .running = 3,
                     .parked = 2,
                     .oldest_wait_seconds = 9,
                     .workers_desired = 4,
                     .workers_ready = 3,
                     .workers_busy = 2,
                     .workers_idle = 1,
                     .workers_draining = 1,
                     .workers_unschedulable = 2,
                     .predicted_wait_seconds = 0,
                     .release = "3 of 5 released, 2 busy, oldest for 01:12:40",
                     .dead_letters = 5,
                     .decision_workers = 4,
                     .decision_reason = "BacklogGrew",
                     .decision_message = "More.",
                     .decision_time = "2026-01-01T00:00:01Z",
                     .decision_terms = {{"demand", 4, "12 jobs"}, {"bounds", 4, ""}}},
                    {.name = "long", .waiting = 1, .workers_desired = 1}}};
}

TEST(Status, IsWrittenInTheShapeOfTheResource) {
  EXPECT_EQ(json::parse(StatusToJson(FullStatus())), json::parse(R"({
    "observedGeneration": 7,
    "conditions": [
      {"type": "Ready", "status": "True", "reason": "AllLanesReady", "message": "All good.",
       "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 7},
      {"type": "DeadLetters", "status": "False", "reason": "None", "message": "",
       "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 7}],
    "summary": {"lanes": "short 12/3 long 1/0", "waiting": 8, "running": 3, "workers": 5,
                "ready": 3, "deadLetters": 5},
    "lanes": [
      {"name": "short", "paused": true, "waiting": 7, "running": 3, "parked": 2, "oldestWaitSeconds": 9,
       "deadLetters": 5,
       "workers": {"desired": 4, "ready": 3, "busy": 2, "idle": 1, "draining": 1,
                   "unschedulable": 2},
       "predictedWaitSeconds": 0, "release": "3 of 5 released, 2 busy, oldest for 01:12:40",
       "decision": {"workers": 4, "reason": "BacklogGrew", "message": "More.",
                    "time": "2026-01-01T00:00:01Z",
                    "terms": [{"term": "demand", "workers": 4, "note": "12 jobs"},
                              {"term": "bounds", "workers": 4, "note": ""}]}},
      {"name": "long", "waiting": 1, "running": 0, "parked": 0, "oldestWaitSeconds": 0,
       "deadLetters": 0,
       "workers": {"desired": 1, "ready": 0, "busy": 0, "idle": 0, "draining": 0,
                   "unschedulable": 0}}]})"));
}

TEST(Status, IsReadBackAsItWas) {
  EXPECT_EQ(StatusFromJson(StatusToJson(FullStatus())), FullStatus());
}

TEST(Status, UnreadableOneIsEmpty) {
  for (const char* text : {"", "{}", "[]", R"({"conditions":{},"lanes":7})"}) {
    EXPECT_EQ(StatusFromJson(text), PoolStatus()) << text;
  }
  EXPECT_EQ(StatusFromJson(R"({"lanes":[{"predictedWaitSeconds":"soon"}]})").lanes[0],
            LaneStatus());
}

TEST(Status, BytesThatAreNoTextDoNotBreakIt) {
  PoolStatus status = FullStatus();
  status.lanes[0].decision_message = "bad \xff byte";
  EXPECT_THAT(StatusToJson(status), HasSubstr("bad \xEF\xBF\xBD byte"));
}

}  // namespace
}  // namespace lanekeeper::kubernetes
