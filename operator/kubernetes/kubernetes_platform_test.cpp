// The platform against scripted answers. kubernetes_apiserver_test.cpp has a real server.
#include "operator/kubernetes/kubernetes_platform.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "operator/kubernetes/scripted_api.h"

namespace lanekeeper::kubernetes {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

const LaneKey kKey{"studio", "media", "short"};
const PoolKey kPool{"studio", "media"};

WorkerPool Pool() {
  Lane lane{.name = "short",
            .queue = {.stream = "S", .consumer = "workers"},
            .template_json = R"({"spec":{"containers":[{"name":"w","image":"i"}]}})"};
  return {.key = kPool, .uid = "p-1", .lanes = {lane}};
}

// media-short with an owner of this kind, name and uid.
json Deployment(int version, int replicas, const char* kind = "WorkerPool",
                const char* owner = "media", const char* uid = "p-1") {
  return {
      {"metadata",
       {{"namespace", "studio"},
        {"name", "media-short"},
        {"uid", "d-1"},
        {"resourceVersion", std::to_string(version)},
        {"generation", version},
        {"labels", {{kLabelPool, "media"}, {kLabelLane, "short"}}},
        {"annotations", {{kAnnotationLaneHash, LaneHash(Pool().lanes[0])}}},
        {"ownerReferences",
         json::array({{{"kind", kind}, {"name", owner}, {"uid", uid}, {"controller", true}}})}}},
      {"spec",
       {{"replicas", replicas},
        {"template",
         {{"spec",
           {{"containers", json::array({{{"env", json::array({{{"name", "LANEKEEPER_NATS_URL"},
                                                               {"value", "nats://n"}}})}}})}}}}}}}};
}

class KubernetesPlatformTest : public testing::Test {
 protected:
  void Start(const json& deployments = json::array()) {
    api_.list_body = json{{"metadata", {{"resourceVersion", "5"}}}, {"items", deployments}}.dump();
    platform_.Start([this](const PoolKey& pool) {
      const std::lock_guard lock(mutex_);
      changed_.push_back(ToString(pool));
    });
    ASSERT_TRUE(Eventually([this] { return platform_.synced(); }));
  }
  std::vector<std::string> changed() {
    const std::lock_guard lock(mutex_);
    return changed_;
  }
  // Answers every PATCH of a deployment with this one.
  void AnswerPatchWith(json deployment) {
    api_.respond = [deployment](const Request& request) {
      return request.method == "PATCH" ? Answer{200, deployment.dump()}
                                       : Answer{404, R"({"message":"not found"})"};
    };
  }

