#include "operator/kubernetes/deployment_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "operator/kubernetes/own_write.h"

namespace lanekeeper::kubernetes {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

const LaneKey kKey{"studio", "media", "short"};
const ObjectName kName{"studio", "media-short"};
const MonotonicTime kNow{seconds(1000)};

json DeploymentAt(int resource_version, int replicas, int ready = 0, const char* uid = "u") {
  return {{"metadata",
           {{"namespace", "studio"},
            {"name", "media-short"},
            {"uid", uid},
            {"resourceVersion", std::to_string(resource_version)},
            {"generation", resource_version},
            {"labels", {{kLabelPool, "media"}, {kLabelLane, "short"}}},
            {"annotations", {{kAnnotationLaneHash, "h1"}}},
            {"ownerReferences", json::array({{{"kind", "Other"}, {"name", "o"}, {"uid", "o-1"}},
                                             {{"kind", "WorkerPool"},
                                              {"name", "media"},
                                              {"uid", "p-1"},
                                              {"controller", true}}})}}},
          {"spec", {{"replicas", replicas}}},
          {"status", {{"observedGeneration", resource_version}, {"readyReplicas", ready}}}};
}

int Replicas(const DeploymentCache& cache) {
  const CachedDeployment* deployment = cache.Find(kName);
  return deployment == nullptr ? -1 : deployment->state.replicas;
}

TEST(ReadDeployment, KeepsWhatIsNeeded) {
  json object = DeploymentAt(7, 3, 2);
  object["spec"]["template"]["spec"]["containers"] = json::array(
      {{{"name", "sidecar"}},
       {{"name", "worker"},
        {"env",
         json::array({{{"name", "X"}}, {{"name", kEnvNatsUrl}, {"value", "nats://n:4222"}}})}}});
  EXPECT_EQ(
      ReadDeployment(object),
      (CachedDeployment{.key = kKey,
                        .uid = "u",
                        .owner_kind = "WorkerPool",
                        .owner_name = "media",
                        .owner_uid = "p-1",
                        .nats_url = "nats://n:4222",
                        .resource_version = 7,
                        .state = {.replicas = 3, .ready = 2, .lane_hash = "h1", .generation = 7}}));
}

TEST(ReadDeployment, SurvivesAnything) {
  for (const char* text :
       {"null", "[]", "{}", R"({"metadata":7,"spec":[],"status":"x"})",
        R"({"metadata":{"labels":[],"ownerReferences":[7,{"controller":"yes"}]}})"}) {
    EXPECT_EQ(ReadDeployment(json::parse(text)), CachedDeployment()) << text;
  }
}

struct RolloutCase {
  const char* name;
  const char* status;
  int placed;
  bool rolling;
  bool pending;
};
void PrintTo(const RolloutCase& row, std::ostream* out) { *out << row.name; }

class RolloutTest : public testing::TestWithParam<RolloutCase> {};

TEST_P(RolloutTest, IsToldFromAChangeOfTheNumber) {
  json object = DeploymentAt(7, 3);
  object["status"] = json::parse(GetParam().status);
  const WorkloadState state = ReadDeployment(object).state;
  EXPECT_EQ(state.placed, GetParam().placed);
  EXPECT_EQ(state.rolling, GetParam().rolling);
  EXPECT_EQ(state.pending, GetParam().pending);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, RolloutTest,
    testing::Values(
        RolloutCase{"NobodyHasLookedAtIt", "{}", 0, false, true},
        RolloutCase{"ChangeIsNotSeenYet",
                    R"({"observedGeneration":6,"replicas":3,"updatedReplicas":3})", 3, false, true},
        RolloutCase{"AtRest", R"({"observedGeneration":7,"replicas":3,"updatedReplicas":3})", 3,
                    false, false},
        RolloutCase{"MoreAreOnTheirWay",
                    R"({"observedGeneration":7,"replicas":1,"updatedReplicas":1})", 1, false,
                    false},
        RolloutCase{"FewerAreOnTheirWay",
                    R"({"observedGeneration":7,"replicas":5,"updatedReplicas":5})", 5, false,
                    false},
        RolloutCase{"OldOnesAreLeft",
                    R"({"observedGeneration":7,"replicas":4,"updatedReplicas":3})", 4, true, false},
        RolloutCase{"NoneIsNewYet", R"({"observedGeneration":7,"replicas":3})", 3, true, false},
        // With maxSurge 0 the old one goes first. It is not counted while it ends.
        RolloutCase{"OldOneEndsBeforeANewOneComes",
                    R"({"observedGeneration":7,"replicas":2,"terminatingReplicas":1})", 2, true,
                    false},
        RolloutCase{"NobodyIsThere", R"({"observedGeneration":7})", 0, false, false}),
    [](const auto& test) { return test.param.name; });

TEST(DeploymentCache, ChangesOfTheWorkloadAreAnnounced) {
  DeploymentCache cache;
  EXPECT_EQ(cache.OnWatched(DeploymentAt(1, 3), kNow), kKey);
  json same = DeploymentAt(1, 3);
  same["metadata"]["resourceVersion"] = "2";  // E.g. a condition of its status.
  EXPECT_EQ(cache.OnWatched(same, kNow), std::nullopt);
  EXPECT_EQ(cache.OnWatched(DeploymentAt(3, 3, 1), kNow), kKey);
  EXPECT_EQ(cache.OnGone(kName, "4", kNow), kKey);
  EXPECT_EQ(cache.OnGone(kName, "4", kNow), std::nullopt);
  EXPECT_EQ(cache.Find(kName), nullptr);
}

TEST(DeploymentCache, OwnWriteOutranksAWatchThatLags) {
  DeploymentCache cache;
  cache.OnWatched(DeploymentAt(1, 3), kNow);
  EXPECT_EQ(cache.OnWritten(DeploymentAt(5, 8), kNow).replicas, 8);
  EXPECT_EQ(cache.OnWatched(DeploymentAt(4, 3, 3), kNow), std::nullopt);
  EXPECT_EQ(Replicas(cache), 8);
  EXPECT_EQ(cache.OnGone(kName, "4", kNow), std::nullopt);
  EXPECT_EQ(Replicas(cache), 8);
  // The echo of our own write is no news.
  EXPECT_EQ(cache.OnWatched(DeploymentAt(5, 8), kNow), std::nullopt);
  EXPECT_EQ(cache.OnWatched(DeploymentAt(6, 8, 1), kNow), kKey);
}

TEST(DeploymentCache, OwnWriteDoesNotOutrankForever) {
  // A server restored from a backup counts from lower numbers.
  DeploymentCache cache;
  cache.OnWritten(DeploymentAt(5, 8), kNow);
  EXPECT_EQ(cache.OnWatched(DeploymentAt(4, 3), kNow + kOwnWriteHold), kKey);
  EXPECT_EQ(Replicas(cache), 3);
}

TEST(DeploymentCache, WatchMayBeFasterThanTheAnswerToAWrite) {
  DeploymentCache cache;
  cache.OnWatched(DeploymentAt(6, 2), kNow);
  EXPECT_EQ(cache.OnWritten(DeploymentAt(5, 8), kNow).replicas, 8);
  EXPECT_EQ(Replicas(cache), 2);
}

TEST(DeploymentCache, WriteThatChangedNothingDoesNotHoldTheWatchBack) {
  DeploymentCache cache;
  cache.OnWatched(DeploymentAt(5, 8), kNow);
  cache.OnWritten(DeploymentAt(5, 8), kNow);
  EXPECT_EQ(cache.OnWatched(DeploymentAt(4, 3), kNow), kKey);  // A list after a restore.
}

TEST(DeploymentCache, ListDropsWhatTheWatchNeverSaw) {
  DeploymentCache cache;
  cache.OnWritten(DeploymentAt(5, 8), kNow);
  cache.OnListed({}, "4", kNow);  // Made before our write.
  EXPECT_EQ(Replicas(cache), 8);
  cache.OnListed({kName}, "6", kNow);
  EXPECT_EQ(Replicas(cache), 8);
  cache.OnListed({}, "6", kNow);
  EXPECT_EQ(cache.Find(kName), nullptr);
}

TEST(DeploymentCache, LanesAreThoseOfThisPoolOnly) {
  DeploymentCache cache;
  const auto add = [&](const char* ns, const char* pool, const char* lane) {
    json object = DeploymentAt(1, 1);
    object["metadata"]["namespace"] = ns;
    object["metadata"]["name"] = std::string(pool) + "-" + lane;
    object["metadata"]["labels"] = {{kLabelPool, pool}, {kLabelLane, lane}};
    cache.OnWatched(object, kNow);
  };
  add("studio", "media", "short");
  add("studio", "media", "long");
  add("studio", "media-b", "c");  // "media-b-c" begins with "media-" too.
  add("studio", "mediaa", "x");
  add("other", "media", "gpu");
  EXPECT_THAT(cache.LanesOf({"studio", "media"}),
              ElementsAre(LaneKey{"studio", "media", "long"}, LaneKey{"studio", "media", "short"}));
  EXPECT_THAT(cache.LanesOf({"studio", "nothing"}), IsEmpty());
}

// Labels can be copied; a pool that waited for such a Deployment to go would never end.
TEST(DeploymentCache, LabelsAloneDoNotMakeADeploymentThePools) {
  DeploymentCache cache;
  json labelled = DeploymentAt(1, 1);
  labelled["metadata"].erase("ownerReferences");
  cache.OnWatched(labelled, kNow);
  EXPECT_THAT(cache.LanesOf({"studio", "media"}), IsEmpty());
  json of_somebody = DeploymentAt(2, 1);
  of_somebody["metadata"]["ownerReferences"][1]["kind"] = "ConfigMap";
  cache.OnWatched(of_somebody, kNow);
  EXPECT_THAT(cache.LanesOf({"studio", "media"}), IsEmpty());
  EXPECT_FALSE(IsOfItsPool(*cache.Find(kName)));
}

}  // namespace
}  // namespace lanekeeper::kubernetes
