#include "cli/lanes/explain_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "worker-runtime/job/rfc3339.h"

namespace lanekeeper::lanes {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

const WallTime kNow = *ParseRfc3339("2026-11-26T02:35:00Z");

json ExplainedPool() {
  return json::parse(R"({
    "namespace":"studio","pool":"media","paused":false,
    "lanes":[{"name":"short"},{"name":"gpu"}],
    "status":{
      "conditions":[
        {"type":"Ready","status":"True","reason":"Scaling","message":"All lanes answer."},
        {"type":"CapacityShort","status":"True","reason":"NoRoom",
         "message":"Lane short: 1 worker has no room: insufficient nvidia.com/gpu."},
        {"type":"DeadLetters","status":"False","reason":"None","message":"No dead letters."}],
      "lanes":[{"name":"short","waiting":201,"running":3,"parked":0,"deadLetters":1,
        "oldestWaitSeconds":130,"predictedWaitSeconds":45,
        "workers":{"desired":13,"ready":12,"busy":3,"idle":9,"draining":0,"unschedulable":1},
        "decision":{"workers":13,"reason":"CappedAtMax","time":"2026-11-26T02:31:40Z",
          "message":"Scaled from 0 to 13 workers: 201 jobs waiting and 3 running, 12 per worker.",
          "terms":[{"term":"demand","workers":17,"note":"204 jobs at 12 per worker"},
                   {"term":"bounds","workers":13,"note":"max 13"}]}}]}})");
}

json Decisions() {
  return json::parse(R"([
    {"time":"2026-11-26T02:31:40Z","sentence":"Scaled from 0 to 13 workers: 204 jobs.","terms":[]},
    {"time":"2026-11-26T00:01:40Z","sentence":"Scaled from 4 to 0 workers: no jobs.","terms":[]}])");
}

TEST(ExplainText, SaysWhyFromTheNumbersToTheLastDecisions) {
  EXPECT_EQ(ExplainText(ExplainedPool(), "short", Decisions(), kNow), R"(Lane studio/media/short

Jobs:     201 waiting, 3 running, 0 parked, 1 dead letter
Oldest:   has waited 2m
Wait:     a job that comes now starts in about 45s
Workers:  13 wanted, 12 ready: 3 busy, 9 idle, 0 draining, 1 without room

Why 13 workers (CappedAtMax, 3m ago):
  Scaled from 0 to 13 workers: 201 jobs waiting and 3 running, 12 per worker.

Rule by rule, with the number of workers after each:
  17  demand  204 jobs at 12 per worker
  13  bounds  max 13

What holds it:
  workers.max: the backlog asks for more. Raise it to get more.

Not good in this pool:
  CapacityShort (NoRoom): Lane short: 1 worker has no room: insufficient nvidia.com/gpu.

The last 2 decisions, the newest first:
  2026-11-26T02:31:40Z  3m ago    Scaled from 0 to 13 workers: 204 jobs.
  2026-11-26T00:01:40Z  2h ago    Scaled from 4 to 0 workers: no jobs.
)");
}

TEST(ExplainText, ALaneThatTheOperatorSaidNothingOfIsSaidSo) {
  const std::string text = ExplainText(ExplainedPool(), "gpu", json::array(), kNow);
  EXPECT_THAT(text, HasSubstr("The operator has said nothing of this lane yet"));
  EXPECT_THAT(text, Not(HasSubstr("Why")));
  EXPECT_THAT(text, Not(HasSubstr("last")));
}

TEST(ExplainText, APauseIsWhatHoldsALane) {
  json pool = ExplainedPool();
  pool["lanes"][0]["pause"] = {
      {"until", "2026-11-26T03:00:00Z"}, {"reason", "driver update"}, {"by", "ana"}};
  EXPECT_THAT(ExplainText(pool, "short", json::array(), kNow),
              HasSubstr("paused until 2026-11-26T03:00:00Z: driver update (by ana).\n"));
  pool = ExplainedPool();
  pool["paused"] = true;
  EXPECT_THAT(ExplainText(pool, "short", json::array(), kNow), HasSubstr("spec.paused"));
}

TEST(ExplainText, WorkersThatAreReleasedAreSaid) {
  json pool = ExplainedPool();
  json& lane = pool["status"]["lanes"][0];
  lane["release"] = "3 of 5 released, 2 busy, oldest for 01:12:40";
  lane["decision"]["reason"] = "HeldByBusy";
  const std::string text = ExplainText(pool, "short", json::array(), kNow);
  EXPECT_THAT(text, HasSubstr("workers are released: 3 of 5 released, 2 busy"));
  EXPECT_THAT(text, HasSubstr("no job is cut"));
}

TEST(ExplainText, NothingInItDrivesATerminal) {
  json pool = ExplainedPool();
  pool["status"]["lanes"][0]["decision"]["message"] = "a\x1b[2Jb";
  EXPECT_THAT(ExplainText(pool, "short", json::array(), kNow), Not(HasSubstr("\x1b")));
}

TEST(ExplainJson, HasTheLaneItsBadConditionsAndTheDecisions) {
  const json explained = ExplainJson(ExplainedPool(), "short", Decisions());
  EXPECT_EQ(explained["lane"]["waiting"], 201);
  ASSERT_EQ(explained["conditions"].size(), 1u);
  EXPECT_EQ(explained["conditions"][0]["type"], "CapacityShort");
  EXPECT_EQ(explained["decisions"].size(), 2u);
}

}  // namespace
}  // namespace lanekeeper::lanes
