#include "operator/kubernetes/gpu_limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace lanekeeper::kubernetes {
namespace {

using nlohmann::json;
using testing::ElementsAre;

TEST(GpuLimits, NamesOfDevicesAndOfWhatTheyAreCutInto) {
  for (const char* name :
       {"nvidia.com/gpu", "amd.com/gpu", "example.com/gpu", "nvidia.com/mig-1g.5gb",
        "nvidia.com/gpu.shared", "gpu.intel.com/i915", "gpu.intel.com/xe"}) {
    EXPECT_TRUE(IsGpuResource(name)) << name;
  }
  for (const char* name :
       {"cpu", "memory", "gpu", "/gpu", "nvidia.com/gpumem", "nvidia.com/gpucores",
        "gpu.intel.com/i915_monitoring", "gpu.intel.com/memory.max", "example.com/gpu-memory",
        "google.com/tpu", ""}) {
    EXPECT_FALSE(IsGpuResource(name)) << name;
  }
}

TEST(GpuLimits, AreThoseOfAllContainersOrOfTheHungriestInitContainer) {
  const auto gpus = [](const char* pod_spec) { return GpuLimitsOf(json::parse(pod_spec)).gpus; };
  EXPECT_EQ(gpus(R"({"containers":[{"resources":{"limits":{"nvidia.com/gpu":1,"cpu":4}}},
                                   {"resources":{"limits":{"amd.com/gpu":"2"}}},{}]})"),
            3);
  EXPECT_EQ(gpus(R"({"initContainers":[{"resources":{"limits":{"nvidia.com/gpu":1}}},
                                       {"resources":{"limits":{"nvidia.com/gpu":2}}}],
                     "containers":[{"resources":{"limits":{"nvidia.com/gpu":1}}}]})"),
            2);
  EXPECT_EQ(gpus(R"({"initContainers":[{"resources":{"limits":{"nvidia.com/gpu":1}}}],
                     "containers":[{"resources":{"limits":{"nvidia.com/gpu":3}}}]})"),
            3);
  EXPECT_EQ(gpus(R"({"containers":[{"resources":{"requests":{"nvidia.com/gpu":1}}}]})"), 0);
}

TEST(GpuLimits, ZeroIsNoGpu) {
  EXPECT_EQ(
      GpuLimitsOf(json::parse(
          R"({"containers":[{"resources":{"limits":{"nvidia.com/gpu":0,"amd.com/gpu":"0"}}}]})")),
      GpuLimits());
}

TEST(GpuLimits, KnowTheirResources) {
  const json pod_spec = json::parse(
      R"({"containers":[{"resources":{"limits":{"nvidia.com/gpu":1,"b.com/gpu":1,"c.com/gpu":0}}}]})");
  EXPECT_THAT(GpuLimitsOf(pod_spec).resources, ElementsAre("b.com/gpu", "nvidia.com/gpu"));
}

TEST(GpuLimits, SurviveAnything) {
  for (const char* limit : {"null", "true", "-1", "1.5", "\"\"", "\"1k\"", "\"1 \"", "[]", "{}",
                            "-9223372036854775808"}) {
    const json limits = {{"nvidia.com/gpu", json::parse(limit)}};
    const json pod_spec = {{"containers", json::array({{{"resources", {{"limits", limits}}}}})}};
    EXPECT_EQ(GpuLimitsOf(pod_spec), GpuLimits()) << limit;
  }
  for (const char* pod_spec :
       {"null", "7", R"({"containers":7,"resourceClaims":{}})",
        R"({"containers":[7,{"resources":[]},{"resources":{"limits":[1]}}]})"}) {
    EXPECT_EQ(GpuLimitsOf(json::parse(pod_spec)), GpuLimits()) << pod_spec;
    EXPECT_EQ(ResourceClaimsOf(json::parse(pod_spec)), 0) << pod_spec;
  }
  const json huge = json::parse(
      R"({"containers":[{"resources":{"limits":{"a.com/gpu":9223372036854775807,
                                                "b.com/gpu":9223372036854775807}}}]})");
  EXPECT_GT(GpuLimitsOf(huge).gpus, 0);
}

}  // namespace
}  // namespace lanekeeper::kubernetes
