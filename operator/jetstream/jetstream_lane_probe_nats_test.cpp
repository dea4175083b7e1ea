#include "operator/jetstream/jetstream_lane_probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "operator/jetstream/jetstream_queues.h"
#include "worker-runtime/nats/pull_consumer.h"
#include "worker-runtime/nats/queue_setup.h"
#include "worker-runtime/nats/testing/nats_test.h"
#include "worker-runtime/nats/worker_report_json.h"

namespace lanekeeper {
namespace {

using nats::Connect;
using nats::Eventually;
using nats::kAnswerDeadline;
using nats::kTestDeadline;
using nats::NatsServer;
using nats::RunServer;
using scaling::Doubt;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Regular samples an hour apart: whatever is seen came from something else.
constexpr std::chrono::hours kForever{1};

ProbedLane LaneOf(const LaneKey& key) {
  return {key, JobStreamName(key), std::string(kConsumerName)};
}

class ProbeTest : public testing::Test {
 protected:
  explicit ProbeTest(nats::NatsServerOptions options = {}, const std::string& credentials = "",
                     const std::string& admin = "")
      : server_(RunServer(std::move(options))),
        connection_(Connect(server_.url(credentials), {.shared_delivery = true})),
        admin_(Connect(server_.url(admin.empty() ? credentials : admin))),
        jetstream_(*admin_, kAnswerDeadline) {}

  void Begin(LaneProbeOptions options = {}) {
    probe_ = std::make_unique<JetStreamLaneProbe>(*connection_, clock_, options);
    probe_->Start([this](const LaneKey& key) {
      const LaneSample sample = probe_->Latest(key);
      const std::lock_guard lock(mutex_);
      ++changes_[key];
      doubts_[key].insert(sample.doubt);
    });
    probe_->Probe(LaneOf(key_));
  }
  void MakeQueue() { ASSERT_TRUE(nats::EnsureJobQueue(jetstream_, key_, {}).has_value()); }
  void Publish(int jobs) {
    for (int i = 0; i < jobs; ++i) {
      ASSERT_TRUE(jetstream_.PublishAck(JobSubject(key_), "job").has_value());
    }
  }
  bool Sees(const std::function<bool(const LaneSample&)>& holds) {
    return Eventually([&] { return holds(probe_->Latest(key_)); });
  }
  bool SeesDoubt(Doubt doubt) {
    return Sees([&](const LaneSample& sample) { return sample.doubt == doubt; });
  }
  // Told of; Latest has it a moment earlier.
  bool SawDoubt(Doubt doubt) {
    const std::lock_guard lock(mutex_);
    return doubts_[key_].contains(doubt);
  }
  void ForgetDoubts() {
    const std::lock_guard lock(mutex_);
    doubts_.clear();
  }
  // The server's consumer counts a job some time after it has acknowledged it.
  bool CountedByTheServer(std::int64_t jobs) {
    return Eventually([&] {
      const auto state = jetstream_.ConsumerInfo(JobStreamName(key_), kConsumerName);
      return state && state->pending == jobs;
    });
  }
  int Changes() {
    const std::lock_guard lock(mutex_);
    return changes_[key_];
  }
  // One Fetch may bring fewer than it may: it returns with the first.
  static bool FetchAll(nats::PullConsumer& consumer, std::size_t count) {
    std::size_t fetched = 0;
    return Eventually([&] {
      const auto some = consumer.Fetch(static_cast<int>(count - fetched), kTestDeadline);
      fetched += some ? some->size() : 0;
      return fetched == count;
    });
  }
  void Report(const WorkerReport& report) {
    ASSERT_TRUE(
        admin_->Publish(WorkerReportSubject(key_, report.worker), nats::WriteWorkerReport(report))
            .has_value());
  }

