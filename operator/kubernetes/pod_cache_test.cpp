#include "operator/kubernetes/pod_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "operator/kubernetes/own_write.h"

namespace lanekeeper::kubernetes {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using Phase = PlacedWorker::Phase;

const LaneKey kCrewLane{"studio", "media", "short"};
const ObjectName kPodName{"studio", "media-short-1"};
const MonotonicTime kSeenAt{seconds(1000)};

json Condition(const char* type, const char* status, const char* time, const char* reason = "",
               const char* message = "") {
  return {{"type", type},
          {"status", status},
          {"reason", reason},
          {"message", message},
          {"lastTransitionTime", time}};
}

json PodAt(int version, const std::vector<json>& conditions = {},
           const char* name = "media-short-1") {
  return {{"metadata",
           {{"namespace", "studio"},
            {"name", name},
            {"uid", std::string("u-") + name},
            {"resourceVersion", std::to_string(version)},
            {"creationTimestamp", "2026-01-01T00:00:00Z"},
            {"labels", {{kLabelPool, "media"}, {kLabelLane, "short"}}}}},
          {"status", {{"phase", "Pending"}, {"conditions", conditions}}}};
}

json Scheduled(int version) {
  return PodAt(version, {Condition("PodScheduled", "True", "2026-01-01T00:00:00Z")});
}

json Ready(int version, const char* time = "2026-01-01T00:00:07Z") {
  return PodAt(version, {Condition("PodScheduled", "True", "2026-01-01T00:00:00Z"),
                         Condition("Ready", "True", time)});
}

// Not ready since `time`, its container running since 00:00:02.
json NotReady(int version, const char* time) {
  json pod = PodAt(version, {Condition("Ready", "False", time, "ContainersNotReady")});
  pod["status"]["containerStatuses"] =
      json::array({{{"state", {{"running", {{"startedAt", "2026-01-01T00:00:02Z"}}}}}}});
  return pod;
}

json NoRoom(int version, const char* why = "0/1 nodes are available: 1 Insufficient cpu.") {
  return PodAt(version,
               {Condition("PodScheduled", "False", "2026-01-01T00:00:00Z", "Unschedulable", why)});
}

json Marked(json pod, const char* cost = "-1000") {
  pod["metadata"]["annotations"] = {{kAnnotationDeletionCost, cost}};
  return pod;
}

json Ending(json pod) {
  pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:01:00Z";
  return pod;
}

// Of the only worker there is.
PlacedWorker Only(const PodCache& cache) {
  const Crew crew = cache.CrewOf(kCrewLane);
  EXPECT_EQ(crew.placed.size(), 1u);
  return crew.placed.empty() ? PlacedWorker{} : crew.placed[0];
}

TEST(ReadPod, SurvivesAnything) {
  const PodFacts nothing{.untouched = true};
  for (const char* text :
       {"null", "[]", "{}", R"({"metadata":7,"spec":[],"status":"x"})",
        R"({"metadata":{"labels":[],"annotations":7},"status":{"conditions":{},"phase":[]}})"}) {
    EXPECT_EQ(ReadPod(json::parse(text)), nothing) << text;
  }
  const json broken = json::parse(R"({"metadata":{"creationTimestamp":"soon"},"status":{
      "conditions":[7,{"type":7},{"type":"PodScheduled","status":[]},
                    {"type":"Ready","status":"True","lastTransitionTime":{}}],
      "containerStatuses":[7,{"state":[]},{"state":{"running":{"startedAt":1}}}]}})");
  EXPECT_TRUE(ReadPod(broken).ready);
  EXPECT_EQ(ReadPod(broken).created_to_ready, std::nullopt);
}

// Every value of a full pod replaced by values of every type: an answer, never a crash.
TEST(ReadPod, NothingBreaksIt) {
  json full = Ending(Marked(NotReady(1, "2026-01-01T00:00:09Z")));
  full["metadata"]["annotations"][kAnnotationShield] = "x,y";
  full["status"]["conditions"].push_back(NoRoom(1)["status"]["conditions"][0]);
  const json values = json::parse(R"([null, true, -1, 1e308, "", "\ud83d\ude00", [], [[]], {}])");
  int tried = 0;
  PodCache cache;
  const json flat = full.flatten();
  for (const auto& [pointer, leaf] : flat.items()) {
    for (json::json_pointer path(pointer); !path.empty(); path = path.parent_pointer()) {
      for (const json& value : values) {
        json broken = full;
        broken[path] = value;
        cache.OnWatched(broken, kSeenAt);
        cache.OnMarked(broken, kSeenAt);
        ++tried;
      }
    }
  }
  EXPECT_GT(tried, 300);
}

