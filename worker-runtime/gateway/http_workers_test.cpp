// Workers and decisions over HTTP.
#include <gmock/gmock.h>

#include "worker-runtime/gateway/testing/http_api_fixture.h"

namespace lanekeeper::gateway {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kWorkers = "/v1/pools/studio/media/workers";
constexpr const char* kDrain = "/v1/pools/studio/media/lanes/short/workers/w-1/drain";
constexpr const char* kDecisions = "/v1/pools/studio/media/lanes/short/decisions";
const LaneKey kShort{"studio", "media", "short"};

class HttpWorkersTest : public HttpApiTest {
 protected:
  static JobView Running(const std::string& id, const std::string& worker, int started_at) {
    JobView job = Job(ViewState::kRunning, 3);
    job.id = id;
    job.record->worker = worker;
    job.record->started_at = WallTime(std::chrono::seconds(started_at));
    return job;
  }
};

TEST_F(HttpWorkersTest, EveryWorkerIsShownWithTheJobsItRuns) {
  workers_.Put(kShort, {.name = "w-1",
                        .slots = 4,
                        .running = 2,
                        .oldest_running = std::chrono::seconds(90),
                        .heard_at = std::chrono::steady_clock::now(),
                        .done = 7});
  workers_.Put(kShort, {.name = "w-2",
                        .state = WorkerState::kDraining,
                        .ending = true,
                        .heard_at = std::chrono::steady_clock::now()});
  JobView late = Running("late", "w-1", 200);
  late.record->progress = 0.5;
  late.record->progress_note = "half";
  desk_.Put(late);
  desk_.Put(Running("early", "w-1", 100));
  desk_.Put(Running("stranger", "w-9", 50));

  const RawAnswer answer = Get(kWorkers);
  ASSERT_EQ(answer.status, 200) << answer.body;
  const json list = json::parse(answer.body);
  ASSERT_EQ(list["workers"].size(), 2u);
  const json& first = list["workers"][0];
  EXPECT_EQ(first["lane"], "short");
  EXPECT_EQ(first["worker"], "w-1");
  EXPECT_EQ(first["state"], "running");
  EXPECT_EQ(first["done"], 7);
  EXPECT_GE(first["oldest_running_seconds"], 90);
  EXPECT_FALSE(first.contains("ending"));
  ASSERT_EQ(first["jobs"].size(), 2u) << first;
  EXPECT_EQ(first["jobs"][0]["id"], "early") << "the one that has run longest is first";
  EXPECT_EQ(first["jobs"][0]["started_at"], "1970-01-01T00:01:40Z");
  EXPECT_EQ(first["jobs"][1]["progress"], (json{{"fraction", 0.5}, {"note", "half"}}));
  EXPECT_EQ(list["workers"][1]["ending"], true);
  EXPECT_EQ(list["complete"], true);
  EXPECT_EQ(desk_.last_query.state, ViewState::kRunning);
  ASSERT_TRUE(desk_.last_query.since);
  EXPECT_LT(*desk_.last_query.since, std::chrono::system_clock::now() - std::chrono::seconds(90))
      << "not what changed before the oldest of them began";
}

TEST_F(HttpWorkersTest, AListThatDoesNotFindAllJobsSaysSo) {
  workers_.Put(kShort, {.name = "w-1", .running = 3, .heard_at = MonotonicTime::clock::now()});
  const json list = json::parse(Get(kWorkers).body);
  EXPECT_EQ(list["complete"], false);
}

TEST_F(HttpWorkersTest, WithoutRunningJobsNoRecordIsRead) {
  workers_.Put(kShort, {.name = "w-1", .heard_at = std::chrono::steady_clock::now()});
  const json list = json::parse(Get(kWorkers).body);
  EXPECT_EQ(list["complete"], true);
  EXPECT_FALSE(desk_.last_query.state);
}

TEST_F(HttpWorkersTest, WorkersOfOneLaneAreAskedForByItsName) {
  workers_.Put(kShort, {.name = "w-1", .heard_at = std::chrono::steady_clock::now()});
  EXPECT_EQ(json::parse(Get(std::string(kWorkers) + "?lane=short").body)["workers"].size(), 1u);
  const RawAnswer unknown = Get(std::string(kWorkers) + "?lane=fast");
  EXPECT_EQ(TypeOf(unknown), "lane-not-found");
  EXPECT_THAT(unknown.body, HasSubstr("its lanes are short"));
  EXPECT_EQ(TypeOf(Get("/v1/pools/studio/nosuch/workers")), "pool-not-found");
}

TEST_F(HttpWorkersTest, ADrainedWorkerIsToldToEnd) {
  const RawAnswer answer = Post(kDrain, "");
  EXPECT_EQ(answer.status, 202) << answer.body;
  EXPECT_THAT(workers_.ended, ElementsAre("studio/media/short/w-1"));
  const json worker = json::parse(answer.body);
  EXPECT_EQ(worker["worker"], "w-1");
  EXPECT_EQ(worker["ending"], true);
  EXPECT_EQ(worker["state"], "draining");
  EXPECT_FALSE(worker.contains("jobs"));
}

TEST_F(HttpWorkersTest, WhoMayOnlyReadDrainsNobody) {
  EXPECT_EQ(Get(kWorkers, "studio-ro").status, 200);
  EXPECT_EQ(TypeOf(Post(kDrain, "", "studio-ro")), "forbidden");
  EXPECT_TRUE(workers_.ended.empty());
}

TEST_F(HttpWorkersTest, AWorkerThatIsNotThereOrDoesNotAnswerIsAProblem) {
  workers_.problem = Problem{ProblemType::kWorkerNotFound, "there is no worker w-1"};
  EXPECT_EQ(TypeOf(Post(kDrain, "")), "worker-not-found");
  workers_.problem = Problem{ProblemType::kWorkerSilent, "no answer", std::chrono::seconds(5)};
  const RawAnswer silent = Post(kDrain, "");
  EXPECT_EQ(silent.status, 504);
  EXPECT_EQ(TypeOf(silent), "worker-silent");
  EXPECT_EQ(TypeOf(Post("/v1/pools/studio/media/lanes/fast/workers/w-1/drain", "")),
            "lane-not-found");
  const std::string longer(254, 'w');
  EXPECT_EQ(TypeOf(Post("/v1/pools/studio/media/lanes/short/workers/" + longer + "/drain", "")),
            "invalid-request");
}

TEST_F(HttpWorkersTest, DecisionsAreShownWithTheirTermsInWords) {
  log_.decisions = {{.time = WallTime(std::chrono::seconds(100)),
                     .sentence = "Scaled from 0 to 13 workers.",
                     .reason = "BacklogGrew",
                     .workers_from = 0,
                     .workers_to = 13,
                     .terms = {{"Demand", 13, "204 jobs at 16 per worker"}}}};
  const RawAnswer answer = Get(kDecisions);
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(json::parse(answer.body), json::parse(R"({"decisions":[{
      "time":"1970-01-01T00:01:40Z","sentence":"Scaled from 0 to 13 workers.",
      "reason":"BacklogGrew","workers_from":0,"workers_to":13,
      "terms":[{"term":"Demand","workers":13,"text":"204 jobs at 16 per worker"}]}]})"));
  EXPECT_EQ(Get(std::string(kDecisions) + "?limit=200").status, 200);
  EXPECT_THAT(log_.asked, ElementsAre("studio/media/short 20", "studio/media/short 200"));
  for (const char* limit : {"0", "201", "x"}) {
    EXPECT_EQ(TypeOf(Get(std::string(kDecisions) + "?limit=" + limit)), "invalid-request");
  }
  EXPECT_EQ(TypeOf(Get("/v1/pools/studio/media/lanes/fast/decisions")), "lane-not-found");
}

TEST_F(HttpWorkersTest, AGatewayWithoutDecisionsSaysSo) {
  decisions_ = nullptr;
  Start({});
  const RawAnswer answer = Get(kDecisions);
  EXPECT_EQ(TypeOf(answer), "no-such-path");
  EXPECT_THAT(answer.body, HasSubstr("does not know of decisions"));
}

}  // namespace
}  // namespace lanekeeper::gateway
