// What every Platform has to do alike, as typed tests. A platform joins with
//
//   INSTANTIATE_TYPED_TEST_SUITE_P(Local, PlatformContractTest, LocalStage);
//
// where the stage sets one up for one test:
//
//   struct LocalStage {
//     static constexpr bool kHasWorkers = true;  // False: nobody makes workers of a workload, and
//                                                // nobody takes a removed one away.
//     Platform& platform();
//     WorkerPool pool();        // One pool, always the same, with at least one lane of class Short
//                               // and workers that become ready by themselves.
//   };
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "operator/control/ports.h"
#include "worker-runtime/base/testing/eventually.h"

namespace lanekeeper {

template <typename Stage>
class PlatformContractTest : public testing::Test {
 protected:
  Platform& platform() { return stage_.platform(); }
  const Lane& lane() const { return pool_.lanes.front(); }
  LaneKey key() const { return pool_.KeyOf(lane()); }
  LaneKey unknown() const { return {pool_.key.pool_namespace, pool_.key.name, "nothere"}; }

  std::vector<std::string> Placed() {
    std::vector<std::string> names;
    const Result<Crew> crew = platform().Workers(key());
    if (!crew) return names;
    for (const PlacedWorker& worker : crew->placed) names.push_back(worker.name);
    return names;
  }
  // True when there are so many workers, all of them ready.
  bool BecomesReady(int workers) {
    return Eventually([&] {
      const Result<Crew> crew = platform().Workers(key());
      return crew && static_cast<int>(crew->placed.size()) == workers &&
             std::ranges::all_of(crew->placed, [](const PlacedWorker& worker) {
               return worker.phase == PlacedWorker::Phase::kReady;
             });
    });
  }
  ErrorKind KindOf(const Result<WorkloadState>& result) {
    EXPECT_FALSE(result);
    return result ? ErrorKind::kInvalid : result.error().kind;
  }

  Stage stage_;
  WorkerPool pool_ = stage_.pool();
};

TYPED_TEST_SUITE_P(PlatformContractTest);

TYPED_TEST_P(PlatformContractTest, AnUnknownWorkloadIsNotFoundAndRemovingItIsSuccess) {
  EXPECT_EQ(this->KindOf(this->platform().Observe(this->unknown())), ErrorKind::kNotFound);
  EXPECT_EQ(this->KindOf(this->platform().SetReplicas(this->unknown(), 1)), ErrorKind::kNotFound);
  const Result<Crew> crew = this->platform().Workers(this->unknown());
  ASSERT_TRUE(crew) << crew.error().message;
  EXPECT_EQ(*crew, Crew());
  const Result<void> marked = this->platform().Mark(this->unknown(), "w", {.first_to_go = true});
  ASSERT_FALSE(marked);
  EXPECT_EQ(marked.error().kind, ErrorKind::kNotFound);
  EXPECT_TRUE(this->platform().Remove(this->unknown()));
  const auto listed = this->platform().List(this->pool_.key);
  ASSERT_TRUE(listed) << listed.error().message;
  EXPECT_TRUE(listed->empty());
}

TYPED_TEST_P(PlatformContractTest, AnAppliedWorkloadIsObservedAndListed) {
  const Result<WorkloadState> applied = this->platform().Apply(this->pool_, this->lane(), 2);
  ASSERT_TRUE(applied) << applied.error().message;
  EXPECT_EQ(applied->replicas, 2);
  EXPECT_EQ(applied->lane_hash, LaneHash(this->lane()));
  const Result<WorkloadState> observed = this->platform().Observe(this->key());
  ASSERT_TRUE(observed) << observed.error().message;
  EXPECT_EQ(observed->replicas, 2);
  EXPECT_EQ(observed->lane_hash, applied->lane_hash);
  EXPECT_EQ(observed->generation, applied->generation);
  EXPECT_EQ(*this->platform().List(this->pool_.key), std::vector<LaneKey>{this->key()});
  PoolKey other = this->pool_.key;
  other.name += "-other";
  EXPECT_TRUE(this->platform().List(other)->empty());
}

TYPED_TEST_P(PlatformContractTest, ApplyingTwiceChangesNothing) {
  const Result<WorkloadState> first = this->platform().Apply(this->pool_, this->lane(), 1);
  ASSERT_TRUE(first) << first.error().message;
  const Result<WorkloadState> second = this->platform().Apply(this->pool_, this->lane(), 1);
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(second->generation, first->generation);
  EXPECT_EQ(second->replicas, 1);
}

TYPED_TEST_P(PlatformContractTest, SettingReplicasTwiceChangesNothing) {
  ASSERT_TRUE(this->platform().Apply(this->pool_, this->lane(), 0));
  const Result<WorkloadState> first = this->platform().SetReplicas(this->key(), 2);
  ASSERT_TRUE(first) << first.error().message;
  const Result<WorkloadState> second = this->platform().SetReplicas(this->key(), 2);
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(second->replicas, 2);
  EXPECT_EQ(second->generation, first->generation);
  EXPECT_EQ(this->platform().Observe(this->key())->generation, first->generation);
}

TYPED_TEST_P(PlatformContractTest, ZeroWorksAndSoDoesMoreAgain) {
  const Result<WorkloadState> none = this->platform().Apply(this->pool_, this->lane(), 0);
  ASSERT_TRUE(none) << none.error().message;
  EXPECT_EQ(none->replicas, 0);
  EXPECT_EQ(*this->platform().Workers(this->key()), Crew());
  ASSERT_TRUE(this->platform().SetReplicas(this->key(), 2));
  if (TypeParam::kHasWorkers) {
    EXPECT_TRUE(this->BecomesReady(2));
  }
  const Result<WorkloadState> again = this->platform().SetReplicas(this->key(), 0);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->replicas, 0);
  EXPECT_TRUE(Eventually([&] { return this->Placed().empty(); }));
}

