// A desk over a real nats-server, and a pool of lanes of every kind. For tests.
#pragma once

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "worker-runtime/gateway/job_desk.h"
#include "worker-runtime/gateway/testing/fake_pools.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/nats/jetstream.h"
#include "worker-runtime/nats/job_record_json.h"
#include "worker-runtime/nats/queue_setup.h"
#include "worker-runtime/nats/testing/nats_test.h"

namespace lanekeeper::gateway {

class DeskFixture : public testing::Test {
 protected:
  static constexpr const char* kExternalStream = "THUMBS";

  explicit DeskFixture(JobDeskOptions options = {})
      : server_(nats::RunServer()),
        connection_(nats::Connect(server_.url())),
        desk_connection_(nats::Connect(server_.url(), {.shared_delivery = true})) {
    const auto ours = [](const std::string& name, Tracking tracking) {
      return LaneBrief{.name = name,
                       .stream = JobStreamName({"studio", "media", name}),
                       .consumer = std::string(kConsumerName),
                       .tracking = tracking};
    };
    pools_.Put({.pool_namespace = "studio",
                .pool = "media",
                .lanes = {ours("short", Tracking::kFull),
                          ours("long", Tracking::kFull),
                          ours("quick", Tracking::kFailures),
                          ours("bare", Tracking::kNone),
                          {.name = "thumbs",
                           .stream = kExternalStream,
                           .consumer = "resizers",
                           .external = true}}});
    pools_.Put({.pool_namespace = "studio",
                .pool = "empty",
                .lanes = {{.name = "short",
                           .stream = JobStreamName({"studio", "empty", "short"}),
                           .consumer = std::string(kConsumerName)}}});
    options.answer_timeout = nats::kAnswerDeadline;
    desk_ = JobDesk::Start(*desk_connection_, pools_, options);
  }

  static LaneKey Lane(const std::string& name) { return {"studio", "media", name}; }
  const PoolBrief& Pool() { return *(pool_ = pools_.Find("studio", "media")); }

  void MakeLanes(std::chrono::milliseconds ack_wait = std::chrono::minutes(10)) {
    for (const char* lane : {"short", "long", "quick", "bare"}) {
      ASSERT_TRUE(nats::EnsureJobQueue(jetstream_, Lane(lane), {.ack_wait = ack_wait}));
    }
    ASSERT_TRUE(jetstream_.CreateStream(
        kExternalStream, R"({"name":"THUMBS","subjects":["thumbs.>"],"retention":"workqueue"})"));
    ASSERT_TRUE(jetstream_.PutConsumer(
        kExternalStream, "resizers",
        R"({"durable_name":"resizers","ack_policy":"explicit","filter_subject":"thumbs.resize"})",
        "create"));
    ASSERT_TRUE(nats::EnsureBucket(jetstream_, kRecordBucket, {}));
    ASSERT_TRUE(nats::EnsureBucket(jetstream_, kPoolBucket, {.age_max = std::chrono::hours(0)}));
  }

  // Stored when it returns; its sequence.
  std::uint64_t PublishTo(const std::string& subject, const nats::Headers& headers = {}) {
    const auto stored = jetstream_.PublishAck(subject, "payload", headers);
    EXPECT_TRUE(stored) << stored.error().error.message;
    return stored ? stored->sequence : 0;
  }
  std::uint64_t Publish(const std::string& lane, const nats::Headers& headers = {}) {
    return PublishTo(JobSubject(Lane(lane)), headers);
  }
  // As a gateway does; the job's id.
  std::string Submit(const std::string& lane, const std::string& type = "") {
    const std::string tail = "t" + std::to_string(10'000'000 + ++submitted_);
    nats::Headers headers{{"Nats-Msg-Id", tail + "-and-more"}, {"Lk-Job-Id", "*." + tail}};
    if (!type.empty()) headers.emplace_back("Lk-Type", type);
    const std::uint64_t sequence = Publish(lane, headers);
    return JobStreamName(Lane(lane)) + "." + std::to_string(sequence) + "." + tail;
  }
  // Hands out the lane's next message to nobody; the subject to acknowledge it on.
  std::string Deliver(const std::string& stream, const std::string& consumer) {
    const std::string inbox = connection_->NewInbox();
    const auto answers = connection_->Subscribe(inbox);
    EXPECT_TRUE(answers);
    EXPECT_TRUE(connection_->PublishRequest("$JS.API.CONSUMER.MSG.NEXT." + stream + "." + consumer,
                                            inbox, R"({"batch":1,"expires":30000000000})"));
    const auto message = (*answers)->Next(nats::kTestDeadline);
    EXPECT_TRUE(message);
    return message ? message->reply : "";
  }
  std::string Deliver(const std::string& lane) {
    return Deliver(JobStreamName(Lane(lane)), std::string(kConsumerName));
  }
  void Acknowledge(const std::string& reply) {
    ASSERT_TRUE(connection_->Request(reply, "+ACK", {}, std::chrono::seconds(60)));
  }
  std::int64_t JobsIn(const std::string& lane) {
    std::int64_t messages = -1;
    EXPECT_TRUE(nats::Eventually([&] {
      const auto state = jetstream_.StreamInfo(JobStreamName(Lane(lane)));
      if (state) messages = state->messages;
      return state.has_value();
    }));
    return messages;
  }

