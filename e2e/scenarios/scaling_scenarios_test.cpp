// Scaling never interrupts a job: what `make chaos-scaling` shows at length, in about three
// minutes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "e2e/chaos/scaling_gpu.h"
#include "e2e/chaos/scaling_head_of_line.h"
#include "e2e/chaos/scaling_replaced.h"
#include "e2e/chaos/scaling_scale_in.h"
#include "e2e/scenarios/scenario_fixture.h"

namespace lanekeeper::e2e {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::IsEmpty;

class ScalingScenarioTest : public ScenarioTest {
 protected:
  void SetUp() override {
    ScenarioTest::SetUp();
    ASSERT_EQ(cluster.Kubectl({"create", "namespace", pool_namespace}).status, 0);
    witness = std::make_unique<Witness>(cluster, jobs.connection(), pool_namespace);
    stage = std::make_unique<Stage>(cluster, jobs, pool_namespace);
  }

  std::unique_ptr<Witness> witness;
  std::unique_ptr<Stage> stage;
};

TEST_F(ScalingScenarioTest, ScaleInReleasesOnlyIdleWorkers) {
  ASSERT_TRUE(stage->Apply(ScaleInLanes()));
  const ScaleInResult result = RunScaleIn(
      *stage, *witness,
      {.name = "half are busy", .loads = {{"one", 3, 3}}, .long_job = milliseconds(12000)});
  EXPECT_THAT(result.interruptions, IsEmpty());
  EXPECT_THAT(result.troubles, IsEmpty());
  EXPECT_EQ(result.released, 3);
}

TEST_F(ScalingScenarioTest, OperatorKilledInTheMiddleOfAReleaseCutsNoJob) {
  ASSERT_TRUE(stage->Apply(ScaleInLanes()));
  const ScaleInResult result = RunScaleIn(*stage, *witness,
                                          {.name = "operator killed",
                                           .loads = {{"one", 3, 3}},
                                           .meanwhile = Meanwhile::kOperatorKilled,
                                           .at = Step::kDrained,
                                           .long_job = milliseconds(20000)});
  EXPECT_THAT(result.interruptions, IsEmpty());
  EXPECT_THAT(result.troubles, IsEmpty());
  EXPECT_EQ(result.released, 3);
}

TEST_F(ScalingScenarioTest, RolloutLetsRunningJobsFinish) {
  ASSERT_TRUE(stage->Apply(SteadyLanes()));
  const ReplacedResult result = RunRollout(*stage, *witness, "second", milliseconds(8000));
  EXPECT_THAT(result.interruptions, IsEmpty());
  EXPECT_THAT(result.troubles, IsEmpty());
}

TEST_F(ScalingScenarioTest, NodeDrainWaitsForRunningJobs) {
  ASSERT_TRUE(stage->Apply(SteadyLanes()));
  const ReplacedResult result = RunNodeDrain(*stage, *witness, "drain", milliseconds(8000));
  EXPECT_THAT(result.interruptions, IsEmpty());
  EXPECT_THAT(result.troubles, IsEmpty());
}

TEST_F(ScalingScenarioTest, GpusThatAreNotThereAreNamedAndLeftToOthers) {
  const AdvertisedGpus gpus(cluster, 2);
  if (!gpus) {
    std::printf("    no single node to advertise GPUs on: nothing to see here\n");
    return;
  }
  ASSERT_TRUE(stage->Apply(GpuLanes(), GpuBudget()));
  const GpuResult result = RunGpuShortage(*stage, *witness);
  EXPECT_THAT(result.troubles, IsEmpty());
  EXPECT_THAT(RunGpuRollout(*stage, *witness), IsEmpty());
}

TEST_F(ScalingScenarioTest, ObserveModeDecidesAndDoesNothing) {
  ASSERT_TRUE(
      stage->Apply("  - name: one\n"
                   "    class: Long\n"
                   "    workers: {max: 4}\n"
                   "    scaling: {jobsPerWorker: 1, scaleDownWindow: 3s, mode: Observe}\n"));
  const std::size_t since = witness->Now();
  ASSERT_TRUE(stage->Publish("one", 3, milliseconds(100)));
  EXPECT_TRUE(Await("the status has the decision", [this] {
    return stage->LaneStatus("one").value(Json::json_pointer("/decision/workers"), 0) == 3;
  }));
  std::this_thread::sleep_for(seconds(4));  // Longer than the window.
  EXPECT_EQ(stage->Replicas("one"), 0);
  EXPECT_EQ(witness->Count(Step::kRaised, since), 0);
  EXPECT_EQ(stage->StartedOf("one"), 0);
}

TEST_F(ScalingScenarioTest, LongJobsDoNotStandInFrontOfShortOnesInTheirOwnLane) {
  const MixedWork work{.short_workers = 1,
                       .long_workers = 3,
                       .long_job = milliseconds(6000),
                       .lasts = milliseconds(8000)};
  // A pool of its own for each: lanes in this namespace, the shared one beside it.
  Stage shared(cluster, jobs, pool_namespace + "-shared");
  const bool shared_ready = shared.Apply(SharedLane(work));
  EXPECT_TRUE(shared_ready);
  EXPECT_TRUE(stage->Apply(SeparateLanes(work)));
  if (!HasFailure()) {
    const HeadOfLine result = RunHeadOfLine(shared, *stage, work);
    std::printf("%s", Describe(result).c_str());
    EXPECT_THAT(result.troubles, IsEmpty());
    EXPECT_LT(ShortWaitRatio(result), 0.2);
  }
  RemoveNamespace(cluster, jobs, shared.pool_namespace());
}

}  // namespace
}  // namespace lanekeeper::e2e
