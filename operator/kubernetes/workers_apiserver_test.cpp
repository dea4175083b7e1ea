// Workers and their marks against a real API server, with real pod objects.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "operator/kubernetes/platform_apiserver_fixture.h"
#include "worker-runtime/base/time.h"

namespace lanekeeper::kubernetes {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using testing::ElementsAre;

// Pods without a kubelet: the test says how they are.
class WorkersApiServerTest : public PlatformApiServerTest {
 protected:
  using Phase = PlacedWorker::Phase;

  json CreatePod(const std::string& name, const json& annotations = json::object()) {
    return Do(CreateRequest(
        kPods, namespace_,
        json{{"apiVersion", "v1"},
             {"kind", "Pod"},
             {"metadata",
              {{"name", name},
               {"labels", {{kLabelPool, "media"}, {kLabelLane, "short"}}},
               {"annotations", annotations}}},
             {"spec",
              {{"nodeName", "nowhere"},  // So that a deletion waits for a kubelet.
               {"automountServiceAccountToken", false},
               {"containers", json::array({{{"name", "worker"}, {"image", "w:1"}}})}}}}
            .dump()));
  }
  void Report(const std::string& name, const char* type, const char* status,
              const char* reason = "", const char* message = "") {
    const json condition = {{"type", type},
                            {"status", status},
                            {"reason", reason},
                            {"message", message},
                            {"lastTransitionTime", FormatRfc3339(clock_.WallNow())}};
    Do(MergePatchStatusRequest(
        kPods, {namespace_, name},
        json{{"status", {{"conditions", json::array({condition})}}}}.dump()));
  }
  json Annotations(const std::string& name) {
    return Do(GetRequest(kPods, {namespace_, name}))["metadata"].value("annotations",
                                                                       json::object());
  }
  std::optional<PlacedWorker> Find(const std::string& name) {
    const Result<Crew> crew = platform_->Workers(ShortKey());
    if (!crew) return std::nullopt;
    for (const PlacedWorker& worker : crew->placed) {
      if (worker.name == name) return worker;
    }
    return std::nullopt;
  }
  bool Becomes(const std::string& name, Phase phase) {
    return Within(seconds(60), [&] {
      const std::optional<PlacedWorker> worker = Find(name);
      return worker && worker->phase == phase;
    });
  }
};

TEST_F(WorkersApiServerTest, AreSeenInEveryPhase) {
  EXPECT_EQ(*platform_->Workers(ShortKey()), Crew());
  CreatePod("a");
  ASSERT_TRUE(Becomes("a", Phase::kStarting));
  Report("a", "PodScheduled", "False", "Unschedulable", "0/1 nodes are available.");
  ASSERT_TRUE(Becomes("a", Phase::kNoRoom));
  EXPECT_EQ(Find("a")->why, "0/1 nodes are available.");
  EXPECT_EQ(Find("a")->cold_start, std::nullopt);
  Report("a", "Ready", "True");
  ASSERT_TRUE(Becomes("a", Phase::kReady));
  EXPECT_EQ(Find("a")->why, "");
  ASSERT_TRUE(Find("a")->cold_start);
  EXPECT_LT(*Find("a")->cold_start, seconds(60));
  Report("a", "Ready", "False", "ContainersNotReady");
  ASSERT_TRUE(Becomes("a", Phase::kNotReady));
}

TEST_F(WorkersApiServerTest, AreEndingBetweenTheWordAndTheEnd) {
  CreatePod("a");
  CreatePod("b");
  ASSERT_TRUE(Becomes("a", Phase::kStarting));
  ASSERT_TRUE(Becomes("b", Phase::kStarting));
  ASSERT_TRUE(platform_->Mark(ShortKey(), "a", {.first_to_go = true}));
  Do(DeleteRequest(kPods, {namespace_, "a"}, ""));
  ASSERT_TRUE(Within(seconds(60), [&] { return !platform_->Workers(ShortKey())->ending.empty(); }));
  const Crew crew = *platform_->Workers(ShortKey());
  EXPECT_THAT(crew.ending, ElementsAre(EndingWorker{"a", {.first_to_go = true}}));
  ASSERT_EQ(crew.placed.size(), 1u);
  EXPECT_EQ(crew.placed[0].name, "b");
  EXPECT_EQ(platform_->Mark(ShortKey(), "a", {}).error().kind, ErrorKind::kNotFound);
  Request now = DeleteRequest(kPods, {namespace_, "a"}, "");
  now.body = R"({"apiVersion":"v1","kind":"DeleteOptions","gracePeriodSeconds":0})";
  Do(now);
  EXPECT_TRUE(Within(seconds(60), [&] { return platform_->Workers(ShortKey())->ending.empty(); }));
}

TEST_F(WorkersApiServerTest, EvictedWorkerIsNoWorker) {
  CreatePod("a");
  ASSERT_TRUE(Becomes("a", Phase::kStarting));
  Do(MergePatchStatusRequest(kPods, {namespace_, "a"},
                             R"({"status":{"phase":"Failed","reason":"Evicted"}})"));
  EXPECT_TRUE(Within(seconds(60), [&] { return *platform_->Workers(ShortKey()) == Crew(); }));
}

TEST_F(WorkersApiServerTest, MarksArePutOnAndTakenOff) {
  CreatePod("a", {{"team", "media"}});
  ASSERT_TRUE(Becomes("a", Phase::kStarting));
  const std::uint64_t writes = client_->writes();
  const WorkerMarks both{.first_to_go = true, .shielded = true};
  ASSERT_TRUE(platform_->Mark(ShortKey(), "a", both));
  EXPECT_EQ(Find("a")->marks, both);
  EXPECT_EQ(Annotations("a"),
            json::parse(R"({"team":"media","controller.kubernetes.io/pod-deletion-cost":"-1000",
                            "karpenter.sh/do-not-disrupt":"true",
                            "cluster-autoscaler.kubernetes.io/safe-to-evict":"false",
                            "lanekeeper.dev/shield":"karpenter.sh/do-not-disrupt,)"
                        R"(cluster-autoscaler.kubernetes.io/safe-to-evict"})"));
  ASSERT_TRUE(platform_->Mark(ShortKey(), "a", both));
  EXPECT_EQ(client_->writes(), writes + 1);
  ASSERT_TRUE(platform_->Mark(ShortKey(), "a", {}));
  EXPECT_EQ(Annotations("a"), json::parse(R"({"team":"media"})"));
  EXPECT_EQ(Find("a")->marks, WorkerMarks());
}

TEST_F(WorkersApiServerTest, ShieldOfTheTemplateOutlivesOurs) {
  const json theirs = {{"cluster-autoscaler.kubernetes.io/safe-to-evict", "false"}};
  CreatePod("a", theirs);
  ASSERT_TRUE(Becomes("a", Phase::kStarting));
  ASSERT_TRUE(platform_->Mark(ShortKey(), "a", {.shielded = true}));
  EXPECT_EQ(Annotations("a")["karpenter.sh/do-not-disrupt"], "true");
  // The operator is another one now, and knows only what stands on the pod.
  KubernetesPlatform next(*client_, clock_, {.only_namespace = namespace_});
  next.Start([](const PoolKey&) {});
  ASSERT_TRUE(Within(seconds(60), [&] { return next.synced(); }));
  EXPECT_TRUE(next.Workers(ShortKey())->placed.at(0).marks.shielded);
  ASSERT_TRUE(next.Mark(ShortKey(), "a", {}));
  EXPECT_EQ(Annotations("a"), theirs);
}

TEST_F(WorkersApiServerTest, MarkTakenAwayByHandIsSeen) {
  CreatePod("a");
  ASSERT_TRUE(Becomes("a", Phase::kStarting));
  ASSERT_TRUE(platform_->Mark(ShortKey(), "a", {.first_to_go = true}));
  Do(MergePatchRequest(kPods, {namespace_, "a"}, R"({"metadata":{"annotations":null}})"));
  EXPECT_TRUE(Within(seconds(60), [&] { return !Find("a")->marks.first_to_go; }));
}

TEST_F(WorkersApiServerTest, MarkDoesNotReachAYoungerPodOfThatNameOrOneThatIsGone) {
  CreatePod("a");
  CreatePod("b");
  ASSERT_TRUE(Becomes("a", Phase::kStarting));
  ASSERT_TRUE(Becomes("b", Phase::kStarting));
  platform_->Stop();  // Behind the watch's back.
  for (const char* name : {"a", "b"}) {
    Request now = DeleteRequest(kPods, {namespace_, name}, "");
    now.body = R"({"apiVersion":"v1","kind":"DeleteOptions","gracePeriodSeconds":0})";
    Do(now);
  }
  CreatePod("a");
  const WorkerMarks marks{.first_to_go = true};
  const Result<void> younger = platform_->Mark(ShortKey(), "a", marks);
  ASSERT_FALSE(younger);
  EXPECT_EQ(younger.error().kind, ErrorKind::kRetryable) << younger.error().message;
  EXPECT_EQ(Annotations("a"), json::object());
  EXPECT_EQ(platform_->Mark(ShortKey(), "b", marks).error().kind, ErrorKind::kNotFound);
}

TEST_F(WorkersApiServerTest, MarkWhileTheServerIsAwayIsTriedAgainAndNothingIsForgotten) {
  if (!server_->is_ours()) GTEST_SKIP() << "not our API server to take down";
  CreatePod("a");
  CreatePod("b");
  ASSERT_TRUE(Becomes("a", Phase::kStarting));
  ASSERT_TRUE(Becomes("b", Phase::kStarting));
  const WorkerMarks marks{.first_to_go = true};
  ASSERT_TRUE(platform_->Mark(ShortKey(), "a", marks));
  server_->Kill();
  EXPECT_EQ(platform_->Mark(ShortKey(), "b", marks).error().kind, ErrorKind::kRetryable);
  EXPECT_EQ(Find("a")->marks, marks);
  EXPECT_EQ(Find("b")->marks, WorkerMarks());
  server_->Start();
  EXPECT_TRUE(
      Within(seconds(60), [&] { return platform_->Mark(ShortKey(), "b", marks).has_value(); }));
  EXPECT_EQ(Annotations("b")[kAnnotationDeletionCost], "-1000");
  // And the watch goes on.
  Report("a", "Ready", "True");
  EXPECT_TRUE(Becomes("a", Phase::kReady));
  EXPECT_EQ(Find("a")->marks, marks);
  EXPECT_EQ(Find("b")->marks, marks);
}

}  // namespace
}  // namespace lanekeeper::kubernetes
