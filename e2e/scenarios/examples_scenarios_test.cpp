// The images of worker-runtime/examples, in pods: every way to write a handler runs its jobs, and
// what it returned stands in the records. Needs `cluster.sh example-images`.
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "e2e/scenarios/harness.h"
#include "e2e/scenarios/scenario_fixture.h"
#include "worker-runtime/job/job_record.h"
#include "worker-runtime/nats/job_record_json.h"

namespace lanekeeper::e2e {
namespace {

class ExamplesScenarioTest : public ScenarioTest {
 protected:
  static constexpr int kJobs = 3;

  // A pool of one lane whose workers are `image` as it is.
  std::string PoolOf(const std::string& pool, const std::string& image) const {
    return "apiVersion: lanekeeper.dev/v1alpha1\n"
           "kind: WorkerPool\n"
           "metadata: {name: " +
           pool + ", namespace: " + pool_namespace +
           "}\n"
           "spec:\n"
           "  template:\n"
           "    spec:\n"
           "      containers:\n"
           "      - name: worker\n"
           "        image: lanekeeper/" +
           image +
           ":e2e\n"
           "        imagePullPolicy: IfNotPresent\n"
           "        resources: {requests: {cpu: 10m, memory: 16Mi}}\n"
           "  lanes:\n"
           "  - name: short\n"
           "    workers: {max: 1, slots: 2}\n";
  }

  LaneKey KeyOf(const std::string& pool) const { return {pool_namespace, pool, "short"}; }

  std::optional<JobRecord> RecordOf(const std::string& pool, const std::string& id) {
    const auto stored = jobs.jetstream().LastMessage(kRecordStream, RecordSubject(KeyOf(pool), id));
    if (!stored) return std::nullopt;
    const Result<JobRecord> record = nats::ReadJobRecord(stored->payload);
    return record ? std::optional(*record) : std::nullopt;
  }

  bool ServesLane(const std::string& pool) {
    const Json object = cluster.Get("workerpool", pool_namespace, pool);
    const Json::json_pointer path("/status/conditions");
    if (!object.is_object() || !object.contains(path)) return false;
    for (const Json& condition : object.at(path)) {
      if (condition.value("type", "") == "Ready") return condition.value("status", "") == "True";
    }
    return false;
  }

  // Every job of `pool` is done at its first run, with this result.
  void ExpectResult(const std::string& pool, const std::string& type, const std::string& payload,
                    const std::string& result) {
    ASSERT_TRUE(Await(pool + " is Ready", [&] { return ServesLane(pool); }));
    ASSERT_EQ(jobs.Publish(KeyOf(pool), kJobs, type, payload, pool), kJobs);
    for (int n = 0; n < kJobs; ++n) {
      const std::string id = pool + "-" + std::to_string(n);
      ASSERT_TRUE(Await(id + " is done", [&] {
        const auto record = RecordOf(pool, id);
        return record && record->state == JobState::kDone;
      }));
      const auto record = RecordOf(pool, id);
      EXPECT_EQ(record->result, result) << id;
      EXPECT_EQ(record->runs, 1) << id;
    }
  }
};

TEST_F(ExamplesScenarioTest, EveryKindOfHandlerRunsItsJobsInItsOwnImage) {
  ASSERT_TRUE(
      cluster.Apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: " + pool_namespace + "}\n"));
  // The manifest that HANDLERS.md shows, but for its namespace and where its images come from.
  std::string sidecar = ReadProjectFile("worker-runtime/examples/python_http/pool.yaml");
  const auto replace = [&sidecar](const std::string& from, const std::string& to) {
    const std::size_t at = sidecar.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    sidecar.replace(at, from.size(), to);
  };
  replace("namespace: studio", "namespace: " + pool_namespace);
  replace("image: hash-sidecar", "image: lanekeeper/hash-sidecar:e2e");
  replace("image: lanekeeper/worker", "image: lanekeeper/worker:e2e");
  ASSERT_TRUE(cluster.Apply(sidecar));
  ASSERT_TRUE(cluster.Apply(PoolOf("pages", "pages-worker")));
  ASSERT_TRUE(cluster.Apply(PoolOf("models", "model-worker")));
  ASSERT_TRUE(cluster.Apply(PoolOf("thumbnails", "thumbnail-worker")));

  ExpectResult("hashes", "hash", "lanekeeper",
               "70634f1fc7543c0faec281b9b37a8f2b3a9d5d2a128202e93f7028f20efc2244");
  ExpectResult("pages", "count", "one two\fthree", "3");
  ExpectResult("models", "infer", "a text of some words", "short");
  ExpectResult("thumbnails", "thumbnail", R"({"image":"1.png","tiles":2,"tile_ms":1})",
               "1.png.thumbnail");
}

}  // namespace
}  // namespace lanekeeper::e2e
