#include "worker-runtime/nats/dead_letters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "worker-runtime/job/codec.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/nats/queue_setup.h"
#include "worker-runtime/nats/testing/nats_cluster.h"
#include "worker-runtime/nats/testing/nats_test.h"

namespace lanekeeper::nats {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class DeadLettersTest : public testing::Test {
 protected:
  void SetUp() override {
    MakeLane("short");
    ASSERT_TRUE(EnsureDeadLetters(jetstream_, "studio", "media", {}).has_value());
  }

  void MakeLane(const std::string& lane, std::int64_t depth_max = 10'000) {
    ASSERT_TRUE(EnsureJobQueue(jetstream_, Lane(lane), {.depth_max = depth_max}).has_value());
  }

  static LaneKey Lane(const std::string& lane) { return {"studio", "media", lane}; }

  // As a worker buries a job; returns the sequence of the entry.
  std::uint64_t Bury(const std::string& id, const DeadLetter& letter = {.reason = "rejected"},
                     const std::string& payload = "body", const std::string& lane = "short",
                     const std::string& type = "t") {
    const JobMessage job{.stream = JobStreamName(Lane(lane)),
                         .sequence = ++buried_,
                         .payload = payload,
                         .headers = {{"Nats-Msg-Id", id}, {"Lk-Type", type}}};
    const DeadOrigin origin{.worker = "w-1", .time = FormatRfc3339(WallTime{} + minutes(buried_))};
    std::uint64_t first = 0;
    for (const OutMessage& part : EncodeDeadLetter(
             job, letter, origin, static_cast<std::size_t>(connection_->MaxPayload()))) {
      const auto ack = jetstream_.PublishAck(DeadSubject(Lane(lane)), part.payload, part.headers);
      EXPECT_TRUE(ack.has_value()) << ack.error().error.message;
      if (first == 0) first = ack->sequence;
    }
    return first;
  }

  std::int64_t Count(const std::string& stream) {
    std::int64_t messages = -1;
    EXPECT_TRUE(Eventually([&] {
      const auto state = jetstream_.StreamInfo(stream);
      if (state) messages = state->messages;
      return state.has_value();
    }));
    return messages;
  }
  std::int64_t Waiting(const std::string& lane = "short") {
    return Count(JobStreamName(Lane(lane)));
  }
  std::int64_t Dead() { return Count("LK_studio_media_DEAD"); }

  StoredMessage JobAt(std::uint64_t sequence, const std::string& lane = "short") {
    const auto stored = jetstream_.GetMessage(JobStreamName(Lane(lane)), sequence);
    EXPECT_TRUE(stored.has_value()) << stored.error().error.message;
    return stored.value_or(StoredMessage{});
  }

  static std::vector<std::string> Ids(const DeadList& list) {
    std::vector<std::string> ids;
    for (const DeadEntry& entry : list.entries) ids.push_back(entry.job_id);
    return ids;
  }