TYPED_TEST_P(PlatformContractTest, WorkersHaveNamesOfTheirOwnInOrder) {
  if (!TypeParam::kHasWorkers) GTEST_SKIP() << "nobody makes workers here";
  ASSERT_TRUE(this->platform().Apply(this->pool_, this->lane(), 3));
  ASSERT_TRUE(this->BecomesReady(3));
  const std::vector<std::string> names = this->Placed();
  EXPECT_TRUE(std::ranges::is_sorted(names));
  EXPECT_EQ(std::ranges::adjacent_find(names), names.end());
}

TYPED_TEST_P(PlatformContractTest, FewerReplicasTakeTheMarkedWorker) {
  if (!TypeParam::kHasWorkers) GTEST_SKIP() << "nobody makes workers here";
  ASSERT_TRUE(this->platform().Apply(this->pool_, this->lane(), 3));
  ASSERT_TRUE(this->BecomesReady(3));
  std::vector<std::string> names = this->Placed();
  const std::string marked = names[1];
  ASSERT_TRUE(this->platform().Mark(this->key(), marked, {.first_to_go = true}));
  ASSERT_TRUE(this->platform().SetReplicas(this->key(), 2));
  names.erase(names.begin() + 1);
  EXPECT_TRUE(Eventually([&] { return this->Placed().size() == 2; }));
  EXPECT_EQ(this->Placed(), names);
  const Result<void> again = this->platform().Mark(this->key(), marked, {});
  ASSERT_FALSE(again) << "a worker that was told to end can be marked";
  EXPECT_EQ(again.error().kind, ErrorKind::kNotFound);
}

TYPED_TEST_P(PlatformContractTest, MarksAreSeenAndTakenOff) {
  if (!TypeParam::kHasWorkers) GTEST_SKIP() << "nobody makes workers here";
  ASSERT_TRUE(this->platform().Apply(this->pool_, this->lane(), 1));
  ASSERT_TRUE(this->BecomesReady(1));
  const std::string worker = this->Placed().front();
  const WorkerMarks both{.first_to_go = true, .shielded = true};
  ASSERT_TRUE(this->platform().Mark(this->key(), worker, both));
  EXPECT_EQ(this->platform().Workers(this->key())->placed.front().marks, both);
  ASSERT_TRUE(this->platform().Mark(this->key(), worker, {}));
  EXPECT_EQ(this->platform().Workers(this->key())->placed.front().marks, WorkerMarks());
}

