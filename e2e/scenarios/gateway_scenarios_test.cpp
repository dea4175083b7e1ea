// Jobs that come through the gateway, with the tokens of service accounts, over its Service.
//
// Where the gateway is: LANEKEEPER_E2E_GATEWAY_URL, else the address of its Service, which this
// machine reaches in the cluster that cluster.sh brought up.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "e2e/scenarios/harness.h"
#include "e2e/scenarios/scenario_fixture.h"

namespace lanekeeper::e2e {
namespace {

struct Answered {
  int status = 0;  // 0: nobody answered.
  Json body;
};

class GatewayScenarioTest : public ScenarioTest {
 protected:
  void SetUp() override {
    ScenarioTest::SetUp();
    strangers_namespace_ = pool_namespace + "-strangers";
    const char* url = std::getenv("LANEKEEPER_E2E_GATEWAY_URL");
    if (url != nullptr) {
      url_ = url;
      return;
    }
    const Json service = cluster.Get("service", "lanekeeper-system", "lanekeeper-gateway");
    ASSERT_TRUE(service.is_object()) << "there is no gateway in this cluster";
    url_ = "http://" + service["spec"].value("clusterIP", "");
  }
  void TearDown() override {
    RemoveNamespace(cluster, jobs, strangers_namespace_);
    ScenarioTest::TearDown();
  }

  // A service account, allowed to hand in jobs in the pool's namespace or not, and its token.
  std::string TokenOf(const std::string& in_namespace, const std::string& name, bool allowed) {
    std::string manifest =
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: " + in_namespace +
        "}\n---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: " + name +
        ", namespace: " + in_namespace + "}\n";
    if (allowed) {
      manifest +=
          "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\n"
          "metadata: {name: " +
          name + "-jobs, namespace: " + in_namespace +
          "}\n"
          "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, "
          "name: 'lanekeeper:lanekeeper-system:lanekeeper:job-operator'}\n"
          "subjects: [{kind: ServiceAccount, name: " +
          name + ", namespace: " + in_namespace + "}]\n";
    }
    EXPECT_TRUE(cluster.Apply(manifest));
    const Ended made = cluster.Kubectl({"create", "token", name, "-n", in_namespace});
    EXPECT_EQ(made.status, 0) << made.err;
    return made.out.substr(0, made.out.find('\n'));
  }

  Answered Ask(const std::string& path, const std::string& token,
               const std::vector<std::string>& more = {}) const {
    std::vector<std::string> argv{"curl", "--silent",    "--show-error",  "--max-time",
                                  "20",   "--write-out", "\n%{http_code}"};
    if (!token.empty()) argv.insert(argv.end(), {"--header", "Authorization: Bearer " + token});
    argv.insert(argv.end(), more.begin(), more.end());
    argv.push_back(url_ + path);
    const Ended ended = RunProgram(argv);
    const std::size_t line = ended.out.rfind('\n');
    if (ended.status != 0 || line == std::string::npos) return {};
    return {.status = std::atoi(ended.out.c_str() + line + 1),
            .body = Json::parse(ended.out.substr(0, line), nullptr, false)};
  }
  Answered Submit(const std::string& token, const std::string& body) const {
    return Ask("/v1/pools/" + pool_namespace + "/media/jobs", token,
               {"--header", "Content-Type: application/json", "--data", body});
  }

  std::string url_;
  std::string strangers_namespace_;
};

TEST_F(GatewayScenarioTest, JobOfAServiceAccountRunsAndOthersAreTurnedAway) {
  ApplyPool(
      "  - name: long\n"
      "    class: Long\n"
      "    workers: {max: 1}\n"
      "  - name: short\n"
      "    workers: {max: 2}\n"
      "    scaling: {scaleDownWindow: 5s}\n",
      "  routes:\n"
      "  - {type: sleep, lane: short}\n");
  const std::string token = TokenOf(pool_namespace, "web", /*allowed=*/true);
  const std::string stranger = TokenOf(strangers_namespace_, "stranger", /*allowed=*/true);
  const std::string job = R"({"type": "sleep", "payload": 50})";

  // A moment until it has heard of the pool and the API server of the binding.
  Answered accepted;
  ASSERT_TRUE(Await("the gateway takes a job",
                    [&] {
                      accepted = Submit(token, job);
                      return accepted.status == 202;
                    }))
      << accepted.status << " " << accepted.body;
  const std::string id = accepted.body.value("id", "");
  ASSERT_FALSE(id.empty()) << accepted.body;

  Answered seen;
  EXPECT_TRUE(Await("the job is done",
                    [&] {
                      seen = Ask("/v1/jobs/" + id, token);
                      return seen.status == 200 && seen.body.value("state", "") == "done";
                    }))
      << seen.status << " " << seen.body;
  EXPECT_EQ(seen.body.value("lane", ""), "short") << seen.body;

  EXPECT_EQ(Submit("", job).status, 401);
  EXPECT_EQ(Ask("/v1/jobs/" + id, "").status, 401);
  EXPECT_EQ(Submit("no-token-of-anybody", job).status, 401);
  EXPECT_EQ(Submit(stranger, job).status, 403);
  EXPECT_EQ(Ask("/v1/jobs/" + id, stranger).status, 403);
}

TEST_F(GatewayScenarioTest, PausedLaneTakesJobsAndStartsNobodyUntilItGoesOn) {
  ApplyPool(
      "  - name: short\n"
      "    workers: {max: 2}\n"
      "    scaling: {jobsPerWorker: 1, scaleDownWindow: 5s}\n");
  const std::string token = TokenOf(pool_namespace, "web", /*allowed=*/true);
  const std::string lane = "/v1/pools/" + pool_namespace + "/media/lanes/short/";
  const std::vector<std::string> json{"--header", "Content-Type: application/json", "--data"};
  std::vector<std::string> pause = json;
  pause.emplace_back(R"({"for": "1h", "reason": "renderer upgrade"})");
  Answered answered;
  ASSERT_TRUE(Await("the lane is paused",
                    [&] {
                      answered = Ask(lane + "pause", token, pause);
                      return answered.status == 200;
                    }))
      << answered.status << " " << answered.body;

  const Answered accepted = Submit(token, R"({"type": "sleep", "payload": 50})");
  ASSERT_EQ(accepted.status, 202) << accepted.body;
  const Json::json_pointer first("/status/lanes/0");
  EXPECT_TRUE(Await("the operator says so", [&] {
    const Json pool = Pool();
    if (!pool.is_object() || !pool.contains(first)) return false;
    const Json& seen = pool.at(first);
    return seen.value("paused", false) && seen.value("waiting", 0) == 1 &&
           seen.value(Json::json_pointer("/decision/reason"), "") == "LanePaused";
  }));
  EXPECT_EQ(Replicas("short"), 0);
  EXPECT_EQ(Condition("Ready").value("reason", ""), "LanePaused");

  std::vector<std::string> resume = json;
  resume.emplace_back("{}");
  const Answered resumed = Ask(lane + "resume", token, resume);
  EXPECT_TRUE(resumed.status == 200 || resumed.status == 204) << resumed.status;
  EXPECT_TRUE(Await("the job is done", [&] {
    return Ask("/v1/jobs/" + accepted.body.value("id", ""), token).body.value("state", "") ==
           "done";
  }));
}

}  // namespace
}  // namespace lanekeeper::e2e