struct PhaseCase {
  const char* name;
  json pod;
  Phase phase;
  const char* why = "";
};
void PrintTo(const PhaseCase& row, std::ostream* out) { *out << row.name; }

class FirstSightTest : public testing::TestWithParam<PhaseCase> {};

TEST_P(FirstSightTest, TellsThePhase) {
  PodCache cache;
  cache.OnWatched(GetParam().pod, kSeenAt);
  EXPECT_EQ(Only(cache), (PlacedWorker{.name = "media-short-1",
                                       .phase = GetParam().phase,
                                       .why = GetParam().why,
                                       .since = kSeenAt}));
}

INSTANTIATE_TEST_SUITE_P(
    Rows, FirstSightTest,
    testing::Values(
        PhaseCase{"NewPodStarts", PodAt(1), Phase::kStarting},
        PhaseCase{"ScheduledPodStarts", Scheduled(1), Phase::kStarting},
        PhaseCase{"NoNodeIsNoRoom", NoRoom(1, "0/1 nodes."), Phase::kNoRoom, "0/1 nodes."},
        PhaseCase{"GateIsNoRoom",
                  PodAt(1, {Condition("PodScheduled", "False", "", "SchedulingGated", "gated")}),
                  Phase::kNoRoom, "gated"},
        PhaseCase{"ErrorOfTheSchedulerIsNot",
                  PodAt(1, {Condition("PodScheduled", "False", "", "SchedulerError", "x")}),
                  Phase::kStarting},
        PhaseCase{"ReadyIsReady", Ready(1), Phase::kReady},
        PhaseCase{"NotReadySinceBeforeItsContainerStarts", NotReady(1, "2026-01-01T00:00:01Z"),
                  Phase::kStarting},
        PhaseCase{"NotReadySinceTheSecondItsContainerStarted", NotReady(1, "2026-01-01T00:00:02Z"),
                  Phase::kStarting},
        PhaseCase{"NotReadyLongAfterItsContainerStarted", NotReady(1, "2026-01-01T00:00:30Z"),
                  Phase::kNotReady}),
    [](const auto& test) { return test.param.name; });

TEST(PodCache, RestartedContainerOfAWorkerThatWasReadyIsKnownByTheOneBefore) {
  json pod = NotReady(1, "2026-01-01T00:00:30Z");
  pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["startedAt"] =
      "2026-01-01T00:00:02Z";
  pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"] = "2026-01-01T00:00:31Z";
  PodCache cache;
  cache.OnWatched(pod, kSeenAt);
  EXPECT_EQ(Only(cache).phase, Phase::kNotReady);
}

TEST(PodCache, WorkerThatWasReadyIsNotReadyAndNeverStartingAgain) {
  PodCache cache;
  cache.OnWatched(Scheduled(1), kSeenAt);
  cache.OnWatched(Ready(2), kSeenAt + seconds(1));
  cache.OnWatched(NotReady(3, "2026-01-01T00:00:02Z"), kSeenAt + seconds(2));
  EXPECT_EQ(Only(cache).phase, Phase::kNotReady);
  EXPECT_EQ(Only(cache).since, kSeenAt + seconds(2));
  cache.OnWatched(NoRoom(4), kSeenAt + seconds(3));  // Cannot be; but then it is still not new.
  EXPECT_EQ(Only(cache).phase, Phase::kNotReady);
  EXPECT_EQ(Only(cache).since, kSeenAt + seconds(2));
}

TEST(PodCache, NewReasonOfTheSchedulerIsNewsButNotANewPhase) {
  PodCache cache;
  EXPECT_THAT(cache.OnWatched(NoRoom(1, "a"), kSeenAt), ElementsAre(kCrewLane));
  EXPECT_THAT(cache.OnWatched(NoRoom(2, "b"), kSeenAt + seconds(9)), ElementsAre(kCrewLane));
  EXPECT_EQ(Only(cache).why, "b");
  EXPECT_EQ(Only(cache).since, kSeenAt);
}