  ScriptedApi api_;
  FakeClock clock_;
  std::mutex mutex_;
  std::vector<std::string> changed_;
  KubernetesPlatform platform_{api_, clock_, {.nats_url = "nats://n"}};
};

TEST_F(KubernetesPlatformTest, ObserveBeforeTheListSaysSoAndIsCalledBack) {
  EXPECT_EQ(platform_.Observe(kKey).error().kind, ErrorKind::kRetryable);
  EXPECT_EQ(platform_.List(kPool).error().kind, ErrorKind::kRetryable);
  EXPECT_EQ(platform_.Remove(kKey).error().kind, ErrorKind::kRetryable);
  Start();
  EXPECT_THAT(changed(), ElementsAre("studio/media"));
}

TEST_F(KubernetesPlatformTest, ObserveAnswersFromTheCacheWithoutARequest) {
  Start(json::array({Deployment(3, 4)}));
  const std::size_t requests = api_.requests().size();
  EXPECT_EQ(
      *platform_.Observe(kKey),
      (WorkloadState{.replicas = 4, .lane_hash = LaneHash(Pool().lanes[0]), .generation = 3}));
  EXPECT_THAT(*platform_.List(kPool), ElementsAre(kKey));
  EXPECT_EQ(platform_.Observe({"studio", "media", "long"}).error().kind, ErrorKind::kNotFound);
  EXPECT_LE(api_.requests().size(), requests + 1);  // The watch itself.
  EXPECT_THAT(api_.writes(), IsEmpty());
}

TEST_F(KubernetesPlatformTest, WorkersOfAnotherNatsServerCountAsChanged) {
  json deployment = Deployment(3, 4);
  deployment["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = "nats://old";
  Start(json::array({deployment}));
  EXPECT_EQ(platform_.Observe(kKey)->lane_hash, "");
}

TEST_F(KubernetesPlatformTest, DeploymentOfALaneWithTheSameNameIsNotThisLanes) {
  // Pool media with lane short, and pool "media-short" could not be told apart by name alone.
  json deployment = Deployment(3, 4);
  deployment["metadata"]["labels"][kLabelPool] = "med";
  deployment["metadata"]["labels"][kLabelLane] = "ia-short";
  Start(json::array({deployment}));
  EXPECT_EQ(platform_.Observe(kKey).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(platform_.SetReplicas(kKey, 1).error().kind, ErrorKind::kNotFound);
  EXPECT_TRUE(platform_.Remove(kKey));
  EXPECT_THAT(api_.writes(), IsEmpty());
}

TEST_F(KubernetesPlatformTest, FirstApplyLooksBeforeItWrites) {
  Start();
  AnswerPatchWith(Deployment(8, 2));
  const Result<WorkloadState> state = platform_.Apply(Pool(), Pool().lanes[0], 2);
  ASSERT_TRUE(state) << state.error().message;
  EXPECT_EQ(state->replicas, 2);
  EXPECT_EQ(*platform_.Observe(kKey), *state);  // Without waiting for the watch.
  EXPECT_THAT(api_.writes(),
              ElementsAre(AllOf(StartsWith("PATCH /apis/apps/v1/namespaces/studio/deployments/"
                                           "media-short {"),
                                HasSubstr(R"("replicas":2)"))));
  const std::vector<Request> requests = api_.requests();
  EXPECT_EQ(requests[requests.size() - 2].method, "GET");
}

TEST_F(KubernetesPlatformTest, LaterApplyIsOneRequestForExactlyThatDeployment) {
  Start(json::array({Deployment(3, 4)}));
  AnswerPatchWith(Deployment(8, 2));
  const std::size_t requests = api_.requests().size();
  ASSERT_TRUE(platform_.Apply(Pool(), Pool().lanes[0], 2));
  EXPECT_LE(api_.requests().size(), requests + 2);  // It and the watch.
  EXPECT_THAT(api_.writes(), ElementsAre(HasSubstr(R"("uid":"d-1")")));
}

TEST_F(KubernetesPlatformTest, ForeignDeploymentIsNeverTouched) {
  Start();
  for (const auto& [deployment, owner] :
       {std::pair(Deployment(3, 4, "WorkerPool", "med", "p-2"), "WorkerPool med"),
        std::pair(Deployment(3, 4, "Rollout", "media", "p-2"), "Rollout media"),
        std::pair(json{{"metadata", {{"name", "media-short"}}}}, "nobody")}) {
    api_.respond = [body = deployment.dump()](const Request&) { return Answer{200, body}; };
    const Result<WorkloadState> state = platform_.Apply(Pool(), Pool().lanes[0], 2);
    ASSERT_FALSE(state);
    EXPECT_EQ(state.error(),
              (Error{ErrorKind::kInvalid,
                     "applying deployment studio/media-short: deployment studio/media-short exists "
                     "and belongs to " +
                         std::string(owner) + "; rename the lane, or delete that deployment"}));
  }
  EXPECT_THAT(api_.writes(), IsEmpty());
}

TEST_F(KubernetesPlatformTest, ForeignDeploymentInTheCacheIsNeverTouched) {
  Start(json::array({Deployment(3, 4, "WorkerPool", "other", "p-2")}));
  EXPECT_EQ(platform_.Apply(Pool(), Pool().lanes[0], 2).error().kind, ErrorKind::kInvalid);
  EXPECT_THAT(api_.writes(), IsEmpty());
}

TEST_F(KubernetesPlatformTest, LeftoverOfAPoolOfTheSameNameIsWaitedFor) {
  Start(json::array({Deployment(3, 4, "WorkerPool", "media", "p-0")}));
  const Result<WorkloadState> state = platform_.Apply(Pool(), Pool().lanes[0], 2);
  EXPECT_EQ(state.error().kind, ErrorKind::kRetryable);
  EXPECT_THAT(state.error().message, HasSubstr("garbage collector"));
  EXPECT_THAT(api_.writes(), IsEmpty());
}

TEST_F(KubernetesPlatformTest, SetReplicasIsOneSmallRequest) {
  Start(json::array({Deployment(3, 4)}));
  AnswerPatchWith(Deployment(9, 7));
  EXPECT_EQ(platform_.SetReplicas(kKey, 7)->generation, 9);
  EXPECT_EQ(platform_.Observe(kKey)->replicas, 7);
  EXPECT_THAT(api_.writes(),
              ElementsAre("PATCH /apis/apps/v1/namespaces/studio/deployments/media-short "
                          R"({"metadata":{"uid":"d-1"},"spec":{"replicas":7}})"));
}

TEST_F(KubernetesPlatformTest, ErrorsOfTheServerComeBackWithTheirKind) {
  Start(json::array({Deployment(3, 4)}));
  api_.respond = [](const Request&) { return Answer{403, R"({"message":"no"})"}; };
  EXPECT_EQ(platform_.SetReplicas(kKey, 7).error(),
            (Error{ErrorKind::kForbidden, "scaling deployment studio/media-short: 403 no"}));
  EXPECT_EQ(platform_.Observe(kKey)->replicas, 4);
  api_.respond = [](const Request&) { return Answer{200, "<html>"}; };
  EXPECT_EQ(
      platform_.SetReplicas(kKey, 7).error(),
      (Error{ErrorKind::kRetryable, "scaling deployment studio/media-short: unreadable answer"}));
}

TEST_F(KubernetesPlatformTest, RemovedDeploymentIsThereUntilItsWorkersHaveEnded) {
  Start(json::array({Deployment(3, 4)}));
  api_.respond = [](const Request&) { return Answer{200, "{}"}; };
  EXPECT_TRUE(platform_.Remove(kKey));
  EXPECT_TRUE(platform_.Remove(kKey)) << "asked for once";
  EXPECT_THAT(*platform_.List({"studio", "media"}), ElementsAre(kKey));
  EXPECT_EQ(platform_.Observe(kKey).error().kind, ErrorKind::kRetryable);
  EXPECT_EQ(platform_.SetReplicas(kKey, 1).error().kind, ErrorKind::kRetryable);
  EXPECT_EQ(platform_.Apply(Pool(), Pool().lanes[0], 1).error().kind, ErrorKind::kRetryable);
  EXPECT_THAT(api_.writes(), ElementsAre(AllOf(StartsWith("DELETE "), HasSubstr("Foreground"),
                                               HasSubstr(R"("uid":"d-1")"))));
}

TEST_F(KubernetesPlatformTest, ChangesByOthersAreAnnouncedAndOurOwnAreNot) {
  Start(json::array({Deployment(3, 4)}));
  ASSERT_THAT(changed(), ElementsAre("studio/media"));
  AnswerPatchWith(Deployment(9, 7));
  ASSERT_TRUE(platform_.SetReplicas(kKey, 7));
  const auto event = [](const json& object) {
    return json{{"type", "MODIFIED"}, {"object", object}}.dump();
  };
  api_.Play({.lines = {event(Deployment(9, 7)), event(Deployment(11, 1))}});
  EXPECT_TRUE(Eventually([&] { return changed().size() == 2; }));
  platform_.Stop();
  EXPECT_THAT(changed(), ElementsAre("studio/media", "studio/media"));
  EXPECT_EQ(platform_.Observe(kKey)->replicas, 1);
}

TEST_F(KubernetesPlatformTest, StatusIsOnePatchOfTheSubresource) {
  api_.respond = [](const Request&) { return Answer{200, "{}"}; };
  EXPECT_TRUE(platform_.WriteStatus(Pool(), {.observed_generation = 3}));
  EXPECT_THAT(
      api_.writes(),
      ElementsAre(AllOf(
          StartsWith(
              "PATCH /apis/lanekeeper.dev/v1alpha1/namespaces/studio/workerpools/media/status "
              R"({"metadata":{"uid":"p-1"},"status":{)"),
          HasSubstr(R"("observedGeneration":3)"))));
}

TEST_F(KubernetesPlatformTest, StatusOfAPoolWithoutOneIsEmpty) {
  api_.respond = [](const Request&) { return Answer{200, R"({"spec":{}})"}; };
  EXPECT_EQ(*platform_.ReadStatus(kPool), PoolStatus());
  api_.respond = [](const Request&) {
    return Answer{200, R"({"status":{"observedGeneration":4}})"};
  };
  EXPECT_EQ(platform_.ReadStatus(kPool)->observed_generation, 4);
}

struct FinalizerCase {
  const char* name;
  const char* finalizers;
  bool add;
  const char* patch;  // Of the finalizers; empty: no write.
};
void PrintTo(const FinalizerCase& row, std::ostream* out) { *out << row.name; }

class FinalizerTest : public testing::TestWithParam<FinalizerCase> {};

TEST_P(FinalizerTest, LeavesThoseOfOthers) {
  ScriptedApi api;
  FakeClock clock;
  KubernetesPlatform platform(api, clock, {});
  api.respond = [](const Request&) {
    return Answer{200, R"({"metadata":{"uid":"p-1","resourceVersion":"9","finalizers":)" +
                           std::string(GetParam().finalizers) + "}}"};
  };
  const Result<void> set =
      GetParam().add ? platform.AddFinalizer(Pool()) : platform.RemoveFinalizer(Pool());
  EXPECT_TRUE(set);
  if (*GetParam().patch == '\0') {
    EXPECT_THAT(api.writes(), IsEmpty());
    return;
  }
  EXPECT_THAT(api.writes(),
              ElementsAre("PATCH /apis/lanekeeper.dev/v1alpha1/namespaces/studio/workerpools/media "
                          R"({"metadata":{"finalizers":)" +
                          std::string(GetParam().patch) + R"(,"resourceVersion":"9"}})"));
}

INSTANTIATE_TEST_SUITE_P(
    Rows, FinalizerTest,
    testing::Values(FinalizerCase{"AddToNone", "null", true, R"(["lanekeeper.dev/queues"])"},
                    FinalizerCase{"AddToOthers", R"(["a/b","c/d"])", true,
                                  R"(["a/b","c/d","lanekeeper.dev/queues"])"},
                    FinalizerCase{"AddTwice", R"(["lanekeeper.dev/queues"])", true, ""},
                    FinalizerCase{"RemoveTheLast", R"(["lanekeeper.dev/queues"])", false, "[]"},
                    FinalizerCase{"RemoveFromOthers", R"(["a/b","lanekeeper.dev/queues","c/d"])",
                                  false, R"(["a/b","c/d"])"},
                    FinalizerCase{"RemoveTwice", R"(["a/b"])", false, ""}),
    [](const auto& test) { return test.param.name; });

TEST_F(KubernetesPlatformTest, FinalizerOfAPoolThatIsGoneIsRemoved) {
  EXPECT_TRUE(platform_.RemoveFinalizer(Pool()));
  EXPECT_EQ(platform_.AddFinalizer(Pool()).error().kind, ErrorKind::kNotFound);
  // Another pool of that name keeps its own.
  api_.respond = [](const Request&) {
    return Answer{200, R"({"metadata":{"uid":"p-2","finalizers":["lanekeeper.dev/queues"]}})"};
  };
  EXPECT_TRUE(platform_.RemoveFinalizer(Pool()));
  EXPECT_THAT(api_.writes(), IsEmpty());
}

TEST_F(KubernetesPlatformTest, PublishDoesNotWait) {
  Start();
  std::atomic<bool> release{false};
  api_.respond = [&](const Request&) {
    while (!release) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return Answer{201, "{}"};
  };
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 10; ++i) platform_.Publish(Pool(), {.reason = "R", .message = "m"});
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(100));
  release = true;
  EXPECT_TRUE(Eventually([&] { return api_.writes().size() == 10; }));
}

}  // namespace
}  // namespace lanekeeper::kubernetes
