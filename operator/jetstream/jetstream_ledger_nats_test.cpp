#include "operator/jetstream/jetstream_ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "operator/control/fake_leadership.h"
#include "operator/jetstream/ledger_decisions.h"
#include "operator/jetstream/ledger_json.h"
#include "worker-runtime/nats/queue_setup.h"
#include "worker-runtime/nats/testing/nats_test.h"

namespace lanekeeper {
namespace {

using nats::Connect;
using nats::Eventually;
using nats::kAnswerDeadline;
using nats::kTestDeadline;
using nats::NatsServer;
using nats::RunServer;
using scaling::DecideWorkers;
using scaling::Doubt;
using std::chrono::milliseconds;
using testing::HasSubstr;

class LedgerTest : public testing::Test {
 protected:
  explicit LedgerTest(nats::NatsServerOptions options = {}, const std::string& credentials = "")
      : server_(RunServer(std::move(options))),
        connection_(Connect(server_.url(credentials))),
        jetstream_(*connection_, kAnswerDeadline) {}

  void Begin(LedgerOptions options = {}) {
    options.answer_timeout = kAnswerDeadline;  // One that comes later costs the entry.
    options.retry_wait = milliseconds(10);
    ledger_ = std::make_unique<JetStreamLedger>(*connection_, options);
    ledger_->Start();
  }
  LedgerEntry Entry(int number) const {
    return {.key = key_, .sentence = "entry " + std::to_string(number)};
  }
  void Record(int from, int to) {
    for (int n = from; n < to; ++n) ledger_->Record(Entry(n));
  }
  bool Stored(std::uint64_t entries) {
    return Eventually([&] { return ledger_->stored() >= entries; });
  }
  LedgerPage Read(std::size_t last_n) {
    auto page = ReadLedger(jetstream_, key_, last_n);
    EXPECT_TRUE(page.has_value()) << page.error().message;
    return page ? *std::move(page) : LedgerPage{};
  }
  std::vector<std::string> Sentences(std::size_t last_n) {
    std::vector<std::string> sentences;
    for (const LedgerEntry& entry : Read(last_n).entries) sentences.push_back(entry.sentence);
    return sentences;
  }