  const LaneKey key_{"studio", "media", "short"};
  SystemClock clock_;
  NatsServer server_;
  std::unique_ptr<nats::Connection> connection_;
  std::unique_ptr<nats::Connection> admin_;
  nats::JetStream jetstream_;
  std::mutex mutex_;
  std::map<LaneKey, int> changes_;
  std::map<LaneKey, std::set<Doubt>> doubts_;
  std::unique_ptr<JetStreamLaneProbe> probe_;  // First to go.
};

TEST_F(ProbeTest, SaysWhatTheConsumerSays) {
  MakeQueue();
  Publish(5);
  auto consumer = *nats::PullConsumer::Open(*admin_, JobStreamName(key_), "workers");
  ASSERT_TRUE(FetchAll(*consumer, 2));
  EXPECT_EQ(probe_, nullptr);
  Begin();
  EXPECT_TRUE(Sees([](const LaneSample& s) {
    return s.doubt == Doubt::kNone && s.waiting == 3 && s.ack_pending == 2 &&
           s.ack_pending_max == 100'000;
  }));
  consumer->Withdraw(kTestDeadline);
  EXPECT_EQ(probe_->Latest({"no", "such", "lane"}).doubt, Doubt::kNoSampleYet);
}

TEST_F(ProbeTest, SeesALaneThatIsPausedAndThatItGoesOn) {
  MakeQueue();
  Publish(2);
  Begin({.sample_interval = milliseconds(10)});
  ASSERT_TRUE(Sees([](const LaneSample& s) { return s.waiting == 2 && !s.paused; }));
  const std::string api = "CONSUMER.PAUSE." + JobStreamName(key_) + ".workers";
  ASSERT_TRUE(jetstream_.Call(api, R"({"pause_until":"2099-01-01T00:00:00Z"})").has_value());
  EXPECT_TRUE(Sees([](const LaneSample& s) { return s.paused && s.waiting == 2; }));
  ASSERT_TRUE(jetstream_.Call(api, "{}").has_value());
  EXPECT_TRUE(Sees([](const LaneSample& s) { return !s.paused && s.waiting == 2; }));
}

TEST_F(ProbeTest, SaysHowManyLanesAnswerAndHowOldTheOldestSampleIs) {
  const LaneKey later{"studio", "media", "later"};
  MakeQueue();
  Begin({.sample_interval = milliseconds(10)});
  probe_->Probe(LaneOf(later));
  EXPECT_TRUE(Eventually([&] {
    const LaneProbeStats stats = probe_->stats();
    return stats.lanes == 2 && stats.lanes_answered == 1;
  }));
  // The other is sampled all the time.
  EXPECT_TRUE(Eventually([&] { return probe_->stats().sample_age_max > milliseconds(500); }));
  ASSERT_TRUE(nats::EnsureJobQueue(jetstream_, later, {}).has_value());
  EXPECT_TRUE(Eventually([&] {
    const LaneProbeStats stats = probe_->stats();
    return stats.lanes_answered == 2 && stats.sample_age_max < milliseconds(500);
  }));
}

TEST_F(ProbeTest, TellsOfChangesOnly) {
  MakeQueue();
  // However slow the machine, no answer is late.
  Begin({.sample_interval = milliseconds(10), .stale_after = kForever});
  ASSERT_TRUE(Eventually([&] { return SawDoubt(Doubt::kNone); }));
  const int before = Changes();
  const auto samples = probe_->stats().samples;
  ASSERT_TRUE(Eventually([&] { return probe_->stats().samples > samples + 20; }));
  EXPECT_EQ(Changes(), before);
  Publish(1);
  EXPECT_TRUE(Eventually([&] { return Changes() > before; }));
}

TEST_F(ProbeTest, AKilledServerIsADoubtUntilItIsBack) {
  MakeQueue();
  Publish(3);
  Begin();
  ASSERT_TRUE(Sees([](const LaneSample& s) { return s.waiting == 3; }));
  server_.Kill();
  ASSERT_TRUE(SeesDoubt(Doubt::kDisconnected));
  EXPECT_EQ(probe_->Latest(key_).waiting, 3) << "the last numbers stay";
  ASSERT_TRUE(server_.Start().has_value());
  EXPECT_TRUE(Sees([](const LaneSample& s) { return s.doubt == Doubt::kNone && s.waiting == 3; }));
}

TEST_F(ProbeTest, AQuestionLostWithTheConnectionIsAskedAnew) {
  MakeQueue();
  // No pings, so that the silence is not taken for a lost connection.
  connection_ =
      Connect(server_.url(), {.ping_interval = std::chrono::minutes(10), .shared_delivery = true});
  // Nothing gives up on an answer here: only the reconnect can bring the next question.
  Begin({.sample_interval = milliseconds(20), .answer_timeout = kForever});
  ASSERT_TRUE(SeesDoubt(Doubt::kNone));
  server_.Pause();
  ASSERT_TRUE(SeesDoubt(Doubt::kStale));  // So a question is open.
  server_.Kill();
  ASSERT_TRUE(SeesDoubt(Doubt::kDisconnected));
  ASSERT_TRUE(server_.Start().has_value());
  EXPECT_TRUE(SeesDoubt(Doubt::kNone));
}

TEST_F(ProbeTest, AServerThatIsNotThereAtTheStartIsADoubt) {
  MakeQueue();
  server_.Stop();
  ASSERT_TRUE(Eventually([&] { return !connection_->Connected(); }));
  Begin();
  ASSERT_TRUE(SeesDoubt(Doubt::kDisconnected));
  ASSERT_TRUE(server_.Start().has_value());
  EXPECT_TRUE(SeesDoubt(Doubt::kNone));
}

TEST_F(ProbeTest, ASilentServerIsStale) {
  MakeQueue();
  // No pings: only the missing answers can tell.
  connection_ =
      Connect(server_.url(), {.ping_interval = std::chrono::minutes(10), .shared_delivery = true});
  Begin({.answer_timeout = milliseconds(200), .stale_after = milliseconds(400)});
  ASSERT_TRUE(SeesDoubt(Doubt::kNone));
  server_.Pause();
  ASSERT_TRUE(SeesDoubt(Doubt::kStale));
  EXPECT_TRUE(Eventually([&] { return probe_->stats().unanswered > 0; }));
  server_.Resume();
  EXPECT_TRUE(SeesDoubt(Doubt::kNone));
  EXPECT_FALSE(SawDoubt(Doubt::kDisconnected));
  probe_.reset();
}

TEST_F(ProbeTest, AMissingConsumerIsItsOwnDoubt) {
  Begin({.sample_interval = milliseconds(20)});
  ASSERT_TRUE(SeesDoubt(Doubt::kConsumerMissing));
  MakeQueue();
  Publish(2);
  ASSERT_TRUE(Sees([](const LaneSample& s) { return s.doubt == Doubt::kNone && s.waiting == 2; }));
  ASSERT_TRUE(jetstream_.DeleteConsumer(JobStreamName(key_), "workers").has_value());
  ASSERT_TRUE(SeesDoubt(Doubt::kConsumerMissing));
  MakeQueue();
  EXPECT_TRUE(Sees([](const LaneSample& s) { return s.doubt == Doubt::kNone && s.waiting == 2; }));
}

TEST_F(ProbeTest, AForgottenLaneIsUnknownAndNotAskedFor) {
  MakeQueue();
  Begin({.sample_interval = milliseconds(10)});
  ASSERT_TRUE(SeesDoubt(Doubt::kNone));
  probe_->Forget(key_);
  ASSERT_TRUE(SeesDoubt(Doubt::kNoSampleYet));
  EXPECT_EQ(probe_->stats().lanes, 0);
  EXPECT_EQ(probe_->stats().taps_armed, 0);
  probe_->Probe(LaneOf(key_));
  EXPECT_TRUE(SeesDoubt(Doubt::kNone));
}

TEST_F(ProbeTest, AnotherQueueForTheSameLaneIsAskedInstead) {
  MakeQueue();
  ASSERT_TRUE(jetstream_.CreateStream("X", R"({"name":"X","subjects":["x"]})").has_value());
  ASSERT_TRUE(jetstream_.PutConsumer("X", "c", R"({"name":"c","ack_policy":"explicit"})", "create")
                  .has_value());
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(jetstream_.PublishAck("x", "").has_value());
  Begin();
  ASSERT_TRUE(SeesDoubt(Doubt::kNone));
  probe_->Probe({key_, "X", "c"});
  EXPECT_TRUE(Sees([](const LaneSample& s) { return s.waiting == 4; }));
}

TEST_F(ProbeTest, AWakeUpIsFollowedAtOnce) {
  MakeQueue();
  Begin({.sample_interval = kForever, .answer_timeout = kForever, .tap_lanes_max = 0});
  ASSERT_TRUE(SeesDoubt(Doubt::kNone));
  Publish(1);
  ASSERT_TRUE(CountedByTheServer(1));
  ASSERT_TRUE(admin_->Publish(WakeSubject(key_), "").has_value());
  ASSERT_TRUE(admin_->Publish("lk.v1.wake.NOT.A.LANE", "").has_value());
  EXPECT_TRUE(Sees([](const LaneSample& s) { return s.waiting == 1; }));
  EXPECT_EQ(probe_->stats().wakeups, 1u);
}

TEST_F(ProbeTest, ATapWakesForAPlainPublishAndIsArmedAgain) {
  MakeQueue();
  Begin({.sample_interval = milliseconds(200)});
  auto consumer = *nats::PullConsumer::Open(*admin_, JobStreamName(key_), "workers");
  for (std::uint64_t round = 1; round <= 3; ++round) {
    ASSERT_TRUE(Eventually([&] { return probe_->stats().taps_armed == 1; })) << round;
    // The tap may not have reached the server yet; afterwards it has.
    ASSERT_TRUE(connection_->Flush(kTestDeadline).has_value());
    ASSERT_TRUE(admin_->Publish(JobSubject(key_), "plain").has_value());
    ASSERT_TRUE(Eventually([&] { return probe_->stats().taps_fired == round; }));
    const auto taken = consumer->Fetch(1, kTestDeadline);
    ASSERT_TRUE(taken.has_value());
    ASSERT_EQ(taken->size(), 1u);
    ASSERT_TRUE(nats::AckConfirmed(*admin_, taken->front(), kTestDeadline).has_value());
  }
}

TEST_F(ProbeTest, ATapBringsTheNumbersWithoutARegularSample) {
  MakeQueue();
  Begin({.sample_interval = kForever, .answer_timeout = kForever});
  // The second sample is taken since the tap is there, and comes after it at the server.
  ASSERT_TRUE(Eventually([&] {
    const LaneProbeStats stats = probe_->stats();
    return stats.taps_armed == 1 && stats.samples == 2;
  }));
  ASSERT_TRUE(admin_->Publish(JobSubject(key_), "plain").has_value());
  EXPECT_TRUE(Eventually([&] { return probe_->stats().samples > 2; }));
  // A server that is slow to count the job has been asked too early. Wake-ups ask again.
  EXPECT_TRUE(Eventually([&] {
    EXPECT_TRUE(admin_->Publish(WakeSubject(key_), "").has_value());
    return probe_->Latest(key_).waiting == 1;
  }));
}

TEST_F(ProbeTest, CountsWhatWorkersReport) {
  MakeQueue();
  Begin();
  ASSERT_TRUE(SeesDoubt(Doubt::kNone));
  Report({.worker = "a", .slots = 4, .running = 3});
  Report({.worker = "b", .slots = 4});
  Report({.worker = "c", .state = WorkerState::kDraining, .slots = 4, .running = 1});
  ASSERT_TRUE(admin_->Publish(WorkerReportSubject(key_, "d"), "garbage").has_value());
  EXPECT_TRUE(Sees([](const LaneSample& s) {
    return s.workers_reporting == 3 && s.workers_busy == 2 && s.workers_draining == 1 &&
           s.jobs_running == 4;
  }));
  EXPECT_TRUE(Eventually([&] { return probe_->stats().reports_unreadable == 1; }));
  Report({.worker = "a", .state = WorkerState::kStopped, .slots = 4});
  EXPECT_TRUE(Sees([](const LaneSample& s) { return s.workers_reporting == 2; }));
}

TEST_F(ProbeTest, TellsOfEachWorkerAndHowLongJobsTook) {
  MakeQueue();
  Begin();
  ASSERT_TRUE(SeesDoubt(Doubt::kNone));
  ServiceCounts service{};
  service[40] = 3;
  Report({.worker = "b", .state = WorkerState::kDrained, .slots = 4, .service = service});
  Report(
      {.worker = "a", .slots = 4, .running = 3, .oldest_running = seconds(90), .service = service});
  ASSERT_TRUE(Sees([](const LaneSample& s) { return s.workers_reporting == 2; }));
  std::vector<ReportedWorker> workers = probe_->Workers(key_);
  for (ReportedWorker& worker : workers) {
    EXPECT_NE(std::exchange(worker.heard_at, MonotonicTime{}), MonotonicTime{});
  }
  EXPECT_EQ(workers, (std::vector<ReportedWorker>{
                         {.name = "a", .slots = 4, .running = 3, .oldest_running = seconds(90)},
                         {.name = "b", .state = WorkerState::kDrained, .slots = 4}}));
  EXPECT_EQ(probe_->Served(key_)[40], 6U);
  EXPECT_TRUE(probe_->Workers({"no", "such", "lane"}).empty());
  EXPECT_EQ(probe_->Served({"no", "such", "lane"}), ServiceCounts{});

  const int before = Changes();
  const std::uint64_t version = probe_->Latest(key_).workers_version;
  Report({.worker = "a", .state = WorkerState::kDraining, .slots = 4, .running = 3});
  EXPECT_TRUE(Sees([&](const LaneSample& s) { return s.workers_version > version; }));
  EXPECT_TRUE(Eventually([&] { return Changes() > before; }));
}

TEST_F(ProbeTest, TellsAWorkerAndHearsItsAnswerAsAReport) {
  MakeQueue();
  Begin();
  ASSERT_TRUE(SeesDoubt(Doubt::kNone));
  auto worker =
      *admin_->SubscribeCallback(WorkerControlSubject(key_, "w"), [&](const nats::Message& asked) {
        const WorkerState state =
            asked.payload == kControlDrain ? WorkerState::kDrained : WorkerState::kRunning;
        EXPECT_TRUE(
            admin_->Publish(asked.reply, nats::WriteWorkerReport({.worker = "w", .state = state}))
                .has_value());
      });
  ASSERT_TRUE(admin_->Flush(kTestDeadline).has_value());
  probe_->Tell(key_, "w", kControlDrain);
  EXPECT_TRUE(Sees([](const LaneSample& s) { return s.workers_draining == 1; }));
  probe_->Tell(key_, "w", kControlUndrain);
  EXPECT_TRUE(Sees(
      [](const LaneSample& s) { return s.workers_reporting == 1 && s.workers_draining == 0; }));
}

TEST_F(ProbeTest, TellingAWorkerThatIsNotThereIsNoReport) {
  MakeQueue();
  Begin();
  ASSERT_TRUE(SeesDoubt(Doubt::kNone));
  probe_->Tell(key_, "nobody", kControlDrain);
  Report({.worker = "w"});
  ASSERT_TRUE(Sees([](const LaneSample& s) { return s.workers_reporting == 1; }));
  EXPECT_EQ(probe_->stats().reports, 1U);
  EXPECT_EQ(probe_->stats().reports_unreadable, 0U);
}

TEST_F(ProbeTest, WhatWasToldWithoutAConnectionIsNotSaidLater) {
  MakeQueue();
  Begin();
  ASSERT_TRUE(SeesDoubt(Doubt::kNone));
  server_.Kill();
  ASSERT_TRUE(Eventually([&] { return !connection_->Connected(); }));
  probe_->Tell(key_, "w", kControlDrain);
  ASSERT_TRUE(server_.Start().has_value());
  ASSERT_TRUE(admin_->WaitConnected(kTestDeadline));
  std::mutex mutex;
  std::vector<std::string> heard;
  auto worker =
      *admin_->SubscribeCallback(WorkerControlSubject(key_, "w"), [&](const nats::Message& asked) {
        const std::lock_guard lock(mutex);
        heard.push_back(asked.payload);
      });
  ASSERT_TRUE(admin_->Flush(kTestDeadline).has_value());
  ASSERT_TRUE(connection_->WaitConnected(kTestDeadline));
  probe_->Tell(key_, "w", kControlUndrain);
  ASSERT_TRUE(Eventually([&] {
    const std::lock_guard lock(mutex);
    return !heard.empty();
  }));
  const std::lock_guard lock(mutex);
  EXPECT_EQ(heard, std::vector<std::string>{std::string(kControlUndrain)});
}

TEST_F(ProbeTest, CountsArrivalsWhateverHappensToTheJobs) {
  MakeQueue();
  Publish(5);
  ASSERT_TRUE(CountedByTheServer(5));
  Begin({.sample_interval = milliseconds(10)});
  ASSERT_TRUE(Sees([](const LaneSample& s) { return s.waiting == 5; }));
  EXPECT_EQ(probe_->Latest(key_).arrivals_total, 0) << "who was there before did not come";
  auto consumer = *nats::PullConsumer::Open(*admin_, JobStreamName(key_), "workers");
  Publish(3);
  ASSERT_TRUE(FetchAll(*consumer, 6));
  ASSERT_TRUE(Sees([](const LaneSample& s) { return s.ack_pending == 6 && s.waiting == 2; }));
  EXPECT_EQ(probe_->Latest(key_).arrivals_total, 3);

  ASSERT_TRUE(jetstream_.Call("STREAM.PURGE." + JobStreamName(key_), "").has_value());
  ASSERT_TRUE(Sees([](const LaneSample& s) { return s.waiting == 0; }));
  Publish(4);
  ASSERT_TRUE(Sees([](const LaneSample& s) { return s.waiting == 4; }));
  EXPECT_EQ(probe_->Latest(key_).arrivals_total, 7);

  consumer->Withdraw(kTestDeadline);
  ASSERT_TRUE(nats::RemoveStream(jetstream_, JobStreamName(key_)).has_value());
  ASSERT_TRUE(SeesDoubt(Doubt::kConsumerMissing));
  MakeQueue();
  ASSERT_TRUE(Sees([](const LaneSample& s) { return s.doubt == Doubt::kNone && s.waiting == 0; }));
  EXPECT_EQ(probe_->Latest(key_).arrivals_total, 7);
  Publish(2);
  EXPECT_TRUE(Sees([](const LaneSample& s) { return s.arrivals_total == 9; }));
}

TEST_F(ProbeTest, CountsOnlyTheArrivalsThatItsConsumerTakes) {
  ASSERT_TRUE(
      jetstream_.CreateStream("X", R"({"name":"X","subjects":["x.*"],"retention":"workqueue"})")
          .has_value());
  ASSERT_TRUE(jetstream_
                  .PutConsumer("X", "c",
                               R"({"name":"c","ack_policy":"explicit","filter_subject":"x.mine"})",
                               "create")
                  .has_value());
  Begin({.sample_interval = milliseconds(10)});
  probe_->Probe({key_, "X", "c"});
  ASSERT_TRUE(SeesDoubt(Doubt::kNone));
  const auto publish = [&](const char* subject, int jobs) {
    for (int n = 0; n < jobs; ++n) ASSERT_TRUE(jetstream_.PublishAck(subject, "").has_value());
  };
  publish("x.other", 50);
  publish("x.mine", 2);
  publish("x.other", 50);
  publish("x.mine", 1);
  ASSERT_TRUE(Sees([](const LaneSample& s) { return s.waiting == 3; }));
  auto consumer = *nats::PullConsumer::Open(*admin_, "X", "c");
  ASSERT_TRUE(FetchAll(*consumer, 3));
  ASSERT_TRUE(Sees([](const LaneSample& s) { return s.waiting == 0 && s.ack_pending == 3; }));
  EXPECT_EQ(probe_->Latest(key_).arrivals_total, 3);
}

TEST_F(ProbeTest, CountsDeadLettersByLane) {
  MakeQueue();
  const LaneKey other{"studio", "media", "long"};
  ASSERT_TRUE(nats::EnsureDeadLetters(jetstream_, "studio", "media", {}).has_value());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(jetstream_.PublishAck(DeadSubject(key_), "").has_value());
  ASSERT_TRUE(jetstream_.PublishAck(DeadSubject(other), "").has_value());
  Begin({.dead_letters_interval = milliseconds(50)});
  probe_->Probe(LaneOf(other));
  EXPECT_TRUE(Sees([](const LaneSample& s) { return s.dead_letters == 3; }));
  EXPECT_TRUE(Eventually([&] { return probe_->Latest(other).dead_letters == 1; }));
  ASSERT_TRUE(nats::RemoveStream(jetstream_, DeadStreamName("studio", "media")).has_value());
  EXPECT_TRUE(Sees([](const LaneSample& s) { return s.dead_letters == 0; }));
}

TEST_F(ProbeTest, SaysHowLongTheOldestJobHasWaited) {
  MakeQueue();
  Publish(2);
  Begin({.sample_interval = milliseconds(50), .oldest_wait_interval = milliseconds(100)});
  EXPECT_TRUE(
      Sees([](const LaneSample& s) { return s.waiting == 2 && s.oldest_wait_seconds >= 2; }));
  auto consumer = *nats::PullConsumer::Open(*admin_, JobStreamName(key_), "workers");
  ASSERT_TRUE(FetchAll(*consumer, 2));
  EXPECT_TRUE(
      Sees([](const LaneSample& s) { return s.waiting == 0 && s.oldest_wait_seconds == 0; }));
}

TEST_F(ProbeTest, StopEndsTheCallbacks) {
  MakeQueue();
  Begin({.sample_interval = milliseconds(5)});
  ASSERT_TRUE(SeesDoubt(Doubt::kNone));
  probe_->Stop();
  probe_->Stop();
  const int before = Changes();
  Publish(1);
  ASSERT_TRUE(connection_->Flush(kTestDeadline).has_value());
  EXPECT_EQ(Changes(), before);
}

class NoJetStreamTest : public ProbeTest {
 protected:
  NoJetStreamTest()
      : ProbeTest(
            {.config = "accounts: {WITH: {jetstream: enabled, users: [{user: w, password: w}]},"
                       " WITHOUT: {users: [{user: o, password: o}]}}"},
            "o:o", "w:w") {}
};

TEST_F(NoJetStreamTest, AnAccountWithoutJetStreamIsItsOwnDoubt) {
  Begin();
  EXPECT_TRUE(SeesDoubt(Doubt::kJetStreamOff));
}

class DeniedTest : public ProbeTest {
 protected:
  DeniedTest()
      : ProbeTest({.config = "authorization: {users: [{user: all, password: p}, {user: few, "
                             "password: p, permissions: {publish: {deny: [\"$JS.API.>\"]}, "
                             "subscribe: {deny: [\"lk.jobs.>\"]}}}]}"},
                  "few:p", "all:p") {}
};

TEST_F(DeniedTest, AUserWhoMayNotAskIsItsOwnDoubt) {
  MakeQueue();
  Begin({.sample_interval = milliseconds(50),
         .answer_timeout = milliseconds(200),
         .stale_after = milliseconds(400)});
  EXPECT_TRUE(SeesDoubt(Doubt::kRefused));
  EXPECT_THAT(probe_->Latest(key_).doubt_detail, testing::HasSubstr("Permissions Violation"));
  ForgetDoubts();  // It was stale if the first refusal took its time.
  const auto unanswered = probe_->stats().unanswered;
  ASSERT_TRUE(Eventually([&] { return probe_->stats().unanswered > unanswered + 3; }));
  EXPECT_FALSE(SawDoubt(Doubt::kStale));
}

TEST(ProbeUnreadable, GarbageIsItsOwnDoubt) {
  NatsServer server = RunServer({.jetstream = false});
  auto connection = Connect(server.url(), {.shared_delivery = true});
  auto liar = Connect(server.url());
  auto lies = *liar->SubscribeCallback("$JS.API.CONSUMER.INFO.>", [&](const nats::Message& asked) {
    EXPECT_TRUE(liar->Publish(asked.reply, "{\"num_pending\":\"many\"}").has_value());
  });
  ASSERT_TRUE(liar->Flush(kTestDeadline).has_value());
  SystemClock clock;
  JetStreamLaneProbe probe(*connection, clock, {});
  probe.Start([](const LaneKey&) {});
  const LaneKey key{"a", "b", "c"};
  probe.Probe(LaneOf(key));
  EXPECT_TRUE(Eventually([&] { return probe.Latest(key).doubt == Doubt::kUnreadable; }));
}

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds_of = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
}

long ResidentKib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::atol(line.c_str() + 6);
  }
  return 0;
}