TEST(PodCache, EndlessReasonIsCutBetweenCharacters) {
  std::string why(kWhyMax - 1, 'x');
  why += "\xC3\xA9";  // One character of two bytes, across the limit.
  PodCache cache;
  cache.OnWatched(NoRoom(1, (why + why).c_str()), kSeenAt);
  EXPECT_EQ(Only(cache).why, std::string(kWhyMax - 1, 'x'));
}

TEST(PodCache, ColdStartIsWhatWasSeenWhenTheBeginningWas) {
  PodCache cache;
  cache.OnWatched(PodAt(1), kSeenAt);
  EXPECT_EQ(Only(cache).cold_start, std::nullopt);
  cache.OnWatched(Scheduled(2), kSeenAt + milliseconds(10));
  cache.OnWatched(Ready(3), kSeenAt + milliseconds(1234));
  EXPECT_EQ(Only(cache).cold_start, milliseconds(1234));
  cache.OnWatched(NotReady(4, "2026-01-01T00:00:30Z"), kSeenAt + seconds(30));
  cache.OnWatched(Ready(5, "2026-01-01T00:00:40Z"), kSeenAt + seconds(40));
  EXPECT_EQ(Only(cache).cold_start, milliseconds(1234)) << "only the first time is cold";
}

TEST(PodCache, ColdStartIsWhatThePodSaysWhenOnlyTheEndWasSeen) {
  PodCache cache;
  cache.OnWatched(Scheduled(2), kSeenAt);  // E.g. the operator started while the pod did.
  cache.OnWatched(Ready(3, "2026-01-01T00:00:07Z"), kSeenAt + seconds(1));
  EXPECT_EQ(Only(cache).cold_start, seconds(7));
}

TEST(PodCache, ColdStartOfAWorkerFoundReadyIsNotGuessed) {
  PodCache cache;
  cache.OnWatched(Ready(3, "2026-01-01T07:00:00Z"), kSeenAt);  // Perhaps NATS was away until seven.
  EXPECT_EQ(Only(cache).cold_start, std::nullopt);
  cache.OnWatched(NotReady(4, "2026-01-01T08:00:00Z"), kSeenAt);
  cache.OnWatched(Ready(5, "2026-01-01T09:00:00Z"), kSeenAt);
  EXPECT_EQ(Only(cache).cold_start, std::nullopt);
}

TEST(PodCache, ColdStartOfAWorkerFoundInTroubleIsNotGuessedEither) {
  PodCache cache;
  cache.OnWatched(NotReady(4, "2026-01-01T08:00:00Z"), kSeenAt);
  cache.OnWatched(Ready(5, "2026-01-01T09:00:00Z"), kSeenAt + seconds(5));
  EXPECT_EQ(Only(cache).cold_start, std::nullopt);
}

TEST(PodCache, ClockThatRunsBackwardsMakesNoNegativeColdStart) {
  PodCache cache;
  cache.OnWatched(Scheduled(2), kSeenAt);
  cache.OnWatched(Ready(3, "2025-12-31T23:59:59Z"), kSeenAt);
  EXPECT_EQ(Only(cache).cold_start, milliseconds(0));
}

TEST(PodCache, WorkerThatWasToldToEndIsEndingWithItsMarks) {
  PodCache cache;
  cache.OnWatched(Marked(Ready(1)), kSeenAt);
  EXPECT_THAT(cache.OnWatched(Ending(Marked(Ready(2))), kSeenAt), ElementsAre(kCrewLane));
  const Crew crew = cache.CrewOf(kCrewLane);
  EXPECT_THAT(crew.placed, IsEmpty());
  EXPECT_THAT(crew.ending, ElementsAre(EndingWorker{"media-short-1", {.first_to_go = true}}));
  EXPECT_EQ(cache.FindPlaced(kCrewLane, "media-short-1"), nullptr);
  EXPECT_THAT(cache.OnGone(kPodName, "3", kSeenAt), ElementsAre(kCrewLane));
  EXPECT_EQ(cache.CrewOf(kCrewLane), Crew());
}