  using minutes = std::chrono::minutes;
  NatsServer server_ = RunServer();
  std::unique_ptr<Connection> connection_ = Connect(server_.url());
  JetStream jetstream_{*connection_, kAnswerDeadline};
  DeadLetters dead_{jetstream_, "studio", "media", kTestDeadline};
  std::uint64_t buried_ = 0;
};

TEST_F(DeadLettersTest, AreListedNewestOrOldestFirstInPages) {
  for (const char* id : {"a", "b", "c", "d", "e"}) Bury(id);
  auto list = dead_.List({.limit = 2});
  ASSERT_TRUE(list.has_value()) << list.error().message;
  EXPECT_THAT(Ids(*list), ElementsAre("e", "d"));
  EXPECT_EQ(list->entries[0].payload_bytes, 4u);
  EXPECT_THAT(list->entries[0].payload, IsEmpty());
  list = dead_.List({.from = list->next, .limit = 2});
  EXPECT_THAT(Ids(*list), ElementsAre("c", "b"));
  list = dead_.List({.from = list->next, .limit = 2});
  EXPECT_THAT(Ids(*list), ElementsAre("a"));
  EXPECT_EQ(list->next, 0u);

  list = dead_.List({.newest_first = false, .limit = 3});
  EXPECT_THAT(Ids(*list), ElementsAre("a", "b", "c"));
  list = dead_.List({.newest_first = false, .from = list->next, .limit = 3});
  EXPECT_THAT(Ids(*list), ElementsAre("d", "e"));
  EXPECT_EQ(list->next, 0u);
}

TEST_F(DeadLettersTest, AreListedByLaneTypeReasonAndFingerprint) {
  MakeLane("long");
  Bury("a", {.reason = "rejected", .message = "broken image"});
  Bury("b", {.reason = "attempts-used-up", .message = "renderer away"});
  Bury("c", {.reason = "rejected", .message = "broken image"}, "body", "long");
  Bury("d", {.reason = "rejected", .message = "broken image"}, "body", "short", "other");
  const auto list = [this](DeadFilter filter) {
    auto found = dead_.List({.filter = std::move(filter), .newest_first = false});
    EXPECT_TRUE(found.has_value());
    return found ? Ids(*found) : std::vector<std::string>{};
  };
  EXPECT_THAT(list({.lane = "long"}), ElementsAre("c"));
  EXPECT_THAT(list({.type = "other"}), ElementsAre("d"));
  EXPECT_THAT(list({.reason = "rejected"}), ElementsAre("a", "c", "d"));
  EXPECT_THAT(list({.lane = "short", .type = "t", .reason = "rejected"}), ElementsAre("a"));
  EXPECT_THAT(list({.fingerprint = Fingerprint({.type = "t", .message = "broken image"})}),
              ElementsAre("a", "c"));
}

// More than a page, with holes wider than one, through which both directions have to find.
TEST_F(DeadLettersTest, AllAreListedWhateverWasRemovedBetween) {
  std::vector<std::string> left;
  for (int i = 1; i <= 1500; ++i) {
    const std::uint64_t sequence = Bury("job-" + std::to_string(i));
    if (i > 100 && i < 1000 && i != 500) {
      ASSERT_TRUE(dead_.Discard(sequence).has_value());
    } else {
      left.push_back("job-" + std::to_string(i));
    }
  }
  const auto oldest = dead_.List({.newest_first = false, .limit = 1000});
  ASSERT_TRUE(oldest.has_value()) << oldest.error().message;
  EXPECT_EQ(Ids(*oldest), left);
  const auto newest = dead_.List({.limit = 1000});
  ASSERT_TRUE(newest.has_value()) << newest.error().message;
  std::ranges::reverse(left);
  EXPECT_EQ(Ids(*newest), left);
}

TEST_F(DeadLettersTest, AStreamWithoutAnyIsAnEmptyList) {
  const auto list = dead_.List({});
  ASSERT_TRUE(list.has_value()) << list.error().message;
  EXPECT_THAT(list->entries, IsEmpty());
  EXPECT_EQ(list->next, 0u);
  EXPECT_EQ(DeadLetters(jetstream_, "studio", "none").List({}).error().kind, ErrorKind::kNotFound);
}

TEST_F(DeadLettersTest, OneIsShownWithEverything) {
  const std::uint64_t sequence = Bury("a", {.reason = "attempts-used-up",
                                            .message = "renderer away",
                                            .error_class = "E",
                                            .output = {"one", "two"},
                                            .attempts = 5});
  const auto entry = dead_.Show(sequence);
  ASSERT_TRUE(entry.has_value()) << entry.error().message;
  EXPECT_EQ(entry->sequence, sequence);
  EXPECT_EQ(entry->lane, "short");
  EXPECT_EQ(entry->payload, "body");
  EXPECT_EQ(entry->attempts, 5);
  EXPECT_THAT(entry->output, ElementsAre("one", "two"));
  EXPECT_THAT(entry->headers, ElementsAre(std::pair<std::string, std::string>("Lk-Type", "t")));
  EXPECT_EQ(dead_.Show(sequence + 1).error().kind, ErrorKind::kNotFound);
}

TEST_F(DeadLettersTest, AreGroupedByWhatWentWrong) {
  for (int i = 0; i < 600; ++i) {
    Bury(std::to_string(i), {.reason = "rejected", .message = i % 3 == 0 ? "rare" : "often"});
  }
  const auto groups = dead_.Group({});
  ASSERT_TRUE(groups.has_value()) << groups.error().message;
  ASSERT_THAT(groups->groups, SizeIs(2));
  EXPECT_EQ(groups->groups[0].message, "often");
  EXPECT_EQ(groups->groups[0].count, 400);
  EXPECT_EQ(groups->groups[0].example_job_id, "599");
  EXPECT_EQ(groups->groups[1].count, 200);
  EXPECT_EQ(groups->groups[0].oldest, WallTime{} + minutes(2));
  EXPECT_EQ(groups->groups[0].newest, WallTime{} + minutes(600));
}

TEST_F(DeadLettersTest, AReplayIsTheJobAgainAndNoDeadLetterAnyMore) {
  const std::uint64_t sequence = Bury("a");
  const auto replayed = dead_.Replay(sequence);
  ASSERT_TRUE(replayed.has_value()) << replayed.error().message;
  EXPECT_EQ(Dead(), 0);
  const StoredMessage job = JobAt(1);
  EXPECT_EQ(job.payload, "body");
  EXPECT_EQ(FindHeader(job.headers, "Lk-Job-Id"), "a");
  EXPECT_EQ(FindHeader(job.headers, "Lk-Replay"), "1");
  EXPECT_EQ(FindHeader(job.headers, "Lk-Type"), "t");
  EXPECT_EQ(dead_.Replay(sequence).error().kind, ErrorKind::kNotFound);
}

TEST_F(DeadLettersTest, AReplayGoesToAnotherLaneWhenAsked) {
  MakeLane("long");
  ASSERT_TRUE(dead_.Replay(Bury("a"), {.lane = "long"}).has_value());
  EXPECT_EQ(Waiting("long"), 1);
  EXPECT_EQ(Waiting("short"), 0);
  EXPECT_EQ(dead_.Replay(Bury("b"), {.lane = "no.lane"}).error().kind, ErrorKind::kInvalid);
  EXPECT_EQ(Dead(), 1);
}

// Who replays dies between the two requests: the entry is still there, the job is not sent twice.
TEST_F(DeadLettersTest, AReplayThatWasCutShortIsRepeatedWithoutASecondJob) {
  const std::uint64_t sequence = Bury("a");
  const OutMessage sent = EncodeReplay(*dead_.Show(sequence), std::chrono::system_clock::now());
  ASSERT_TRUE(
      jetstream_.PublishAck(JobSubject(Lane("short")), sent.payload, sent.headers).has_value());
  ASSERT_TRUE(dead_.Replay(sequence).has_value());
  EXPECT_EQ(Waiting(), 1);
  EXPECT_EQ(Dead(), 0);
}

TEST_F(DeadLettersTest, AllOfAGroupAreReplayedAndNoOthers) {
  for (int i = 0; i < 300; ++i) {
    Bury(std::to_string(i), {.reason = "rejected", .message = i % 2 == 0 ? "even" : "odd"});
  }
  std::int64_t told = 0;
  const DeadOutcome outcome = dead_.Replay(
      {.fingerprint = Fingerprint({.type = "t", .message = "odd"})},
      {.on_progress = [&told](const DeadProgress& progress) { EXPECT_EQ(progress.done, ++told); }});
  EXPECT_FALSE(outcome.ended_by) << outcome.ended_by->message;
  EXPECT_EQ(outcome.progress.done, 150);
  EXPECT_EQ(told, 150);
  EXPECT_EQ(Waiting(), 150);
  EXPECT_EQ(Dead(), 150);
  EXPECT_EQ(FindHeader(JobAt(1).headers, "Lk-Job-Id"), "1");
}

// Otherwise a job that fails at once would be replayed for ever.
TEST_F(DeadLettersTest, WhatDiesDuringAReplayIsNotReplayed) {
  for (const char* id : {"a", "b"}) Bury(id);
  const DeadOutcome outcome =
      dead_.Replay(DeadFilter{}, {.on_progress = [this](const DeadProgress&) { Bury("again"); }});
  EXPECT_EQ(outcome.progress.done, 2);
  EXPECT_EQ(Dead(), 2);
}

TEST_F(DeadLettersTest, AReplayEndsWhenToldTo) {
  for (const char* id : {"a", "b", "c"}) Bury(id);
  std::stop_source stop;
  // One in 1,000 s: only the stop ends it.
  const DeadOutcome outcome = dead_.Replay(
      DeadFilter{}, {.per_second = 0.001,
                     .on_progress = [&stop](const DeadProgress&) { stop.request_stop(); },
                     .stop = stop.get_token()});
  EXPECT_EQ(outcome.progress.done, 1);
  ASSERT_TRUE(outcome.ended_by);
  EXPECT_EQ(Waiting(), 1);
  EXPECT_EQ(Dead(), 2);
}

TEST_F(DeadLettersTest, AFullLaneIsReportedWithWhatWasDone) {
  MakeLane("tiny", 2);
  for (const char* id : {"a", "b", "c"}) Bury(id, {.reason = "rejected"}, "body", "tiny");
  const DeadOutcome outcome =
      dead_.Replay(DeadFilter{}, {.wait_max = std::chrono::milliseconds(100)});
  EXPECT_EQ(outcome.progress.done, 2);
  EXPECT_EQ(outcome.progress.kept, 0);
  ASSERT_TRUE(outcome.ended_by);
  EXPECT_EQ(outcome.ended_by->kind, ErrorKind::kRetryable);
  EXPECT_THAT(outcome.ended_by->message, HasSubstr("dead letter 3"));
  EXPECT_THAT(outcome.ended_by->message, HasSubstr("maximum messages"));
  EXPECT_EQ(Waiting("tiny"), 2);
  EXPECT_EQ(Dead(), 1);
}

TEST_F(DeadLettersTest, AReplayWaitsForAFullLane) {
  MakeLane("tiny", 1);
  for (const char* id : {"a", "b"}) Bury(id, {.reason = "rejected"}, "body", "tiny");
  std::jthread worker([this] {  // Does each job as it comes.
    for (std::uint64_t sequence = 1; sequence <= 2; ++sequence) {
      EXPECT_TRUE(Eventually([&] {
        return jetstream_.DeleteMessage(JobStreamName(Lane("tiny")), sequence).has_value();
      }));
    }
  });
  const DeadOutcome outcome = dead_.Replay(DeadFilter{}, {.wait_max = kTestDeadline});
  EXPECT_FALSE(outcome.ended_by) << outcome.ended_by->message;
  EXPECT_EQ(outcome.progress.done, 2);
  EXPECT_EQ(Dead(), 0);
}

TEST_F(DeadLettersTest, AReplayGoesOnWhenTheServerIsBack) {
  for (int i = 0; i < 50; ++i) Bury(std::to_string(i));
  // An answer that is lost leaves time for another.
  const DeadLetters dead(jetstream_, "studio", "media", kAnswerDeadline);
  const DeadOutcome outcome =
      dead.Replay(DeadFilter{},
                  {.wait_max = kTestDeadline, .on_progress = [this](const DeadProgress& progress) {
                     if (progress.done != 20) return;
                     server_.Kill();
                     ASSERT_TRUE(server_.Start().has_value());
                   }});
  EXPECT_FALSE(outcome.ended_by) << outcome.ended_by->message;
  EXPECT_EQ(outcome.progress.done, 50);
  EXPECT_EQ(Dead(), 0);
}

TEST_F(DeadLettersTest, OneThatCannotBeSentIsKeptAndTheOthersGoOn) {
  Bury("a", {.reason = "rejected"}, "body", "gone");  // A lane that was removed from the pool.
  Bury("b");
  const DeadOutcome outcome = dead_.Replay(DeadFilter{});
  EXPECT_FALSE(outcome.ended_by);
  EXPECT_EQ(outcome.progress.done, 1);
  EXPECT_EQ(outcome.progress.kept, 1);
  EXPECT_THAT(outcome.progress.kept_why, HasSubstr("dead letter 1"));
  EXPECT_THAT(outcome.progress.kept_why, HasSubstr("lk.jobs.studio.media.gone"));
  EXPECT_EQ(Dead(), 1);
}

class LargeDeadLettersTest : public DeadLettersTest {
 protected:
  // Fits into one message as a job, and not with the headers of a dead letter.
  std::string Large() const {
    return std::string(static_cast<std::size_t>(connection_->MaxPayload()) - 300, 'x') + "end";
  }
  const DeadLetter letter_{.reason = "rejected", .message = std::string(1000, 'm')};
};

TEST_F(LargeDeadLettersTest, AreOneEntryInTwoParts) {
  Bury("before");
  const std::uint64_t sequence = Bury("large", letter_, Large());
  Bury("after");
  ASSERT_EQ(Dead(), 4);
  EXPECT_THAT(Ids(*dead_.List({})), ElementsAre("after", "large", "before"));
  const auto entry = dead_.Show(sequence);
  ASSERT_TRUE(entry.has_value()) << entry.error().message;
  EXPECT_EQ(entry->payload, Large());
  EXPECT_EQ(entry->part, DeadPart::kWhole);
  EXPECT_EQ(dead_.Show(sequence + 1).error().kind, ErrorKind::kInvalid);

  ASSERT_TRUE(dead_.Replay(sequence).has_value());
  EXPECT_EQ(JobAt(1).payload, Large());
  EXPECT_EQ(Dead(), 2);
}

TEST_F(LargeDeadLettersTest, AreDiscardedWhole) {
  const std::uint64_t sequence = Bury("large", letter_, Large());
  ASSERT_TRUE(dead_.Discard(sequence).has_value());
  EXPECT_EQ(Dead(), 0);
  Bury("large-2", letter_, Large());
  EXPECT_EQ(dead_.Discard({.reason = "rejected"}).progress.done, 1);
  EXPECT_EQ(Dead(), 0);
}

TEST_F(LargeDeadLettersTest, WithoutTheirSecondPartAreShownAndNotSent) {
  const std::uint64_t sequence = Bury("large", letter_, Large());
  ASSERT_TRUE(jetstream_.DeleteMessage("LK_studio_media_DEAD", sequence + 1).has_value());
  EXPECT_EQ(dead_.Show(sequence)->part, DeadPart::kFirst);
  EXPECT_EQ(dead_.Replay(sequence).error().kind, ErrorKind::kInvalid);
  EXPECT_EQ(Waiting(), 0);
  EXPECT_EQ(Dead(), 1);
}

TEST_F(LargeDeadLettersTest, ThatNoLongerFitAreKept) {
  // Room for the job's own headers, not for those of a replay.
  const std::string payload(static_cast<std::size_t>(connection_->MaxPayload()) - 60, 'x');
  const std::uint64_t sequence = Bury("large", letter_, payload);
  const auto replayed = dead_.Replay(sequence);
  ASSERT_FALSE(replayed.has_value());
  EXPECT_EQ(replayed.error().kind, ErrorKind::kInvalid) << replayed.error().message;
  EXPECT_EQ(Dead(), 2);
}

TEST_F(DeadLettersTest, AreDiscardedByLaneAndAllAtOnce) {
  MakeLane("long");
  for (const char* id : {"a", "b"}) Bury(id);
  Bury("c", {.reason = "rejected"}, "body", "long");
  ASSERT_TRUE(dead_.Discard({.lane = "*"}).ended_by);
  EXPECT_EQ(Dead(), 3);
  EXPECT_EQ(dead_.Discard({.lane = "short"}).progress.done, 2);
  EXPECT_THAT(Ids(*dead_.List({})), ElementsAre("c"));
  EXPECT_EQ(dead_.Discard(DeadFilter{}).progress.done, 1);
  EXPECT_EQ(Dead(), 0);
}

TEST_F(DeadLettersTest, AreDiscardedByWhatWentWrong) {
  for (int i = 0; i < 10; ++i) {
    Bury(std::to_string(i), {.reason = i < 4 ? "rejected" : "undecodable"});
  }
  const DeadOutcome outcome = dead_.Discard({.reason = "rejected"});
  EXPECT_FALSE(outcome.ended_by);
  EXPECT_EQ(outcome.progress.done, 4);
  EXPECT_EQ(Dead(), 6);
}

// Both streams with three copies, both leaders changing: each job once in its lane, none left over.
TEST(DeadLettersInAClusterTest, AReplayOutlivesChangesOfTheLeader) {
  auto cluster = NatsCluster::Run();
  ASSERT_TRUE(cluster.has_value()) << cluster.error().message;
  auto connection = Connect(cluster->url());
  // A request that finds no leader is never answered: short, and asked again.
  const JetStream jetstream(*connection, std::chrono::seconds(2));
  const LaneKey key{"studio", "media", "short"};
  const std::string dead_stream = DeadStreamName("studio", "media");
  ASSERT_TRUE(Eventually([&] {
    return EnsureJobQueue(jetstream, key, {.replicas = 3}).has_value() &&
           EnsureDeadLetters(jetstream, "studio", "media", {.replicas = 3}).has_value();
  }));
  constexpr int kJobs = 200;
  for (int i = 1; i <= kJobs; ++i) {
    const std::string id = std::to_string(i);
    const Headers headers{{"Nats-Msg-Id", id}, {"Lk-Dead-Job-Id", id}};
    ASSERT_TRUE(Eventually(
        [&] { return jetstream.PublishAck(DeadSubject(key), "body", headers).has_value(); }));
  }
  const DeadLetters dead(jetstream, "studio", "media", std::chrono::seconds(2));
  const auto on_progress = [&](const DeadProgress& progress) {
    if (progress.done % 50 != 0) return;
    for (const std::string& stream : {dead_stream, JobStreamName(key)}) {
      EXPECT_TRUE(Eventually([&] { return StepDownStream(jetstream, stream).has_value(); }));
    }
  };
  const DeadOutcome outcome =
      dead.Replay(DeadFilter{}, {.wait_max = kTestDeadline, .on_progress = on_progress});
  EXPECT_FALSE(outcome.ended_by) << outcome.ended_by->message;
  EXPECT_EQ(outcome.progress.kept, 0) << outcome.progress.kept_why;
  EXPECT_TRUE(Eventually([&] {
    const auto left = jetstream.StreamInfo(dead_stream);
    const auto sent = jetstream.StreamInfo(JobStreamName(key));
    return left && sent && left->messages == 0 && sent->messages == kJobs;
  }));
}

}  // namespace
}  // namespace lanekeeper::nats
