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

const LaneKey kShortLane{"studio", "media", "short"};
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
      {"status", {{"observedGeneration", version}}},
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
  EXPECT_EQ(platform_.Observe(kShortLane).error().kind, ErrorKind::kRetryable);
  EXPECT_EQ(platform_.List(kPool).error().kind, ErrorKind::kRetryable);
  EXPECT_EQ(platform_.Remove(kShortLane).error().kind, ErrorKind::kRetryable);
  EXPECT_EQ(platform_.Workers(kShortLane).error(),
            (Error{ErrorKind::kRetryable, "the pods are not listed yet"}));
  EXPECT_EQ(platform_.Mark(kShortLane, "w", {}).error().kind, ErrorKind::kRetryable);
  Start();
  EXPECT_THAT(changed(), ElementsAre("studio/media"));
}

TEST_F(KubernetesPlatformTest, ObserveAnswersFromTheCacheWithoutARequest) {
  Start(json::array({Deployment(3, 4)}));
  const std::size_t requests = api_.requests().size();
  EXPECT_EQ(
      *platform_.Observe(kShortLane),
      (WorkloadState{.replicas = 4, .lane_hash = LaneHash(Pool().lanes[0]), .generation = 3}));
  EXPECT_THAT(*platform_.List(kPool), ElementsAre(kShortLane));
  EXPECT_EQ(platform_.Observe({"studio", "media", "long"}).error().kind, ErrorKind::kNotFound);
  EXPECT_LE(api_.requests().size(), requests + 2);  // The watches themselves.
  EXPECT_THAT(api_.writes(), IsEmpty());
}