  const LaneKey key_{"studio", "media", "short"};
  NatsServer server_;
  std::unique_ptr<nats::Connection> connection_;
  nats::JetStream jetstream_;
  FakeLeadership leadership_;
  std::unique_ptr<JetStreamLedger> ledger_;  // First to go.
};

class RandomDecisions {
 public:
  LedgerEntry Next(const LaneKey& key) {
    const scaling::ScalingPolicy policy{
        .workers_min = Int(0, 5),
        .workers_max = Int(5, 60),
        .jobs_per_worker = Int(1, 40),
        .scale_down_window = milliseconds(Int(0, 600'000)),
        .window_cold_starts = Real(10),
        .slots = Int(1, 16),
        .target_wait = Chance() ? std::optional(milliseconds(Int(1, 600'000))) : std::nullopt,
        .paused = Int(0, 9) == 0};
    const scaling::Observation seen{
        .doubt = Int(0, 4) == 0 ? static_cast<Doubt>(Int(0, 7)) : Doubt::kNone,
        .waiting = Int(0, 5000),
        .running = Int(0, 400),
        .parked = Chance() ? Int(0, 50) : 0,
        .open_pulls = Int(0, 20),
        .ack_pending_max = Chance() ? Int(1, 1000) : 0,
        .workers_current = Int(0, 60),
        .workers_busy = Int(0, 40),
        .workers_starting = Int(0, 10),
        .workers_stuck = Int(0, 5),
        .lane_paused = Int(0, 4) == 0,
        .estimate = {.service_seconds_mean = Real(100),
                     .service_seconds_p95 = Real(1000),
                     .service_jobs = Real(1e6),
                     .arrivals_per_second = Real(50),
                     .arrivals_per_second_high = Real(80),
                     .cold_start_seconds = Real(300),
                     .slots_next = Real(20)},
        .peak_demand = Int(0, 60)};
    LedgerEntry entry{.key = key,
                      .time = WallTime(std::chrono::seconds(1'795'646'467)) +
                              std::chrono::nanoseconds(Int(0, 999'999'999)),
                      .policy = policy,
                      .observation = seen,
                      .decided = DecideWorkers(policy, seen),
                      .observed_only = Chance(),
                      .sentence = "because"};
    entry.applied = ApplyBudget(entry.decided, Int(0, 60));
    return entry;
  }

 private:
  int Int(int min, int max) { return std::uniform_int_distribution(min, max)(random_); }
  double Real(double max) { return std::uniform_real_distribution(0.0, max)(random_); }
  bool Chance() { return Int(0, 1) == 0; }

  std::mt19937_64 random_{20261125};
};

TEST_F(LedgerTest, DecisionsOfALaneAreReadTheNewestFirstAndNoneBeforeThereIsALedger) {
  const auto log = MakeDecisionLog(*connection_);
  const auto none = log->Last(key_, 5);
  ASSERT_TRUE(none) << none.error().detail;
  EXPECT_TRUE(none->empty());
  Begin();
  Record(0, 4);
  ASSERT_TRUE(Stored(4));
  const auto last = log->Last(key_, 2);
  ASSERT_TRUE(last) << last.error().detail;
  ASSERT_EQ(last->size(), 2u);
  EXPECT_EQ((*last)[0].sentence, "entry 3");
  EXPECT_EQ((*last)[1].sentence, "entry 2");
  server_.Kill();
  EXPECT_EQ(log->Last(key_, 2).error().type, gateway::ProblemType::kQueueUnavailable);
}

TEST_F(LedgerTest, StandbyWritesNothingNotEvenTheStream) {
  Begin({.leadership = &leadership_});
  Record(0, 3);
  ASSERT_TRUE(Eventually([&] { return connection_->Connected(); }));
  EXPECT_FALSE(jetstream_.StreamInfo(kLedgerStream));
  EXPECT_EQ(ledger_->stored(), 0U);
}

TEST_F(LedgerTest, EntryOfALeadThatIsOverIsDropped) {
  Begin({.leadership = &leadership_});
  LedgerEntry entry = Entry(1);
  entry.epoch = 1;
  ledger_->Record(entry);  // Waits for the stream.
  leadership_.Set(LeadOf(2));
  entry = Entry(2);
  entry.leader = "me";
  entry.epoch = 2;
  ledger_->Record(entry);
  ASSERT_TRUE(Stored(1));
  EXPECT_TRUE(Eventually([&] { return ledger_->dropped() == 1; }));
  const LedgerPage page = Read(10);
  ASSERT_EQ(page.entries.size(), 1U);
  EXPECT_EQ(page.entries[0].sentence, "entry 2");
  EXPECT_EQ(page.entries[0].epoch, 2);
}

TEST_F(LedgerTest, EveryDecisionIsMadeAgainFromWhatIsReadBack) {
  Begin();
  RandomDecisions decisions;
  std::vector<LedgerEntry> made;
  for (int n = 0; n < 1000; ++n) {
    made.push_back(decisions.Next(key_));
    ledger_->Record(made.back());
  }
  ASSERT_TRUE(Stored(made.size()));
  const LedgerPage page = Read(made.size());
  EXPECT_TRUE(page.skipped.empty());
  ASSERT_EQ(page.entries.size(), made.size());
  for (std::size_t n = 0; n < made.size(); ++n) {
    ASSERT_EQ(page.entries[n], made[n]) << n;
    ASSERT_EQ(DecideWorkers(page.entries[n].policy, page.entries[n].observation),
              page.entries[n].decided)
        << n;
  }
  EXPECT_EQ(ledger_->dropped(), 0U);
}

TEST_F(LedgerTest, TheLastEntriesOfALaneAreReadNewestLast) {
  Begin();
  Record(0, 600);  // More than a page.
  LedgerEntry other = Entry(0);
  other.key.lane = "long";
  ledger_->Record(other);
  ASSERT_TRUE(Stored(601));
  EXPECT_EQ(Sentences(3), (std::vector<std::string>{"entry 597", "entry 598", "entry 599"}));
  EXPECT_EQ(Sentences(1000).size(), 600U);
  EXPECT_EQ(Sentences(1000).front(), "entry 0");
  EXPECT_TRUE(Sentences(0).empty());
  const auto none = ReadLedger(jetstream_, {"studio", "media", "none"}, 5);
  ASSERT_TRUE(none.has_value()) << none.error().message;
  EXPECT_TRUE(none->entries.empty());
}

TEST_F(LedgerTest, WithoutAStreamThereIsNoLedger) {
  const auto page = ReadLedger(jetstream_, key_, 5);
  ASSERT_FALSE(page.has_value());
  EXPECT_EQ(page.error().kind, ErrorKind::kNotFound);
  EXPECT_THAT(page.error().message, HasSubstr("LK_LEDGER"));
}

TEST_F(LedgerTest, GarbageIsSkippedAndItsSequenceNamed) {
  Begin();
  Record(0, 1);
  ASSERT_TRUE(Stored(1));
  const auto garbage = jetstream_.PublishAck(LedgerSubject(key_), "{\"v\":1}");
  ASSERT_TRUE(garbage.has_value());
  Record(1, 2);
  ASSERT_TRUE(Stored(2));
  EXPECT_EQ(Sentences(9), (std::vector<std::string>{"entry 0", "entry 1"}));
  const LedgerPage page = Read(9);
  ASSERT_EQ(page.skipped.size(), 1U);
  EXPECT_THAT(page.skipped[0].message, HasSubstr("sequence 2"));
  EXPECT_THAT(page.skipped[0].message, HasSubstr("ledger entry: "));
}

TEST_F(LedgerTest, WhatIsRecordedBeforeThereIsAServerIsWrittenLater) {
  server_.Stop();
  ASSERT_TRUE(Eventually([&] { return !connection_->Connected(); }));
  Begin();
  Record(0, 5);
  ASSERT_TRUE(server_.Start().has_value());
  ASSERT_TRUE(Stored(5));
  EXPECT_EQ(Sentences(9).size(), 5U);
  EXPECT_EQ(ledger_->dropped(), 0U);
}

TEST_F(LedgerTest, AStreamThatIsDeletedIsMadeAnew) {
  Begin();
  Record(0, 1);
  ASSERT_TRUE(Stored(1));
  ASSERT_TRUE(nats::RemoveStream(jetstream_, kLedgerStream).has_value());
  Record(1, 2);  // Lost with the stream, and counted.
  ASSERT_TRUE(Eventually([&] { return ledger_->dropped() == 1; }));
  Record(2, 3);
  ASSERT_TRUE(Stored(2));
  EXPECT_EQ(Sentences(9), std::vector<std::string>{"entry 2"});
}

TEST_F(LedgerTest, WhatWaitsIsBoundedAndTheOldestGoesFirst) {
  ledger_ = std::make_unique<JetStreamLedger>(*connection_, LedgerOptions{.waiting_max = 4});
  Record(0, 10);
  EXPECT_EQ(ledger_->dropped(), 6U);
  ledger_->Start();
  ASSERT_TRUE(Stored(4));
  EXPECT_EQ(Sentences(9), (std::vector<std::string>{"entry 6", "entry 7", "entry 8", "entry 9"}));
}

TEST_F(LedgerTest, ASilentServerCostsEntriesAndNothingElse) {
  // No pings, so that the silence is not taken for a lost connection.
  const auto connection = Connect(server_.url(), {.ping_interval = std::chrono::minutes(10)});
  JetStreamLedger ledger(*connection, {.waiting_max = 8,
                                       .unanswered_max = 4,
                                       .answer_timeout = milliseconds(300),
                                       .retry_wait = milliseconds(10)});
  ledger.Start();
  std::uint64_t recorded = 0;
  const auto record = [&] { ledger.Record(Entry(static_cast<int>(++recorded))); };
  const auto settled = [&] { return ledger.stored() + ledger.dropped() == recorded; };
  ASSERT_TRUE(Eventually([&] {
    record();
    return Eventually(settled) && ledger.stored() > 0;  // Not if the answer took its time.
  }));
  server_.Pause();
  const std::uint64_t stored = ledger.stored();
  for (int n = 0; n < 100; ++n) record();
  EXPECT_TRUE(Eventually(settled));
  EXPECT_EQ(ledger.stored(), stored);
  server_.Resume();
  EXPECT_TRUE(Eventually([&] {
    record();
    return ledger.stored() > stored;
  }));
}

TEST_F(LedgerTest, StopSendsWhatStillWaits) {
  Begin();
  Record(0, 1);
  ASSERT_TRUE(Stored(1));
  Record(1, 200);
  ledger_->Stop();
  ledger_->Stop();
  ASSERT_TRUE(connection_->Flush(kTestDeadline).has_value());
  EXPECT_TRUE(Eventually([&] {
    const auto page = ReadLedger(jetstream_, key_, 300);
    return page && page->entries.size() == 200;
  }));
}

TEST_F(LedgerTest, AStreamOfThatNameThatIsNotOursIsLeftAlone) {
  ASSERT_TRUE(
      jetstream_.CreateStream("LK_LEDGER", R"({"name":"LK_LEDGER","subjects":["x"]})").has_value());
  Begin();
  Record(0, 3);
  ASSERT_TRUE(jetstream_.PublishAck("x", "mine").has_value());
  ASSERT_TRUE(nats::RemoveStream(jetstream_, kLedgerStream).has_value());
  EXPECT_TRUE(Stored(3)) << "set up as soon as the name is free";
}

class LittleRoomTest : public LedgerTest {
 protected:
  LittleRoomTest()
      : LedgerTest({.config = "accounts: {SMALL: {jetstream: {max_file: 32MB}, "
                              "users: [{user: s, password: s}]}}"},
                   "s:s") {}
};

TEST_F(LittleRoomTest, TakesLessWhereThereIsLittleRoom) {
  Begin();
  Record(0, 3);
  ASSERT_TRUE(Stored(3));
  const auto state = jetstream_.StreamInfo(kLedgerStream);
  ASSERT_TRUE(state.has_value());
  EXPECT_THAT(state->config_json, HasSubstr("\"max_bytes\":16777216"));
}

}  // namespace
}  // namespace lanekeeper