TYPED_TEST_P(PlatformContractTest, AChangedLaneIsAnotherHashAndAnotherGeneration) {
  const Result<WorkloadState> first = this->platform().Apply(this->pool_, this->lane(), 1);
  ASSERT_TRUE(first) << first.error().message;
  Lane changed = this->lane();
  changed.workers.slots += 1;
  const Result<WorkloadState> second = this->platform().Apply(this->pool_, changed, 1);
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(second->lane_hash, LaneHash(changed));
  EXPECT_NE(second->lane_hash, first->lane_hash);
  EXPECT_NE(second->generation, first->generation);
}

TYPED_TEST_P(PlatformContractTest, ARemovedWorkloadIsGoneWithItsLastWorkerAndMayComeBack) {
  ASSERT_TRUE(this->platform().Apply(this->pool_, this->lane(), 1));
  if (TypeParam::kHasWorkers) {
    ASSERT_TRUE(this->BecomesReady(1));
  }
  ASSERT_TRUE(this->platform().Remove(this->key()));
  EXPECT_TRUE(this->platform().Remove(this->key())) << "asking again costs nothing";
  EXPECT_FALSE(this->platform().Observe(this->key()));
  if (!TypeParam::kHasWorkers) return;
  EXPECT_TRUE(Eventually(
      [&] { return this->KindOf(this->platform().Observe(this->key())) == ErrorKind::kNotFound; }));
  EXPECT_TRUE(this->platform().List(this->pool_.key)->empty());
  ASSERT_TRUE(this->platform().Apply(this->pool_, this->lane(), 1));
  EXPECT_EQ(this->platform().Observe(this->key())->replicas, 1);
}

TYPED_TEST_P(PlatformContractTest, AStatusIsReadBackAsItWasWritten) {
  const Result<PoolStatus> before = this->platform().ReadStatus(this->pool_.key);
  ASSERT_TRUE(before) << before.error().message;
  EXPECT_EQ(*before, PoolStatus());
  PoolStatus status{.observed_generation = 1};
  status.conditions.push_back({.type = "Ready",
                               .status = true,
                               .reason = "AllLanesReady",
                               .message = "All lanes are served.",
                               .last_transition = "2026-01-01T00:00:00Z"});
  LaneStatus lane{.name = this->lane().name, .waiting = 3, .running = 2, .workers_desired = 1};
  lane.decision_workers = 1;
  lane.decision_reason = "BacklogGrew";
  lane.decision_message = "One is enough.";
  lane.decision_time = "2026-01-01T00:00:01Z";
  lane.decision_terms.push_back({"demand", 1, "3 waiting"});
  status.lanes.push_back(lane);
  const Result<void> written = this->platform().WriteStatus(this->pool_, status);
  ASSERT_TRUE(written) << written.error().message;
  const Result<PoolStatus> after = this->platform().ReadStatus(this->pool_.key);
  ASSERT_TRUE(after) << after.error().message;
  EXPECT_EQ(*after, status);
}

TYPED_TEST_P(PlatformContractTest, FinalizersMayBeAddedAndRemovedTwice) {
  for (int times = 0; times < 2; ++times) EXPECT_TRUE(this->platform().AddFinalizer(this->pool_));
  for (int times = 0; times < 2; ++times) {
    EXPECT_TRUE(this->platform().RemoveFinalizer(this->pool_));
  }
}

REGISTER_TYPED_TEST_SUITE_P(PlatformContractTest, AnUnknownWorkloadIsNotFoundAndRemovingItIsSuccess,
                            AnAppliedWorkloadIsObservedAndListed, ApplyingTwiceChangesNothing,
                            SettingReplicasTwiceChangesNothing, ZeroWorksAndSoDoesMoreAgain,
                            WorkersHaveNamesOfTheirOwnInOrder, FewerReplicasTakeTheMarkedWorker,
                            MarksAreSeenAndTakenOff, AChangedLaneIsAnotherHashAndAnotherGeneration,
                            ARemovedWorkloadIsGoneWithItsLastWorkerAndMayComeBack,
                            AStatusIsReadBackAsItWasWritten, FinalizersMayBeAddedAndRemovedTwice);

}  // namespace lanekeeper