TEST_F(KubernetesPlatformTest, WorkersOfAnotherNatsServerCountAsChanged) {
  json deployment = Deployment(3, 4);
  deployment["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = "nats://old";
  Start(json::array({deployment}));
  EXPECT_EQ(platform_.Observe(kShortLane)->lane_hash, "");
}

TEST_F(KubernetesPlatformTest, DeploymentOfALaneWithTheSameNameIsNotThisLanes) {
  // Pool media with lane short, and pool "media-short" could not be told apart by name alone.
  json deployment = Deployment(3, 4);
  deployment["metadata"]["labels"][kLabelPool] = "med";
  deployment["metadata"]["labels"][kLabelLane] = "ia-short";
  Start(json::array({deployment}));
  EXPECT_EQ(platform_.Observe(kShortLane).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(platform_.SetReplicas(kShortLane, 1).error().kind, ErrorKind::kNotFound);
  EXPECT_TRUE(platform_.Remove(kShortLane));
  EXPECT_THAT(api_.writes(), IsEmpty());
}

TEST_F(KubernetesPlatformTest, FirstApplyLooksBeforeItWrites) {
  Start();
  AnswerPatchWith(Deployment(8, 2));
  const Result<WorkloadState> state = platform_.Apply(Pool(), Pool().lanes[0], 2);
  ASSERT_TRUE(state) << state.error().message;
  EXPECT_EQ(state->replicas, 2);
  EXPECT_EQ(*platform_.Observe(kShortLane), *state);  // Without waiting for the watch.
  EXPECT_THAT(api_.writes(),
              ElementsAre(AllOf(StartsWith("PATCH /apis/apps/v1/namespaces/studio/deployments/"
                                           "media-short {"),
                                HasSubstr(R"("replicas":2)"))));
  std::vector<std::string> asked;
  for (const Request& request : api_.requests()) {
    if (request.path.find("/media-short") != std::string::npos) asked.push_back(request.method);
  }
  EXPECT_THAT(asked, ElementsAre("GET", "PATCH"));
}

TEST_F(KubernetesPlatformTest, LaterApplyIsOneRequestForExactlyThatDeployment) {
  Start(json::array({Deployment(3, 4)}));
  AnswerPatchWith(Deployment(8, 2));
  const std::size_t requests = api_.requests().size();
  ASSERT_TRUE(platform_.Apply(Pool(), Pool().lanes[0], 2));
  EXPECT_LE(api_.requests().size(), requests + 3);  // It and the watches.
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
  EXPECT_EQ(platform_.SetReplicas(kShortLane, 7)->generation, 9);
  EXPECT_EQ(platform_.Observe(kShortLane)->replicas, 7);
  EXPECT_THAT(api_.writes(),
              ElementsAre("PATCH /apis/apps/v1/namespaces/studio/deployments/media-short "
                          R"({"metadata":{"uid":"d-1"},"spec":{"replicas":7}})"));
}

TEST_F(KubernetesPlatformTest, ErrorsOfTheServerComeBackWithTheirKind) {
  Start(json::array({Deployment(3, 4)}));
  api_.respond = [](const Request&) { return Answer{403, R"({"message":"no"})"}; };
  EXPECT_EQ(platform_.SetReplicas(kShortLane, 7).error(),
            (Error{ErrorKind::kForbidden, "scaling deployment studio/media-short: 403 no"}));
  EXPECT_EQ(platform_.Observe(kShortLane)->replicas, 4);
  api_.respond = [](const Request&) { return Answer{200, "<html>"}; };
  EXPECT_EQ(
      platform_.SetReplicas(kShortLane, 7).error(),
      (Error{ErrorKind::kRetryable, "scaling deployment studio/media-short: unreadable answer"}));
}

TEST_F(KubernetesPlatformTest, RemovedDeploymentIsThereUntilItsWorkersHaveEnded) {
  Start(json::array({Deployment(3, 4)}));
  api_.respond = [](const Request&) { return Answer{200, "{}"}; };
  EXPECT_TRUE(platform_.Remove(kShortLane));
  EXPECT_TRUE(platform_.Remove(kShortLane)) << "asked for once";
  EXPECT_THAT(*platform_.List({"studio", "media"}), ElementsAre(kShortLane));
  EXPECT_EQ(platform_.Observe(kShortLane).error().kind, ErrorKind::kRetryable);
  EXPECT_EQ(platform_.SetReplicas(kShortLane, 1).error().kind, ErrorKind::kRetryable);
  EXPECT_EQ(platform_.Apply(Pool(), Pool().lanes[0], 1).error().kind, ErrorKind::kRetryable);
  EXPECT_THAT(api_.writes(), ElementsAre(AllOf(StartsWith("DELETE "), HasSubstr("Foreground"),
                                               HasSubstr(R"("uid":"d-1")"))));
}

TEST_F(KubernetesPlatformTest, ChangesByOthersAreAnnouncedAndOurOwnAreNot) {
  Start(json::array({Deployment(3, 4)}));
  ASSERT_THAT(changed(), ElementsAre("studio/media"));
  AnswerPatchWith(Deployment(9, 7));
  ASSERT_TRUE(platform_.SetReplicas(kShortLane, 7));
  const auto event = [](const json& object) {
    return json{{"type", "MODIFIED"}, {"object", object}}.dump();
  };
  api_.Play({.lines = {event(Deployment(9, 7)), event(Deployment(11, 1))}});
  EXPECT_TRUE(Eventually([&] { return changed().size() == 2; }));
  platform_.Stop();
  EXPECT_THAT(changed(), ElementsAre("studio/media", "studio/media"));
  EXPECT_EQ(platform_.Observe(kShortLane)->replicas, 1);
}

json Pod(int version, bool ready = true, const char* cost = nullptr) {
  json pod = {
      {"metadata",
       {{"namespace", "studio"},
        {"name", "media-short-a"},
        {"uid", "w-1"},
        {"resourceVersion", std::to_string(version)},
        {"labels", {{kLabelPool, "media"}, {kLabelLane, "short"}}}}},
      {"status",
       {{"phase", "Running"},
        {"conditions", json::array({{{"type", "PodScheduled"}, {"status", "True"}},
                                    {{"type", "Ready"}, {"status", ready ? "True" : "False"}}})}}}};
  if (cost != nullptr) pod["metadata"]["annotations"] = {{kAnnotationDeletionCost, cost}};
  return pod;
}

std::string Event(const char* type, const json& object) {
  return json{{"type", type}, {"object", object}}.dump();
}

constexpr const char* kMarkPath = "PATCH /api/v1/namespaces/studio/pods/media-short-a ";
const WorkerMarks kFirstToGo{.first_to_go = true};

class WorkersTest : public KubernetesPlatformTest {
 protected:
  // With one worker, which the list of pods brings.
  void StartWith(const json& pod) {
    api_.pods_body =
        json{{"metadata", {{"resourceVersion", "5"}}}, {"items", json::array({pod})}}.dump();
    Start(json::array({Deployment(3, 1)}));
  }
  PlacedWorker Only() {
    const Result<Crew> crew = platform_.Workers(kShortLane);
    EXPECT_TRUE(crew && crew->placed.size() == 1);
    return crew && !crew->placed.empty() ? crew->placed[0] : PlacedWorker{};
  }
  void AnswerMarkWith(Answer answer) {
    api_.respond = [answer](const Request&) { return answer; };
  }
};

TEST_F(WorkersTest, ComeFromTheCacheWithoutARequest) {
  StartWith(Pod(3));
  EXPECT_EQ(Only(), (PlacedWorker{.name = "media-short-a",
                                  .phase = PlacedWorker::Phase::kReady,
                                  .since = clock_.Now()}));
  EXPECT_EQ(*platform_.Workers({"studio", "media", "long"}), Crew());
  EXPECT_THAT(api_.writes(), IsEmpty());
  std::vector<std::string> asked;
  for (const Request& request : api_.requests()) {
    if (request.path == "/api/v1/pods") asked.push_back(request.query);
  }
  EXPECT_THAT(asked, Contains(StartsWith("labelSelector=lanekeeper.dev%2Fpool&limit=100")));
}

TEST_F(WorkersTest, ArePodsOfTheOnlyNamespace) {
  KubernetesPlatform platform(api_, clock_, {.only_namespace = "studio"});
  platform.Start([](const PoolKey&) {});
  ASSERT_TRUE(Eventually([&] { return platform.synced(); }));
  platform.Stop();
  std::set<std::string> asked;
  for (const Request& request : api_.requests()) asked.insert(request.path);
  EXPECT_THAT(asked, ElementsAre("/api/v1/namespaces/studio/pods",
                                 "/apis/apps/v1/namespaces/studio/deployments"));
}

TEST_F(WorkersTest, ChangesAreAnnounced) {
  StartWith(Pod(3, false));
  api_.PlayPods({.lines = {Event("MODIFIED", Pod(6, false)), Event("MODIFIED", Pod(7))}});
  EXPECT_TRUE(Eventually([&] { return Only().phase == PlacedWorker::Phase::kReady; }));
  EXPECT_TRUE(Eventually([&] { return changed().size() == 3; }));
  platform_.Stop();
  EXPECT_EQ(changed().size(), 3u) << "Deployment, pod and its one change";
}

TEST_F(WorkersTest, MarkIsOneRequestForExactlyThatPodAndThereAtOnce) {
  StartWith(Pod(3));
  AnswerMarkWith({200, Pod(8, true, "-1000").dump()});
  ASSERT_TRUE(platform_.Mark(kShortLane, "media-short-a", kFirstToGo));
  EXPECT_EQ(Only().marks, kFirstToGo);
  EXPECT_THAT(
      api_.writes(),
      ElementsAre(std::string(kMarkPath) +
                  R"({"metadata":{"annotations":{)"
                  R"("controller.kubernetes.io/pod-deletion-cost":"-1000"},"uid":"w-1"}})"));
  ASSERT_TRUE(platform_.Mark(kShortLane, "media-short-a", kFirstToGo));
  EXPECT_EQ(api_.writes().size(), 1u) << "it has it already";
}

TEST_F(WorkersTest, EchoOfAMarkIsNotAnnouncedAndALostOneIs) {
  StartWith(Pod(3));
  const std::size_t before = changed().size();
  AnswerMarkWith({200, Pod(8, true, "-1000").dump()});
  ASSERT_TRUE(platform_.Mark(kShortLane, "media-short-a", kFirstToGo));
  api_.PlayPods({.lines = {Event("MODIFIED", Pod(8, true, "-1000")), Event("MODIFIED", Pod(9))}});
  EXPECT_TRUE(Eventually([&] { return !Only().marks.first_to_go; }));
  EXPECT_TRUE(Eventually([&] { return changed().size() == before + 1; }));
  platform_.Stop();
  EXPECT_EQ(changed().size(), before + 1);
}

// 410 in mid-stream: the list that follows was made before our mark, or after it.
TEST_F(WorkersTest, MarkOutlivesALostWatchAndAnOlderList) {
  StartWith(Pod(3));
  AnswerMarkWith({200, Pod(8, true, "-1000").dump()});
  ASSERT_TRUE(platform_.Mark(kShortLane, "media-short-a", kFirstToGo));
  const std::size_t lists = api_.requests().size();
  api_.PlayPods({.lines = {R"({"type":"ERROR","object":{"code":410,"message":"too old"}})"}});
  // List and the watch after it.
  ASSERT_TRUE(api_.WaitForRequests(lists + 2));
  EXPECT_EQ(Only().marks, kFirstToGo);
  api_.PlayPods({.lines = {Event("MODIFIED", Pod(9, false, "-1000"))}});
  EXPECT_TRUE(Eventually([&] { return Only().phase == PlacedWorker::Phase::kNotReady; }));
  EXPECT_EQ(Only().marks, kFirstToGo);
}

TEST_F(WorkersTest, WorkerThatIsGoneOrEndingCannotBeMarked) {
  json pod = Pod(3);
  pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
  StartWith(pod);
  EXPECT_EQ(platform_.Mark(kShortLane, "media-short-a", kFirstToGo).error(),
            (Error{ErrorKind::kNotFound, "lane studio/media/short has no worker media-short-a"}));
  EXPECT_EQ(platform_.Mark(kShortLane, "nobody", {}).error().kind, ErrorKind::kNotFound);
  EXPECT_THAT(api_.writes(), IsEmpty());
}

struct MarkRefusal {
  const char* name;
  Answer answer;
  Error error;
};
void PrintTo(const MarkRefusal& row, std::ostream* out) { *out << row.name; }

class RefusedMarkTest : public WorkersTest, public testing::WithParamInterface<MarkRefusal> {};

TEST_P(RefusedMarkTest, SaysWhatToDoAndLeavesTheMarksAsTheyWere) {
  StartWith(Pod(3));
  AnswerMarkWith(GetParam().answer);
  const Result<void> marked = platform_.Mark(kShortLane, "media-short-a", kFirstToGo);
  ASSERT_FALSE(marked);
  EXPECT_EQ(marked.error(), GetParam().error);
  EXPECT_EQ(Only().marks, WorkerMarks());
  // And the next attempt is a request again.
  AnswerMarkWith({200, Pod(8, true, "-1000").dump()});
  EXPECT_TRUE(platform_.Mark(kShortLane, "media-short-a", kFirstToGo));
  EXPECT_EQ(api_.writes().size(), 2u);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, RefusedMarkTest,
    testing::Values(
        MarkRefusal{"PodIsGone",
                    {404, R"({"message":"no pod"})"},
                    {ErrorKind::kNotFound, "marking pod studio/media-short-a: 404 no pod"}},
        MarkRefusal{"AnotherOfThatName",
                    {409, R"({"message":"uid"})"},
                    {ErrorKind::kRetryable, "marking pod studio/media-short-a: 409 uid"}},
        MarkRefusal{"TooMany",
                    {429, R"({"message":"later"})"},
                    {ErrorKind::kRetryable, "marking pod studio/media-short-a: 429 later"}},
        MarkRefusal{"NotAllowed",
                    {403, R"({"message":"no"})"},
                    {ErrorKind::kForbidden, "marking pod studio/media-short-a: 403 no"}},
        MarkRefusal{"Unreadable", {200, "<html>"}, {ErrorKind::kRetryable, "unreadable answer"}}),
    [](const auto& test) { return test.param.name; });

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
  // There are no answers before all of them have been published.
  for (int i = 0; i < 10; ++i) platform_.Publish(Pool(), {.reason = "R", .message = "m"});
  release = true;
  EXPECT_TRUE(Eventually([&] { return api_.writes().size() == 10; }));
}

}  // namespace
}  // namespace lanekeeper::kubernetes
