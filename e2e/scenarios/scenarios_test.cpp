// The whole path on the real thing: a real API server, kubelet and containers, a real nats-server,
// the operator as a pod under its own account. Each test works in a namespace of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <thread>

#include "e2e/scenarios/harness.h"
#include "e2e/scenarios/scenario_fixture.h"

namespace lanekeeper::e2e {
namespace {

using testing::IsEmpty;

std::string ReplaceAll(std::string text, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
  return text;
}

// Every id ended in success exactly once.
void ExpectOnceEach(const std::map<std::string, int>& results, const std::string& prefix,
                    int count) {
  int found = 0;
  for (const auto& [id, times] : results) {
    if (id.rfind(prefix, 0) != 0) continue;
    ++found;
    EXPECT_EQ(times, 1) << id << " ran " << times << " times";
  }
  EXPECT_EQ(found, count) << prefix;
}

TEST_F(ScenarioTest, MixedPoolScalesFromZeroInOneStepAndBack) {
  std::string manifest = ReadProjectFile("e2e/examples/mixed.yaml");
  manifest = ReplaceAll(manifest, "name: studio", "name: " + pool_namespace);
  manifest = ReplaceAll(manifest, "namespace: studio", "namespace: " + pool_namespace);
  manifest = ReplaceAll(manifest, "command: [lanekeeper-example-worker]",
                        "command: [lanekeeper-example-worker]\n"
                        "        env: [{name: EXAMPLE_RESULTS_SUBJECT, value: e2e.results}]");
  ASSERT_TRUE(cluster.Apply(manifest));
  ASSERT_TRUE(Await("pool is Ready", [this] { return IsReady(); }));
  const ReplicaHistory history(cluster, pool_namespace);
  ASSERT_TRUE(Await("the watch sees the lanes at zero", [&] {
    return history.Of("media-short") == std::vector<int>{0} &&
           history.Of("media-long") == std::vector<int>{0} &&
           history.Of("media-gpu") == std::vector<int>{0};
  }));

  // Paused while they are published, so that the step is taken from the whole backlog at once.
  ASSERT_TRUE(cluster.PatchPool(pool_namespace, "media", {{"spec", {{"paused", true}}}}));
  ASSERT_TRUE(Await("pool is paused", [this] { return Condition("Ready")["reason"] == "Paused"; }));
  const std::string run = pool_namespace;
  ASSERT_EQ(jobs.Publish(Key("short"), 500, "sleep", "50", run + "-short"), 500);
  ASSERT_EQ(jobs.Publish(Key("long"), 20, "sleep", "3000", run + "-long"), 20);
  ASSERT_EQ(jobs.Publish(Key("gpu"), 5, "sleep", "2000", run + "-gpu"), 5);
  ASSERT_TRUE(Await("the pool has seen them all", [this] {
    return Pool().value(Json::json_pointer("/status/summary/waiting"), 0) == 525;
  }));
  ASSERT_TRUE(cluster.PatchPool(pool_namespace, "media", {{"spec", {{"paused", false}}}}));

  EXPECT_TRUE(Await("525 jobs are done", [&] { return jobs.Finished(run) == 525; }));
  EXPECT_TRUE(Await("lanes are back at zero", [this] {
    return Replicas("short") == 0 && Replicas("long") == 0 && Replicas("gpu") == 0;
  }));
  const auto results = jobs.Results();
  ExpectOnceEach(results, run + "-short", 500);
  ExpectOnceEach(results, run + "-long", 20);
  ExpectOnceEach(results, run + "-gpu", 5);
  // 500 jobs at 16 per worker are 32, max 20; 20 at 1 are 20, max 10; 5 at 1 are 5, max 2.
  EXPECT_THAT(history.Of("media-short"), testing::Contains(20));
  EXPECT_EQ(history.Of("media-short")[1], 20) << "more than one step up";
  EXPECT_EQ(history.Of("media-long")[1], 10) << "more than one step up";
  EXPECT_EQ(history.Of("media-gpu")[1], 2) << "more than one step up";
  EXPECT_TRUE(Await("status is at rest", [this] {
    const Json pool = Pool();
    if (!pool.is_object()) return false;
    for (const Json& lane : pool.at(Json::json_pointer("/status/lanes"))) {
      if (lane.value("waiting", 0) + lane.value("running", 0) + lane.value("parked", 0) != 0)
        return false;
      if (lane.at("workers").value("desired", 0) != 0) return false;
    }
    return true;
  }));
}

TEST_F(ScenarioTest, PoisonJobEndsInDeadLettersWhileOthersGoOn) {
  ApplyPool(
      "  - name: short\n"
      "    jobs: {attempts: 2, backoff: {initial: 200ms, max: 1s}}\n"
      "    workers: {max: 3, slots: 4}\n"
      "    scaling: {jobsPerWorker: 8, scaleDownWindow: 5s}\n");
  const std::string run = pool_namespace;
  ASSERT_EQ(jobs.Publish(Key("short"), 1, "poison", "{\"broken\"", run + "-poison"), 1);
  ASSERT_EQ(jobs.Publish(Key("short"), 1, "fail", "1", run + "-fail"), 1);
  ASSERT_EQ(jobs.Publish(Key("short"), 30, "sleep", "100", run + "-good"), 30);
  EXPECT_TRUE(Await("good jobs are done", [&] { return jobs.Finished(run + "-good") == 30; }));

  const std::string dead = DeadStreamName(pool_namespace, "media");
  std::map<std::string, nats::StoredMessage> letters;
  EXPECT_TRUE(Await("two dead letters", [&] {
    letters.clear();
    for (std::uint64_t sequence = 1; sequence <= 2; ++sequence) {
      auto stored = jobs.jetstream().GetMessage(dead, sequence);
      if (!stored) return false;
      const nats::Message message{.headers = stored->headers};
      letters[std::string(message.Header(kHeaderDeadJobId).value_or(""))] = *stored;
    }
    return true;
  }));
  const auto header = [&](const std::string& id, std::string_view name) {
    const nats::Message message{.headers = letters[id].headers};
    return std::string(message.Header(name).value_or("(absent)"));
  };
  EXPECT_EQ(letters[run + "-poison-0"].payload, "{\"broken\"");
  EXPECT_EQ(header(run + "-poison-0", kHeaderDeadReason), "rejected");
  EXPECT_EQ(header(run + "-fail-0", kHeaderDeadReason), "attempts-used-up");
  EXPECT_EQ(header(run + "-fail-0", kHeaderDeadAttempts), "2");
  EXPECT_TRUE(Await("the pool says so",
                    [this] { return Condition("DeadLetters").value("status", "") == "True"; }));
  EXPECT_TRUE(Await("lane is back at zero", [this] { return Replicas("short") == 0; }));
}

TEST_F(ScenarioTest, KilledOperatorTakesNoWrongStep) {
  ApplyPool(
      "  - name: long\n"
      "    class: Long\n"
      "    workers: {max: 6}\n"
      "    scaling: {jobsPerWorker: 1, scaleDownWindow: 10s}\n");
  const ReplicaHistory history(cluster, pool_namespace);
  const std::string run = pool_namespace;
  ASSERT_EQ(jobs.Publish(Key("long"), 24, "sleep", "5000", run), 24);
  ASSERT_TRUE(Await("lane is at its maximum", [this] { return Replicas("long") == 6; }));
  ASSERT_TRUE(Await("jobs are running", [&] { return jobs.Finished(run) >= 2; }));

  for (int round = 0; round < 2; ++round) {
    const pid_t pid = OperatorPid();
    if (pid > 0) {
      ASSERT_EQ(kill(pid, SIGKILL), 0);
    } else {  // Another machine's cluster: the nearest thing to a SIGKILL.
      cluster.Kubectl({"delete", "pod", "-n", "lanekeeper-system", "-l",
                       "app.kubernetes.io/component=operator", "--grace-period=0", "--force"});
    }
    ASSERT_TRUE(Await("operator is up again", [&] {
      const pid_t now = OperatorPid();
      const Ended ready =
          cluster.Kubectl({"get", "deployment", "lanekeeper-operator", "-n", "lanekeeper-system",
                           "-o", "jsonpath={.status.readyReplicas}"});
      return ready.out == "1" && (pid == 0 || (now != 0 && now != pid));
    }));
  }
  EXPECT_TRUE(Await("24 jobs are done", [&] { return jobs.Finished(run) == 24; }));
  ExpectOnceEach(jobs.Results(), run, 24);
  EXPECT_TRUE(Await("lane is back at zero", [this] { return Replicas("long") == 0; }));
  std::vector<int> steps = history.Of("media-long");
  // Up once, then only down: no step that a restart without memory would have taken.
  const auto peak = std::max_element(steps.begin(), steps.end());
  EXPECT_EQ(*peak, 6);
  EXPECT_TRUE(std::is_sorted(peak, steps.end(), std::greater<>())) << testing::PrintToString(steps);
}

TEST_F(ScenarioTest, NatsGoneHoldsReplicasThenRecoversAndLosesNothing) {
  if (std::getenv("E2E_KUBECONFIG") != nullptr) {
    std::printf("    NATS of another cluster is not ours to stop: nothing to see here\n");
    return;
  }
  ApplyPool(
      "  - name: short\n"
      "    workers: {max: 5, slots: 2}\n"
      "    scaling: {jobsPerWorker: 4, scaleDownWindow: 5s}\n");
  const ReplicaHistory history(cluster, pool_namespace);
  const std::string run = pool_namespace;
  ASSERT_EQ(jobs.Publish(Key("short"), 120, "sleep", "1000", run), 120);
  ASSERT_TRUE(Await("lane is at its maximum", [this] { return Replicas("short") == 5; }));
  ASSERT_TRUE(Await("jobs are running", [&] { return jobs.Finished(run) >= 10; }));

  ASSERT_EQ(RunProgram({"e2e/cluster/cluster.sh", "nats-stop"}).status, 0);
  EXPECT_TRUE(Await("the pool says that NATS is gone", [this] {
    return Condition("QueueReachable").value("reason", "") == "NatsDisconnected";
  }));
  // Longer than the scale-down window: what is held is held by doubt, not by the window.
  std::this_thread::sleep_for(std::chrono::seconds(20));
  EXPECT_EQ(Replicas("short"), 5);
  EXPECT_EQ(history.Of("media-short").back(), 5);
  ASSERT_EQ(RunProgram({"e2e/cluster/cluster.sh", "nats-start"}).status, 0);

  EXPECT_TRUE(Await("the queue is reachable again", [this] {
    return Condition("QueueReachable").value("status", "") == "True" && IsReady();
  }));
  EXPECT_TRUE(Await("120 jobs are done", [&] { return jobs.Finished(run) == 120; }));
  EXPECT_TRUE(Await("lane is back at zero", [this] { return Replicas("short") == 0; }));
  int again = 0;
  for (const auto& [id, times] : jobs.Results()) again += id.rfind(run, 0) == 0 ? times - 1 : 0;
  std::printf("    %d jobs ran again because their acknowledgement was lost with NATS\n", again);
  const auto info = jobs.jetstream().StreamInfo(JobStreamName(Key("short")));
  ASSERT_TRUE(info.has_value());
  EXPECT_EQ(info->messages, 0);
}

TEST_F(ScenarioTest, EditedSpecConverges) {
  const std::string lanes =
      "  - name: short\n"
      "    workers: {max: 6, slots: 1}\n"
      "    scaling: {jobsPerWorker: 1, scaleDownWindow: 5s}\n";
  ApplyPool(lanes);
  const std::string run = pool_namespace;
  ASSERT_EQ(jobs.Publish(Key("short"), 60, "sleep", "1500", run + "-a"), 60);
  ASSERT_TRUE(Await("lane is at its maximum", [this] { return Replicas("short") == 6; }));

  ASSERT_TRUE(
      cluster.Apply(PoolManifest(pool_namespace, "media", ReplaceAll(lanes, "max: 6", "max: 2"))));
  EXPECT_TRUE(Await("the pool says that it is limited", [this] {
    return Condition("ScalingLimited").value("reason", "") == "CappedAtMax";
  }));
  // Busy workers are never cut to make room: the maximum holds as soon as they are idle.
  EXPECT_TRUE(
      Await("replicas follow the lowered maximum", [this] { return Replicas("short") <= 2; }));
  ASSERT_EQ(jobs.Publish(Key("short"), 10, "sleep", "1500", run + "-b"), 10);
  EXPECT_TRUE(Await("and stay there", [this] { return Replicas("short") == 2; }));

  ASSERT_TRUE(cluster.PatchPool(
      pool_namespace, "media",
      {{"spec", {{"template", {{"metadata", {{"labels", {{"edition", "second"}}}}}}}}}}));
  EXPECT_TRUE(Await("every pod is of the new template", [this] {
    const auto pods = cluster.List("pods", pool_namespace, "lanekeeper.dev/lane=short");
    int fresh = 0;
    for (const Json& pod : pods) {
      if (pod["metadata"].contains("deletionTimestamp")) continue;
      if (pod["metadata"]["labels"].value("edition", "") != "second") return false;
      ++fresh;
    }
    return fresh > 0;
  }));
  EXPECT_TRUE(Await("70 jobs are done", [&] { return jobs.Finished(run) == 70; }));
  ExpectOnceEach(jobs.Results(), run, 70);
  EXPECT_TRUE(Await("status has seen the last edit", [this] {
    const Json pool = Pool();
    return pool["status"].value("observedGeneration", 0) ==
           pool["metadata"].value("generation", -1);
  }));
}

TEST_F(ScenarioTest, DeletedPoolLeavesNothingBehindButItsJobs) {
  ApplyPool(
      "  - name: short\n"
      "    workers: {min: 1, max: 2}\n"
      "    scaling: {scaleDownWindow: 5s}\n");
  ASSERT_TRUE(Await("a worker runs", [this] {
    const auto deployment = cluster.Get("deployment", pool_namespace, "media-short");
    return deployment.is_object() && deployment["status"].value("readyReplicas", 0) == 1;
  }));
  ASSERT_TRUE(cluster.PatchPool(pool_namespace, "media", {{"spec", {{"paused", true}}}}));
  ASSERT_EQ(
      cluster.Kubectl({"delete", "workerpool", "media", "-n", pool_namespace, "--timeout=120s"})
          .status,
      0);
  EXPECT_TRUE(Await("no workload is left", [this] {
    return cluster.List("deployments", pool_namespace).empty() &&
           cluster.List("replicasets", pool_namespace).empty() &&
           cluster.List("pods", pool_namespace).empty();
  }));
  EXPECT_EQ(MyStreams().size(), 2U) << "jobs and dead letters are kept by default";
}

TEST_F(ScenarioTest, DeletePolicyDeleteRemovesTheQueuesToo) {
  ApplyPool("  - name: short\n", "  queue: {deletePolicy: Delete}\n");
  EXPECT_EQ(MyStreams().size(), 2U);
  ASSERT_EQ(
      cluster.Kubectl({"delete", "workerpool", "media", "-n", pool_namespace, "--timeout=120s"})
          .status,
      0);
  EXPECT_THAT(MyStreams(), IsEmpty());
  EXPECT_THAT(cluster.List("deployments", pool_namespace), IsEmpty());
}

TEST_F(ScenarioTest, ExternalQueueWithoutConsumerHoldsAndSaysSoUntilItIsThere) {
  const std::string stream = "theirs_" + pool_namespace;
  ASSERT_TRUE(
      cluster.Apply(PoolManifest(pool_namespace, "media",
                                 "  - name: short\n"
                                 "    queue: {stream: " +
                                     stream +
                                     ", consumer: theirs}\n"
                                     "    workers: {min: 1, max: 4}\n"
                                     "    scaling: {jobsPerWorker: 1, scaleDownWindow: 5s}\n")));
  EXPECT_TRUE(Await("the pool says that the consumer is missing", [this] {
    return Condition("QueueReachable").value("reason", "") == "ConsumerMissing";
  }));
  EXPECT_EQ(Replicas("short"), 1) << "a missing consumer is not an endless queue";

  const Json config = {
      {"name", stream}, {"subjects", {"theirs." + pool_namespace}}, {"retention", "workqueue"}};
  ASSERT_TRUE(jobs.jetstream().CreateStream(stream, config.dump()).has_value());
  const Json consumer = {{"durable_name", "theirs"}, {"ack_policy", "explicit"}};
  ASSERT_TRUE(
      jobs.jetstream().PutConsumer(stream, "theirs", consumer.dump(), "create").has_value());
  for (int n = 0; n < 3; ++n) {  // Plain messages without any header.
    ASSERT_TRUE(jobs.jetstream().PublishAck("theirs." + pool_namespace, "2000").has_value());
  }
  EXPECT_TRUE(Await("lane follows the queue", [this] { return Replicas("short") == 3; }));
  EXPECT_TRUE(Await("pool is Ready", [this] { return IsReady(); }));
  EXPECT_TRUE(Await("the jobs are done", [&] {
    const auto info = jobs.jetstream().StreamInfo(stream);
    return info.has_value() && info->messages == 0;
  }));
  (void)jobs.jetstream().DeleteStream(stream);  // TearDown knows only Lanekeeper's own.
}

// Last: its container restarts with the kubelet's back-off.
TEST_F(ScenarioTest, SigtermEndsTheOperatorInGoodOrder) {
  const pid_t pid = OperatorPid();
  if (pid == 0) {
    std::printf("    the operator of another machine's cluster has no process here\n");
    return;
  }
  ASSERT_EQ(kill(pid, SIGTERM), 0);
  EXPECT_TRUE(Await("the process has ended", [&] { return kill(pid, 0) != 0; }));
  EXPECT_TRUE(Await("it ended with status 0", [this] {
    const auto pods = cluster.List("pods", "lanekeeper-system");
    for (const Json& pod : pods) {
      for (const char* state : {"lastState", "state"}) {
        const Json::json_pointer path("/status/containerStatuses/0/" + std::string(state) +
                                      "/terminated/exitCode");
        // 137 is that of KilledOperatorTakesNoWrongStep.
        if (pod.contains(path) && pod.at(path) == 0) return true;
      }
    }
    return false;
  }));
}

}  // namespace
}  // namespace lanekeeper::e2e