TEST(PodCache, PodThatIsOverIsNoWorker) {
  for (const char* phase : {"Failed", "Succeeded"}) {
    PodCache cache;
    cache.OnWatched(Ready(1), kSeenAt);
    json pod = Ready(2);  // A node that went away leaves the conditions as they were.
    pod["status"]["phase"] = phase;
    EXPECT_THAT(cache.OnWatched(pod, kSeenAt), ElementsAre(kCrewLane)) << phase;
    EXPECT_EQ(cache.CrewOf(kCrewLane), Crew()) << phase;
    EXPECT_EQ(cache.FindPlaced(kCrewLane, "media-short-1"), nullptr) << phase;
    EXPECT_THAT(cache.OnGone(kPodName, "3", kSeenAt), IsEmpty()) << "it had counted for nothing";
  }
}

TEST(PodCache, OnlyWhatChangesTheCrewIsAnnounced) {
  PodCache cache;
  EXPECT_THAT(cache.OnWatched(Scheduled(1), kSeenAt), ElementsAre(kCrewLane));
  json same = Scheduled(2);
  same["status"]["conditions"].push_back(Condition("Initialized", "True", ""));
  EXPECT_THAT(cache.OnWatched(same, kSeenAt + seconds(1)), IsEmpty());
  EXPECT_THAT(cache.OnWatched(Marked(same), kSeenAt + seconds(1)), ElementsAre(kCrewLane));
  EXPECT_THAT(cache.OnGone({"studio", "another"}, "9", kSeenAt), IsEmpty());
}

TEST(PodCache, OwnMarkIsThereAtOnceAndItsEchoIsNoNews) {
  PodCache cache;
  cache.OnWatched(Ready(1), kSeenAt);
  cache.OnMarked(Marked(Ready(5)), kSeenAt);
  EXPECT_TRUE(Only(cache).marks.first_to_go);
  EXPECT_THAT(cache.OnWatched(Ready(3), kSeenAt), IsEmpty()) << "a watch that lags";
  EXPECT_TRUE(Only(cache).marks.first_to_go);
  EXPECT_THAT(cache.OnGone(kPodName, "4", kSeenAt), IsEmpty());
  EXPECT_THAT(cache.OnWatched(Marked(Ready(5)), kSeenAt), IsEmpty());
  EXPECT_THAT(cache.OnWatched(Ready(6), kSeenAt), ElementsAre(kCrewLane))
      << "somebody took it away";
  EXPECT_FALSE(Only(cache).marks.first_to_go);
}

TEST(PodCache, NewsInTheAnswerToAMarkIsLeftForTheWatchToTell) {
  PodCache cache;
  cache.OnWatched(Scheduled(1), kSeenAt);
  cache.OnMarked(Marked(Ready(5)), kSeenAt + seconds(1));
  EXPECT_EQ(Only(cache).phase, Phase::kStarting);
  EXPECT_THAT(cache.OnWatched(Marked(Ready(5)), kSeenAt + seconds(2)), ElementsAre(kCrewLane));
  EXPECT_EQ(Only(cache).phase, Phase::kReady);
}

TEST(PodCache, OwnMarkDoesNotOutrankForever) {
  PodCache cache;
  cache.OnWatched(Ready(1), kSeenAt);
  cache.OnMarked(Marked(Ready(5)), kSeenAt);
  // A server restored from a backup counts from lower numbers.
  EXPECT_THAT(cache.OnWatched(Ready(4), kSeenAt + kOwnWriteHold), ElementsAre(kCrewLane));
  EXPECT_FALSE(Only(cache).marks.first_to_go);
}

TEST(PodCache, OwnMarkOutranksNothingOnceTheWatchHasToldOfIt) {
  PodCache cache;
  cache.OnWatched(Ready(1), kSeenAt);
  cache.OnMarked(Marked(Ready(5)), kSeenAt);
  cache.OnWatched(Marked(Ready(5)), kSeenAt);
  EXPECT_THAT(cache.OnWatched(Ready(4), kSeenAt),
              ElementsAre(kCrewLane));  // A list after a restore.
}