// Figures for README.md; asserts only that every lane is sampled and, with taps, that each wakes.
TEST(ProbeLoad, AThousandLanesAreSampledAndTapped) {
  // More with LANEKEEPER_TEST_LANES=10000, in a release build.
  const char* lanes_text = std::getenv("LANEKEEPER_TEST_LANES");
  const int lanes_count = lanes_text == nullptr ? 1000 : std::max(1, std::atoi(lanes_text));
  NatsServer server = RunServer();
  auto connection = Connect(server.url(), {.shared_delivery = true});
  auto admin = Connect(server.url());
  const nats::JetStream jetstream(*admin, kAnswerDeadline);
  std::vector<LaneKey> keys;
  for (int i = 0; i < lanes_count; ++i) {
    keys.push_back({"load", "pool-" + std::to_string(i / 16), "lane-" + std::to_string(i)});
    ASSERT_TRUE(nats::EnsureJobQueue(jetstream, keys.back(), {.storage = nats::Storage::kMemory})
                    .has_value());
  }
  SystemClock clock;
  const auto watch = [&](int taps) {
    const long before_kib = ResidentKib();
    JetStreamLaneProbe probe(*connection, clock,
                             {.sample_interval = seconds(1), .tap_lanes_max = taps});
    probe.Start([](const LaneKey&) {});
    for (const LaneKey& key : keys) probe.Probe(LaneOf(key));
    ASSERT_TRUE(Eventually([&] {
      return std::ranges::all_of(
          keys, [&](const LaneKey& key) { return probe.Latest(key).doubt == Doubt::kNone; });
    }));
    ASSERT_TRUE(
        Eventually([&] { return probe.stats().taps_armed == std::min(taps, lanes_count); }));
    const double cpu = CpuSeconds();
    const auto samples = probe.stats().samples;
    const auto started = std::chrono::steady_clock::now();
    std::this_thread::sleep_for(seconds(3));
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - started;
    std::printf(
        "[ FIGURES  ] %d lanes, %d taps: %.0f samples/s, %.1f %% of a core, +%ld KiB, "
        "%lu unanswered\n",
        lanes_count, probe.stats().taps_armed,
        static_cast<double>(probe.stats().samples - samples) / passed.count(),
        100 * (CpuSeconds() - cpu) / passed.count(), ResidentKib() - before_kib,
        static_cast<unsigned long>(probe.stats().unanswered));
    if (taps < lanes_count) return;
    // The last taps may not have reached the server yet; afterwards they have.
    ASSERT_TRUE(connection->Flush(kTestDeadline).has_value());
    for (const LaneKey& key : keys) ASSERT_TRUE(admin->Publish(JobSubject(key), "x").has_value());
    EXPECT_TRUE(Eventually([&] {
      return std::ranges::all_of(
          keys, [&](const LaneKey& key) { return probe.Latest(key).waiting == 1; });
    }));
    // A regular sample may be faster.
    EXPECT_TRUE(Eventually(
        [&] { return probe.stats().taps_fired == static_cast<std::uint64_t>(lanes_count); }));
  };
  watch(0);
  watch(std::min(lanes_count, 2000));
}

}  // namespace
}  // namespace lanekeeper
