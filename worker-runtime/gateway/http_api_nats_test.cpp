// The HTTP API over a real nats-server: gateway, desk and transport as lanekeeper-gateway joins
// them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "worker-runtime/base/log.h"
#include "worker-runtime/base/text.h"
#include "worker-runtime/gateway/authorizer.h"
#include "worker-runtime/gateway/gateway.h"
#include "worker-runtime/gateway/http_metrics.h"
#include "worker-runtime/gateway/http_server.h"
#include "worker-runtime/gateway/http_transport.h"
#include "worker-runtime/gateway/testing/desk_fixture.h"
#include "worker-runtime/gateway/testing/raw_http.h"
#include "worker-runtime/gateway/worker_desk.h"
#include "worker-runtime/job/codec.h"
#include "worker-runtime/nats/worker_report_json.h"

namespace lanekeeper::gateway {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kPool = "/v1/pools/studio/media";
const std::string kJobs = std::string(kPool) + "/jobs";

class HttpNatsTest : public DeskFixture {
 protected:
  static void SetUpTestSuite() {
    static const bool installed = InstallTransport({}).has_value();
    ASSERT_TRUE(installed);
  }
  void SetUp() override {
    MakeLanes();
    ASSERT_TRUE(nats::EnsureDeadLetters(jetstream_, "studio", "media", {}));
    auto workers = WorkerDesk::Start(*desk_connection_, {.answer_timeout = nats::kTestDeadline});
    ASSERT_TRUE(workers) << workers.error().message;
    workers_ = *std::move(workers);
    GatewayOptions options;
    options.publish_timeout = nats::kAnswerDeadline;
    gateway_ = Gateway::Start(*desk_connection_, pools_, nullptr, options);
    for (int i = 0; i < 20 && !http_; ++i) {
      port_ = FreePort();
      auto started = HttpServer::Start({.address = "127.0.0.1:" + std::to_string(port_)},
                                       {.gateway = *gateway_,
                                        .desk = *desk_,
                                        .pools = pools_,
                                        .authorizer = *authorizer_,
                                        .metrics = metrics_,
                                        .connection = desk_connection_.get(),
                                        .workers = workers_.get()});
      if (started) http_ = *std::move(started);
    }
    ASSERT_TRUE(http_);
  }
  void TearDown() override {
    if (http_) http_->Stop();
  }

  RawAnswer Get(const std::string& target) const { return Ask(port_, "GET", target); }
  RawAnswer Post(const std::string& target, const std::string& body,
                 const RawHeaders& headers = {}) const {
    return AskJson(port_, "POST", target, body, headers);
  }
  // The job of an answer that must be a good one.
  json Take(const RawAnswer& answer, int status = 202) const {
    EXPECT_EQ(answer.status, status) << answer.body;
    return json::parse(answer.body, nullptr, false);
  }
  static std::string TypeOf(const RawAnswer& answer) {
    const json problem = json::parse(answer.body, nullptr, false);
    const std::string type = problem.is_object() ? problem.value("type", "") : "";
    return type.substr(type.rfind('/') + 1);
  }
  // A dead letter of the lane, as a worker writes it; its sequence.
  std::uint64_t Bury(const std::string& lane, const std::string& id, const std::string& payload) {
    const JobMessage message{.stream = JobStreamName(Lane(lane)),
                             .sequence = ++buried_,
                             .stored_at = std::chrono::system_clock::now(),
                             .payload = payload,
                             .headers = {{"Nats-Msg-Id", id}, {"Lk-Type", "thumbnail"}}};
    const std::vector<OutMessage> letter =
        EncodeDeadLetter(message, {.reason = "rejected", .message = "no such image"},
                         {.worker = "w-1", .time = "2026-11-26T02:00:00Z"}, 1 << 20);
    EXPECT_EQ(letter.size(), 1u);
    const auto stored =
        jetstream_.PublishAck(DeadSubject(Lane(lane)), letter.at(0).payload, letter.at(0).headers);
    EXPECT_TRUE(stored);
    return stored ? stored->sequence : 0;
  }
  std::size_t DeadLeft() const {
    return json::parse(Get(std::string(kPool) + "/dead").body)["dead_letters"].size();
  }