TEST(PodCache, WatchMayBeFasterThanTheAnswerToAMark) {
  PodCache cache;
  cache.OnWatched(Ready(6), kSeenAt);
  cache.OnMarked(Marked(Ready(5)), kSeenAt);
  EXPECT_FALSE(Only(cache).marks.first_to_go);
}

TEST(PodCache, AnswerToAMarkOfAPodThatIsGoneMakesNone) {
  PodCache cache;
  cache.OnMarked(Marked(Ready(5)), kSeenAt);
  EXPECT_EQ(cache.CrewOf(kCrewLane), Crew());
  cache.OnWatched(Ready(1), kSeenAt);
  json other = Marked(Ready(5));
  other["metadata"]["uid"] = "u-2";
  cache.OnMarked(other, kSeenAt);
  EXPECT_FALSE(Only(cache).marks.first_to_go);
}

TEST(PodCache, ListDropsWhatIsNotInItUnlessItIsOlderThanOurMark) {
  PodCache cache;
  cache.OnWatched(Ready(1), kSeenAt);
  cache.OnMarked(Marked(Ready(5)), kSeenAt);
  cache.OnListed({}, "4", kSeenAt);
  EXPECT_EQ(cache.CrewOf(kCrewLane).placed.size(), 1u);
  cache.OnListed({kPodName}, "6", kSeenAt);
  EXPECT_EQ(cache.CrewOf(kCrewLane).placed.size(), 1u);
  cache.OnListed({}, "6", kSeenAt);
  EXPECT_EQ(cache.CrewOf(kCrewLane), Crew());
}

TEST(PodCache, YoungerPodOfTheSameNameStartsAnew) {
  PodCache cache;
  cache.OnWatched(PodAt(1), kSeenAt);
  cache.OnWatched(Ready(2), kSeenAt + seconds(2));
  json younger = Scheduled(7);
  younger["metadata"]["uid"] = "u-2";
  EXPECT_THAT(cache.OnWatched(younger, kSeenAt + seconds(9)), ElementsAre(kCrewLane, kCrewLane));
  EXPECT_EQ(Only(cache), (PlacedWorker{.name = "media-short-1",
                                       .phase = Phase::kStarting,
                                       .since = kSeenAt + seconds(9)}));
}

TEST(PodCache, PodThatIsTakenIntoAnotherLaneLeavesItsOwn) {
  PodCache cache;
  cache.OnWatched(Ready(1), kSeenAt);
  json moved = Ready(2);
  moved["metadata"]["labels"][kLabelLane] = "long";
  const LaneKey other{"studio", "media", "long"};
  EXPECT_THAT(cache.OnWatched(moved, kSeenAt), ElementsAre(kCrewLane, other));
  EXPECT_EQ(cache.CrewOf(kCrewLane), Crew());
  EXPECT_EQ(cache.CrewOf(other).placed.size(), 1u);
}

TEST(PodCache, CrewsAreByLaneAndByName) {
  PodCache cache;
  for (const char* name : {"media-short-b", "media-short-c", "media-short-a"}) {
    cache.OnWatched(PodAt(1, {}, name), kSeenAt);
  }
  cache.OnWatched(Ending(PodAt(2, {}, "media-short-c")), kSeenAt);
  json elsewhere = PodAt(1, {}, "media-short-d");
  elsewhere["metadata"]["namespace"] = "other";
  cache.OnWatched(elsewhere, kSeenAt);
  const Crew crew = cache.CrewOf(kCrewLane);
  ASSERT_EQ(crew.placed.size(), 2u);
  EXPECT_EQ(crew.placed[0].name, "media-short-a");
  EXPECT_EQ(crew.placed[1].name, "media-short-b");
  ASSERT_EQ(crew.ending.size(), 1u);
  EXPECT_EQ(crew.ending[0].name, "media-short-c");
  EXPECT_NE(cache.FindPlaced(kCrewLane, "media-short-a"), nullptr);
  EXPECT_EQ(cache.FindPlaced({"studio", "media", "long"}, "media-short-a"), nullptr);
  EXPECT_EQ(cache.FindPlaced(kCrewLane, "nobody"), nullptr);
}

}  // namespace
}  // namespace lanekeeper::kubernetes
