#include "operator/kubernetes/event_book.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace lanekeeper::kubernetes {
namespace {

using nlohmann::json;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::StartsWith;

const EventSubject kSubject{{"studio", "media"}, "p-1"};
const PoolEvent kEvent{.warning = false, .reason = "ScaledUp", .message = "Scaled from 0 to 3."};

class EventBookTest : public testing::Test {
 protected:
  std::optional<Request> Plan(const PoolEvent& event = kEvent,
                              const EventSubject& subject = kSubject) {
    return book_.Plan(subject, event, {clock_.Now(), clock_.WallNow()});
  }
  // The method, and the count in the body; "nothing" without a request.
  std::string Sent(const std::optional<Request>& request) {
    if (!request) return "nothing";
    return request->method + " " + json::parse(request->body)["count"].dump();
  }
  EventBook book_;
  FakeClock clock_;
};

TEST_F(EventBookTest, NewEventIsCreated) {
  clock_.Advance(seconds(1));
  const std::optional<Request> request = Plan();
  ASSERT_TRUE(request);
  EXPECT_EQ(request->method + " " + request->path, "POST /api/v1/namespaces/studio/events");
  json body = json::parse(request->body);
  EXPECT_THAT(body["metadata"]["name"].get<std::string>(), StartsWith("media.188"));
  body["metadata"].erase("name");
  EXPECT_EQ(body, json::parse(R"({
    "apiVersion": "v1", "kind": "Event", "metadata": {"namespace": "studio"},
    "involvedObject": {"apiVersion": "lanekeeper.dev/v1alpha1", "kind": "WorkerPool",
                       "namespace": "studio", "name": "media", "uid": "p-1"},
    "type": "Normal", "reason": "ScaledUp", "message": "Scaled from 0 to 3.",
    "source": {"component": "lanekeeper"}, "reportingComponent": "lanekeeper",
    "firstTimestamp": "2026-01-01T00:00:02Z", "lastTimestamp": "2026-01-01T00:00:02Z", "count": 1
  })"));
}

TEST_F(EventBookTest, SameEventIsCountedOnTheSameObject) {
  const std::string name = json::parse(Plan()->body)["metadata"]["name"];
  clock_.Advance(minutes(9));
  const std::optional<Request> request = Plan();
  ASSERT_TRUE(request);
  EXPECT_EQ(request->method + " " + request->path,
            "PATCH /api/v1/namespaces/studio/events/" + name);
  EXPECT_EQ(request->body, R"({"count":2,"lastTimestamp":"2026-01-01T00:09:01Z"})");
}

TEST_F(EventBookTest, SameEventMuchLaterIsANewOne) {
  Plan();
  clock_.Advance(minutes(10) + seconds(1));
  EXPECT_EQ(Sent(Plan()), "POST 1");
}

TEST_F(EventBookTest, AnyDifferenceIsAnotherEvent) {
  Plan();
  PoolEvent other = kEvent;
  other.warning = true;
  EXPECT_EQ(Sent(Plan(other)), "POST 1");
  other = kEvent;
  other.reason = "ScaledDown";
  EXPECT_EQ(Sent(Plan(other)), "POST 1");
  other = kEvent;
  other.message = "Scaled from 0 to 4.";
  EXPECT_EQ(Sent(Plan(other)), "POST 1");
  EXPECT_EQ(Sent(Plan(kEvent, {{"studio", "media"}, "p-2"})), "POST 1");
}

TEST_F(EventBookTest, EventsAtTheSameMomentHaveDifferentNames) {
  PoolEvent other = kEvent;
  other.reason = "Other";
  EXPECT_NE(json::parse(Plan()->body)["metadata"]["name"],
            json::parse(Plan(other)->body)["metadata"]["name"]);
}

TEST_F(EventBookTest, FloodIsCutShortAndItsCountTold) {
  EXPECT_EQ(Sent(Plan()), "POST 1");
  for (int i = 2; i <= EventBook::kBurst; ++i)
    EXPECT_EQ(Sent(Plan()), "PATCH " + std::to_string(i));
  EXPECT_EQ(Sent(Plan()), "nothing");
  EXPECT_EQ(Sent(Plan()), "nothing");
  clock_.Advance(EventBook::kRefill);
  EXPECT_EQ(Sent(Plan()), "PATCH 28");
  EXPECT_EQ(Sent(Plan()), "nothing");
}

TEST_F(EventBookTest, FloodOfOnePoolLeavesOthersAlone) {
  for (int i = 0; i < 100; ++i) Plan();
  EXPECT_EQ(Sent(Plan(kEvent, {{"studio", "other"}, "p-9"})), "POST 1");
}

TEST_F(EventBookTest, EventCutShortBeforeItsFirstRequestIsCreatedLater) {
  for (int i = 0; i < EventBook::kBurst; ++i) Plan();
  PoolEvent other = kEvent;
  other.reason = "Other";
  EXPECT_EQ(Sent(Plan(other)), "nothing");
  clock_.Advance(EventBook::kRefill);
  EXPECT_EQ(Sent(Plan(other)), "POST 2");
}

TEST_F(EventBookTest, CountThatFoundNoObjectIsCreatedAgain) {
  Plan();
  EXPECT_EQ(Sent(Plan()), "PATCH 2");
  book_.Forget(kSubject, kEvent);
  EXPECT_EQ(Sent(Plan()), "POST 2");
  EXPECT_EQ(Sent(Plan()), "PATCH 3");
}

TEST_F(EventBookTest, LongMessageEndsBetweenCharacters) {
  PoolEvent event = kEvent;
  event.message = std::string(1023, 'x') + "\xC3\xA9 and more";
  EXPECT_EQ(json::parse(Plan(event)->body)["message"], std::string(1023, 'x'));
  event.message = std::string(1022, 'x') + "\xC3\xA9 and more";
  EXPECT_EQ(json::parse(Plan(event)->body)["message"], std::string(1022, 'x') + "\xC3\xA9");
}

TEST_F(EventBookTest, RemembersTheLatestThousand) {
  PoolEvent event = kEvent;
  for (int i = 0; i < 1001; ++i) {
    event.message = std::to_string(i);
    Plan(event, {{"studio", "p" + std::to_string(i)}, std::to_string(i)});
    clock_.Advance(std::chrono::milliseconds(1));
  }
  event.message = "0";
  EXPECT_EQ(Sent(Plan(event, {{"studio", "p0"}, "0"})), "POST 1");  // Forgotten.
  event.message = "1000";
  EXPECT_EQ(Sent(Plan(event, {{"studio", "p1000"}, "1000"})), "PATCH 2");
}

}  // namespace
}  // namespace lanekeeper::kubernetes