  std::unique_ptr<Authorizer> authorizer_ = MakeOpenAuthorizer();
  HttpMetrics metrics_;
  std::unique_ptr<WorkerDesk> workers_;
  std::unique_ptr<Gateway> gateway_;
  std::unique_ptr<HttpServer> http_;
  int port_ = 0;
  std::uint64_t buried_ = 0;
};

TEST_F(HttpNatsTest, ASubmittedJobIsAMessageOfItsLaneAndIsFoundByItsId) {
  const json job =
      Take(Post(kJobs, R"({"type":"thumbnail","payload":{"n":17}})",
                {{"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}));
  EXPECT_EQ(job["lane"], "short");
  const auto stored = jetstream_.GetMessage(JobStreamName(Lane("short")), 1);
  ASSERT_TRUE(stored);
  EXPECT_EQ(stored->payload, R"({"n":17})");
  EXPECT_EQ(FindHeader(stored->headers, "Lk-Type"), "thumbnail");
  EXPECT_TRUE(FindHeader(stored->headers, "traceparent"));

  const json seen = Take(Get(job["links"]["self"]), 200);
  EXPECT_EQ(seen["id"], job["id"]);
  EXPECT_EQ(seen["state"], "waiting");
  EXPECT_FALSE(seen.contains("payload"));
  EXPECT_EQ(Take(Get(kJobs + "/" + job["id"].get<std::string>()), 200)["id"], job["id"]);
}

TEST_F(HttpNatsTest, TheSameKeyIsTheSameJobAndAnotherBodyIsRefused) {
  const json first = Take(Post(kJobs, R"({"payload":1})", {{"Idempotency-Key", "\"order-1\""}}));
  const RawAnswer again = Post(kJobs, R"({"payload":1})", {{"Idempotency-Key", "order-1"}});
  EXPECT_EQ(Take(again)["id"], first["id"]);
  EXPECT_EQ(again.Header("idempotency-replayed"), "true");
  const RawAnswer other = Post(kJobs, R"({"payload":2})", {{"Idempotency-Key", "order-1"}});
  EXPECT_EQ(other.status, 422);
  EXPECT_EQ(TypeOf(other), "key-reused");
  EXPECT_EQ(JobsIn("short"), 1);
}

TEST_F(HttpNatsTest, AFullLaneRefusesAndStoresNothing) {
  pools_.Put({.pool_namespace = "studio",
              .pool = "media",
              .lanes = {{.name = "short",
                         .stream = JobStreamName(Lane("short")),
                         .consumer = std::string(kConsumerName),
                         .depth_max = 2}}});
  ASSERT_TRUE(nats::EnsureJobQueue(jetstream_, Lane("short"), {.depth_max = 2}));
  const json known = Take(Post(kJobs, "{}", {{"Idempotency-Key", "first"}}));
  Take(Post(kJobs, "{}"));
  const RawAnswer refused = Post(kJobs, "{}");
  EXPECT_EQ(refused.status, 429) << refused.body;
  EXPECT_EQ(TypeOf(refused), "lane-full");
  EXPECT_GE(std::stoi(refused.Header("retry-after")), 1);
  EXPECT_EQ(JobsIn("short"), 2);
  EXPECT_EQ(Take(Post(kJobs, "{}", {{"Idempotency-Key", "first"}}))["id"], known["id"]);
}

TEST_F(HttpNatsTest, WaitingEndsWhenTheWorkerWritesThatItIsDone) {
  RawAnswer answer;
  std::thread client([&] { answer = Post(kJobs, "{}", {{"Prefer", "wait=60"}}); });
  ASSERT_TRUE(nats::Eventually([this] { return desk_->Watches() == 1; }));
  const auto stored = jetstream_.GetMessage(JobStreamName(Lane("short")), 1);
  ASSERT_TRUE(stored);
  const std::string id =
      JobIdOf({.stream = JobStreamName(Lane("short")), .sequence = 1, .headers = stored->headers});
  JobRecord record = RecordOf(id, JobState::kDone);
  record.stored_at = stored->stored_at;
  record.result = R"({"url":"s3://out"})";
  PutRecord("short", record);
  client.join();
  const json job = Take(answer, 200);
  EXPECT_EQ(job["state"], "done");
  EXPECT_EQ(job["result"]["url"], "s3://out");
}

TEST_F(HttpNatsTest, EventsFollowTheRecordAndGoOnAfterTheLastOneSeen) {
  const std::string id = Submit("short");
  const auto stored = jetstream_.GetMessage(JobStreamName(Lane("short")), 1);
  ASSERT_TRUE(stored);
  const auto put = [&](JobState state, const std::string& note) {
    JobRecord record = RecordOf(id, state);
    record.stored_at = stored->stored_at;
    record.progress_note = note;
    return std::to_string(PutRecord("short", record));
  };
  const std::string path = "/v1/jobs/" + id + "/events";
  std::string first;
  {
    RawStream events(port_, path);
    EXPECT_THAT(events.Until("id: 0\n"), HasSubstr("\"state\":\"waiting\""));
    first = put(JobState::kRunning, "page 1");
    EXPECT_THAT(events.Until("id: " + first + "\n"), HasSubstr("id: " + first));
  }
  const std::string second = put(JobState::kRunning, "page 2");
  RawStream events(port_, path, {{"Last-Event-ID", first}});
  EXPECT_THAT(events.Until("page 2"), Not(HasSubstr("page 1")));
  put(JobState::kDone, "");
  EXPECT_THAT(events.UntilEnd(), HasSubstr("event: end\ndata: {\"state\":\"done\"}"));
  EXPECT_TRUE(nats::Eventually([this] { return desk_->Watches() == 0; }));
}

TEST_F(HttpNatsTest, ACancelledJobIsTakenOutOfItsLane) {
  const json job = Take(Post(kJobs, "{}"));
  const std::string path = job["links"]["self"];
  EXPECT_EQ(Take(Ask(port_, "DELETE", path), 200)["state"], "cancelled");
  EXPECT_EQ(JobsIn("short"), 0);
  EXPECT_EQ(Take(Get(path), 200)["state"], "cancelled");
  RawStream events(port_, path + "/events");
  EXPECT_THAT(events.UntilEnd(), HasSubstr("event: end"));
}

TEST_F(HttpNatsTest, JobsThatCameByPlainNatsAreListedToo) {
  Publish("short", {{"Nats-Msg-Id", "report-7"}, {"Lk-Type", "report"}});
  Publish("long");
  const json jobs = Take(Get(kJobs + "?state=waiting"), 200)["jobs"];
  std::set<std::string> ids;
  for (const json& job : jobs) ids.insert(job["id"]);
  EXPECT_EQ(ids, (std::set<std::string>{"report-7", "LK_studio_media_long.1"}));
  EXPECT_EQ(Take(Get(kJobs + "/report-7"), 200)["type"], "report");
  EXPECT_EQ(Take(Get(kJobs + "?lane=long"), 200)["jobs"].size(), 1u);
  EXPECT_EQ(Get("/v1/jobs/report-7").status, 404);
}

TEST_F(HttpNatsTest, AThousandLinesAreAThousandJobs) {
  std::string body;
  for (int i = 0; i < 1000; ++i) body += "{\"payload\":" + std::to_string(i) + "}\n";
  const RawAnswer answer =
      Ask(port_, "POST", kJobs, body, {{"Content-Type", "application/x-ndjson"}});
  ASSERT_EQ(answer.status, 200);
  std::istringstream lines(answer.body);
  int expected = 0;
  std::set<std::string> ids;
  for (std::string line; std::getline(lines, line);) {
    const json result = json::parse(line);
    EXPECT_EQ(result["line"], ++expected);
    EXPECT_EQ(result["status"], 202) << line;
    ids.insert(result["job"]["id"]);
  }
  EXPECT_EQ(ids.size(), 1000u);
  EXPECT_EQ(JobsIn("short"), 1000);
}

TEST_F(HttpNatsTest, DeadLettersAreListedShownReplayedAndDiscarded) {
  const std::string dead = std::string(kPool) + "/dead";
  const std::uint64_t first = Bury("short", "a", "payload of a");
  Bury("short", "b", "payload of b");
  const std::uint64_t last = Bury("long", "c", "payload of c");

  const json page = Take(Get(dead + "?limit=2"), 200);
  ASSERT_EQ(page["dead_letters"].size(), 2u);
  EXPECT_EQ(page["dead_letters"][0]["job_id"], "c");
  const json rest =
      Take(Get(dead + "?limit=2&from=" + std::to_string(page["next"].get<int>())), 200);
  EXPECT_EQ(rest["dead_letters"][0]["job_id"], "a");
  EXPECT_FALSE(rest.contains("next"));
  EXPECT_EQ(Take(Get(dead + "/groups?lane=short"), 200)["groups"][0]["count"], 2);

  const std::string one = dead + "/" + std::to_string(first);
  EXPECT_FALSE(Take(Get(one), 200).contains("payload_base64"));
  EXPECT_EQ(Take(Get(one + "?payload=true"), 200)["payload_base64"], EncodeBase64("payload of a"));

  EXPECT_EQ(Take(Ask(port_, "POST", one + "/replay"), 200)["done"], 1);
  EXPECT_EQ(JobsIn("short"), 1);
  const RawAnswer gone = Ask(port_, "POST", one + "/replay");
  EXPECT_EQ(gone.status, 404);
  EXPECT_EQ(TypeOf(gone), "dead-letter-not-found");
  EXPECT_EQ(Ask(port_, "DELETE", dead + "/" + std::to_string(last)).status, 204);
  EXPECT_EQ(DeadLeft(), 1u);

  Bury("short", "d", "payload of d");
  const json replayed =
      Take(Post(dead + "/replay", R"({"filter":{"lane":"short"},"lane":"long"})"), 200);
  EXPECT_EQ(replayed["done"], 2);
  EXPECT_EQ(replayed["complete"], true);
  EXPECT_EQ(JobsIn("long"), 2);
  Bury("short", "e", "payload of e");
  EXPECT_EQ(Take(Post(dead + "/discard", R"({"filter":{}})"), 200)["done"], 1);
  EXPECT_EQ(DeadLeft(), 0u);
}

TEST_F(HttpNatsTest, APausedLaneHandsOutNothingUntilItIsResumed) {
  const std::string lane = std::string(kPool) + "/lanes/short";
  const json pause = Take(Post(lane + "/pause", R"({"for":"10m","reason":"upgrade"})"), 200);
  EXPECT_EQ(pause["reason"], "upgrade");
  EXPECT_EQ(pause["by"], "anonymous");
  const auto paused = [this] {
    const auto answer =
        jetstream_.Call("CONSUMER.INFO." + JobStreamName(Lane("short")) + ".workers", "");
    return answer && json::parse(answer->payload).value("paused", false);
  };
  EXPECT_TRUE(paused());
  EXPECT_EQ(Ask(port_, "POST", lane + "/resume").status, 204);
  EXPECT_FALSE(paused());
}

TEST_F(HttpNatsTest, WhatIsInAJobIsNeverInTheLog) {
  log::SetLevel(log::Level::kDebug);
  testing::internal::CaptureStderr();
  Post(kJobs, R"({"payload":"SECRET-1","headers":{"a":"SECRET-2"}})",
       {{"Authorization", "Bearer SECRET-3"}});
  Post(kJobs, R"({"payload":"SECRET-1","nope":1)");
  Ask(port_, "POST", kJobs, "SECRET-1", {{"Lk-Type", "no such type?"}});
  Bury("short", "a", "SECRET-1");
  Get(std::string(kPool) + "/dead/1?payload=true");
  const std::string logged = testing::internal::GetCapturedStderr();
  log::SetLevel(log::Level::kInfo);
  EXPECT_THAT(logged, HasSubstr("answered"));
  EXPECT_THAT(logged, Not(HasSubstr("SECRET")));
}

TEST_F(HttpNatsTest, WithoutNatsEverythingIsUnavailableAndAfterwardsItGoesOn) {
  Take(Post(kJobs, "{}"));
  server_.Kill();
  ASSERT_TRUE(nats::Eventually([this] { return !desk_connection_->Connected(); }));
  EXPECT_EQ(Get("/healthz").status, 200);
  EXPECT_EQ(Get("/readyz").status, 503);
  for (const RawAnswer& answer : {Post(kJobs, "{}"), Get(kJobs), Get(std::string(kPool) + "/dead"),
                                  Get("/v1/jobs/LK_studio_media_short.1.abcdefgh")}) {
    EXPECT_EQ(answer.status, 503) << answer.body;
    EXPECT_EQ(TypeOf(answer), "queue-unavailable");
    EXPECT_NE(answer.Header("retry-after"), "");
  }
  ASSERT_TRUE(server_.Start());
  ASSERT_TRUE(nats::Eventually([this] { return Post(kJobs, "{}").status == 202; }));
  EXPECT_EQ(Get("/readyz").status, 200);
}

TEST_F(HttpNatsTest, AWorkerIsShownWithTheJobOfItsRecordAndCanBeDrained) {
  JobRecord record = RecordOf("job-1", JobState::kRunning);
  record.type = "film";
  record.started_at = std::chrono::system_clock::now();
  PutRecord("short", record);
  WorkerReport report{.worker = "w-1", .slots = 2, .running = 1, .done = 4};
  const std::string said = nats::WriteWorkerReport(report);
  json list;
  ASSERT_TRUE(nats::Eventually([&] {
    // Again and again: the gateway may not listen yet.
    EXPECT_TRUE(connection_->Publish(WorkerReportSubject(Lane("short"), "w-1"), said));
    list = json::parse(Get(std::string(kPool) + "/workers?lane=short").body);
    return list["workers"].size() == 1;
  }));
  EXPECT_EQ(list["complete"], true);
  EXPECT_EQ(list["workers"][0]["jobs"][0]["id"], "job-1");
  EXPECT_EQ(list["workers"][0]["jobs"][0]["type"], "film");

  const std::string drain = std::string(kPool) + "/lanes/short/workers/w-1/drain";
  EXPECT_EQ(TypeOf(Post(drain, "")), "worker-not-found") << "nobody listens";
  report.state = WorkerState::kDraining;
  report.ending = true;
  const auto control = connection_->SubscribeCallback(
      WorkerControlSubject(Lane("short"), "w-1"), [&](const nats::Message& message) {
        if (message.payload != kControlEnd) return;
        static_cast<void>(connection_->Publish(message.reply, nats::WriteWorkerReport(report)));
      });
  ASSERT_TRUE(control);
  ASSERT_TRUE(connection_->Flush(nats::kTestDeadline));
  EXPECT_EQ(Take(Post(drain, ""))["ending"], true);
}

}  // namespace
}  // namespace lanekeeper::gateway