  // The record of a job of this message, as a worker would write it; its revision.
  std::uint64_t PutRecord(const std::string& lane, const JobRecord& record) {
    const auto stored =
        jetstream_.PublishAck(RecordSubject(Lane(lane), record.id), nats::WriteJobRecord(record));
    EXPECT_TRUE(stored) << stored.error().error.message;
    return stored ? stored->sequence : 0;
  }
  JobRecord RecordOf(const std::string& id, JobState state, std::uint64_t sequence = 1) const {
    return {.id = id,
            .state = state,
            .sequence = sequence,
            .runs = 1,
            .worker = "w-1",
            .instance = "i-1"};
  }
  std::optional<JobRecord> Record(const std::string& lane, const std::string& id) {
    nats::ApiResult<nats::StoredMessage> stored;
    EXPECT_TRUE(nats::Eventually([&] {
      stored = jetstream_.LastMessage(kRecordStream, RecordSubject(Lane(lane), id));
      return stored || stored.error().cause == nats::ApiCause::kMessageMissing;
    }));
    if (!stored) return std::nullopt;
    const auto record = nats::ReadJobRecord(stored->payload);
    return record ? std::optional(*record) : std::nullopt;
  }

  Answer<JobView> Find(const std::string& id, const std::string& pool = "media") {
    const auto promise = std::make_shared<std::promise<Answer<JobView>>>();
    auto future = promise->get_future();
    desk_->Find("studio", pool, id,
                [promise](Answer<JobView> view) { promise->set_value(std::move(view)); });
    return future.get();
  }
  Answer<JobView> Cancel(const JobView& job) {
    const auto promise = std::make_shared<std::promise<Answer<JobView>>>();
    auto future = promise->get_future();
    desk_->Cancel(job, "ana",
                  [promise](Answer<JobView> view) { promise->set_value(std::move(view)); });
    return future.get();
  }
  // "lane/id state" of the jobs on all pages; each page with at most `limit`.
  std::vector<std::string> ListAll(JobListQuery query = {}) {
    std::vector<std::string> lines;
    for (int pages = 0; pages < 1000; ++pages) {
      const auto list = desk_->List(Pool(), query);
      EXPECT_TRUE(list) << list.error().detail;
      if (!list) return lines;
      EXPECT_LE(list->jobs.size(), query.limit);
      for (const JobView& job : list->jobs) {
        lines.push_back(job.lane.lane + "/" + job.id + " " + std::string(NameOf(job.state)));
      }
      if (list->next.empty()) return lines;
      query.cursor = list->next;
    }
    ADD_FAILURE() << "a list without an end";
    return lines;
  }

  nats::NatsServer server_;
  std::unique_ptr<nats::Connection> connection_;
  std::unique_ptr<nats::Connection> desk_connection_;
  nats::JetStream jetstream_{*connection_, nats::kAnswerDeadline};
  FakePools pools_;
  std::shared_ptr<const PoolBrief> pool_;
  std::unique_ptr<JobDesk> desk_;
  int submitted_ = 0;
};

}  // namespace lanekeeper::gateway
