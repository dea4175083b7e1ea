#include "operator/jetstream/jetstream_pool_board.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "operator/control/fake_leadership.h"
#include "operator/jetstream/jetstream_ledger.h"
#include "worker-runtime/job/job.h"
#include "worker-runtime/nats/pool_brief_json.h"
#include "worker-runtime/nats/queue_setup.h"
#include "worker-runtime/nats/testing/nats_cluster.h"
#include "worker-runtime/nats/testing/nats_test.h"

namespace lanekeeper {
namespace {

using nats::Connect;
using nats::Eventually;
using nats::kAnswerDeadline;
using nats::NatsServer;
using nats::RunServer;
using std::chrono::milliseconds;

// Looked for so rarely: whatever is seen came from something else.
constexpr std::chrono::hours kNever{1};

WorkerPool PoolNamed(const std::string& name, const std::string& pool_namespace = "studio") {
  WorkerPool pool;
  pool.key = {pool_namespace, name};
  Lane lane;
  lane.name = "short";
  lane.queue.stream = JobStreamName(pool.KeyOf(lane));
  lane.queue.consumer = kConsumerName;
  pool.lanes.push_back(lane);
  return pool;
}

PoolStatus StatusOf(std::int64_t generation) { return {.observed_generation = generation}; }

std::string StatusText(const PoolStatus& status) {
  return "{\"observedGeneration\":" + std::to_string(status.observed_generation) + "}";
}

class PoolBoardTest : public testing::Test {
 protected:
  PoolBoardTest()
      : server_(RunServer()),
        connection_(Connect(server_.url())),
        admin_(Connect(server_.url())),
        jetstream_(*admin_, kAnswerDeadline) {}

  std::unique_ptr<JetStreamPoolBoard> MakeBoard(PoolBoardOptions options = {}) {
    options.status_json = StatusText;
    options.answer_timeout = kAnswerDeadline;
    options.retry_wait = milliseconds(10);
    return std::make_unique<JetStreamPoolBoard>(*connection_, options);
  }
  void Begin(PoolBoardOptions options = {}) {
    options.recheck_interval = kNever;
    board_ = MakeBoard(options);
    board_->Start();
  }
  // What stands in the bucket; nothing: no such key.
  std::optional<std::string> Value(const std::string& subject) {
    std::optional<std::string> value;
    EXPECT_TRUE(Eventually([&] {
      const auto last = jetstream_.LastMessage(kPoolStream, subject);
      if (!last) return last.error().cause != nats::ApiCause::kNoAnswer;
      if (!FindHeader(last->headers, "KV-Operation")) value = last->payload;
      return true;
    }));
    return value;
  }
  std::optional<std::string> Spec(const PoolKey& key) {
    return Value(PoolSpecSubject(key.pool_namespace, key.name));
  }
  std::optional<std::string> Status(const PoolKey& key) {
    return Value(PoolStatusSubject(key.pool_namespace, key.name));
  }
  bool Says(const WorkerPool& pool) {
    return Eventually([&] { return Spec(pool.key) == nats::WritePoolBrief(BriefOf(pool)); });
  }
  bool SaysStatus(const PoolKey& key, std::int64_t generation) {
    return Eventually([&] { return Status(key) == StatusText(StatusOf(generation)); });
  }
  std::uint64_t LastSequence() {
    std::uint64_t sequence = 0;
    EXPECT_TRUE(Eventually([&] {
      const auto state = jetstream_.StreamInfo(kPoolStream);
      if (state) sequence = state->last_sequence;
      return state.has_value();
    }));
    return sequence;
  }
  // Everything told so far has been compared with the bucket and written where it differed.
  bool Settled(const JetStreamPoolBoard& board) {
    return Eventually([&] { return board.waiting() == 0; });
  }

  NatsServer server_;
  std::unique_ptr<nats::Connection> connection_;
  std::unique_ptr<nats::Connection> admin_;
  nats::JetStream jetstream_;
  const WorkerPool media_ = PoolNamed("media");
  FakeLeadership leadership_;
  std::unique_ptr<JetStreamPoolBoard> board_;  // First to go.
};

TEST_F(PoolBoardTest, WhatWasToldCanBeRead) {
  Begin();
  board_->Tell(media_);
  board_->TellStatus(media_.key, StatusOf(1));
  EXPECT_TRUE(Says(media_));
  EXPECT_TRUE(SaysStatus(media_.key, 1));
  const auto read = nats::ReadPoolBrief(Spec(media_.key).value_or(""));
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(*read, BriefOf(media_));
}

TEST_F(PoolBoardTest, StandbyWritesNothingAndTellsWhatIsTrueOnceItLeads) {
  leadership_.Set(LeadOf(1));
  Begin({.leadership = &leadership_});
  board_->TellStatus(media_.key, StatusOf(1));
  ASSERT_TRUE(SaysStatus(media_.key, 1));
  leadership_.Set(std::nullopt);
  board_->TellStatus(media_.key, StatusOf(2));  // It does not know yet.

  const auto leader = MakeBoard();
  leader->Start();
  leader->TellStatus(media_.key, StatusOf(3));
  ASSERT_TRUE(SaysStatus(media_.key, 3));
  ASSERT_TRUE(Settled(*leader));
  leader->Stop();
  const std::uint64_t sequence = LastSequence();

  board_->StartOver();
  board_->KeepOnly({media_.key});
  leadership_.Set(LeadOf(3));
  const WorkerPool other = PoolNamed("other");
  board_->Tell(other);  // Comes after all that was told before.
  ASSERT_TRUE(Says(other));
  EXPECT_EQ(Status(media_.key), StatusText(StatusOf(3)));
  board_->TellStatus(media_.key, StatusOf(1));  // The same as in its first lead, and news now.
  EXPECT_TRUE(SaysStatus(media_.key, 1));
  EXPECT_GT(LastSequence(), sequence);
}

TEST_F(PoolBoardTest, TheBucketForgetsNothingByItself) {
  Begin();
  board_->Tell(media_);
  ASSERT_TRUE(Says(media_));
  const auto state = jetstream_.StreamInfo(kPoolStream);
  ASSERT_TRUE(state.has_value());
  EXPECT_THAT(state->config_json, testing::HasSubstr("\"max_age\":0"));
}

TEST_F(PoolBoardTest, NothingIsWrittenWhenNothingChanged) {
  Begin();
  board_->Tell(media_);
  board_->TellStatus(media_.key, StatusOf(1));
  ASSERT_TRUE(Says(media_) && SaysStatus(media_.key, 1));
  const std::uint64_t before = LastSequence();
  for (int n = 0; n < 20; ++n) {
    board_->Tell(media_);
    board_->TellStatus(media_.key, StatusOf(1));
  }
  board_->TellStatus({"studio", "last"}, StatusOf(9));
  ASSERT_TRUE(SaysStatus({"studio", "last"}, 9));
  EXPECT_EQ(LastSequence(), before + 1);
}

TEST_F(PoolBoardTest, AnOperatorThatStartsAgainWritesNothing) {
  Begin();
  board_->Tell(media_);
  board_->TellStatus(media_.key, StatusOf(1));
  ASSERT_TRUE(Says(media_) && SaysStatus(media_.key, 1));
  const std::uint64_t before = LastSequence();
  Begin();
  board_->Tell(media_);
  board_->TellStatus(media_.key, StatusOf(1));
  board_->KeepOnly({media_.key});
  board_->Tell(PoolNamed("other"));
  ASSERT_TRUE(Says(PoolNamed("other")));
  ASSERT_TRUE(Settled(*board_));
  EXPECT_EQ(LastSequence(), before + 1);
  EXPECT_EQ(board_->written(), 1U);
}

TEST_F(PoolBoardTest, TheLatestWinsOverAllThatWasToldWhileNobodyListened) {
  server_.Kill();
  Begin();
  for (int n = 0; n < 10'000; ++n) board_->TellStatus(media_.key, StatusOf(n));
  EXPECT_EQ(board_->waiting(), 1U);
  ASSERT_TRUE(server_.Start().has_value());
  EXPECT_TRUE(SaysStatus(media_.key, 9'999));
  ASSERT_TRUE(Settled(*board_));
  EXPECT_EQ(board_->written(), 1U);
}

TEST_F(PoolBoardTest, AForgottenPoolIsGoneAndMayComeBack) {
  Begin();
  board_->Tell(media_);
  board_->TellStatus(media_.key, StatusOf(1));
  ASSERT_TRUE(Says(media_) && SaysStatus(media_.key, 1));
  board_->Forget(media_.key);
  EXPECT_TRUE(Eventually([&] { return !Spec(media_.key) && !Status(media_.key); }));
  ASSERT_TRUE(Settled(*board_));
  const std::uint64_t before = LastSequence();
  board_->Forget(media_.key);
  board_->Forget({"studio", "never-there"});
  board_->Tell(media_);
  EXPECT_TRUE(Says(media_));
  ASSERT_TRUE(Settled(*board_));
  EXPECT_EQ(LastSequence(), before + 1);
}

TEST_F(PoolBoardTest, PoolsThatEndedWhileNoOperatorRanAreRemovedOnceAllAreKnown) {
  Begin();
  const WorkerPool gone = PoolNamed("gone");
  const WorkerPool broken = PoolNamed("broken");
  for (const WorkerPool& pool : {media_, gone, broken}) {
    board_->Tell(pool);
    board_->TellStatus(pool.key, StatusOf(1));
    ASSERT_TRUE(Says(pool) && SaysStatus(pool.key, 1));
  }
  const std::string pause = LanePauseSubject({"studio", "gone", "short"});
  ASSERT_TRUE(jetstream_.PublishAck(pause, "{}").has_value());
  Begin();
  board_->Tell(media_);
  board_->Tell(PoolNamed("new"));
  ASSERT_TRUE(Says(PoolNamed("new")));
  EXPECT_TRUE(Spec(gone.key));
  board_->KeepOnly({media_.key, broken.key});
  EXPECT_TRUE(Eventually([&] { return !Spec(gone.key) && !Status(gone.key); }));
  ASSERT_TRUE(Settled(*board_));
  EXPECT_TRUE(Spec(media_.key));
  EXPECT_TRUE(Spec(broken.key));
  EXPECT_TRUE(Status(broken.key));
  EXPECT_TRUE(Spec({"studio", "new"}));
  EXPECT_EQ(Value(pause), "{}");
}

TEST_F(PoolBoardTest, WhatIsKnownBeforeNatsIsThereIsSweptToo) {
  Begin();
  board_->Tell(PoolNamed("gone"));
  ASSERT_TRUE(Says(PoolNamed("gone")));
  board_.reset();
  server_.Kill();
  Begin();
  board_->Tell(media_);
  board_->KeepOnly({media_.key});
  ASSERT_TRUE(server_.Start().has_value());
  EXPECT_TRUE(Says(media_));
  EXPECT_TRUE(Eventually([&] { return !Spec({"studio", "gone"}); }));
}

TEST_F(PoolBoardTest, PoolsOfOtherNamespacesAreAnotherOperators) {
  Begin();
  const WorkerPool theirs = PoolNamed("theirs", "elsewhere");
  board_->Tell(theirs);
  ASSERT_TRUE(Says(theirs));
  Begin({.only_namespace = "studio"});
  board_->Tell(PoolNamed("gone"));
  ASSERT_TRUE(Says(PoolNamed("gone")));
  Begin({.only_namespace = "studio"});
  board_->KeepOnly({});
  EXPECT_TRUE(Eventually([&] { return !Spec({"studio", "gone"}); }));
  ASSERT_TRUE(Settled(*board_));
  EXPECT_TRUE(Spec(theirs.key));
}

TEST_F(PoolBoardTest, ABucketThatWasRemovedIsToldEverythingAgain) {
  Begin();
  board_->Tell(media_);
  board_->TellStatus(media_.key, StatusOf(1));
  ASSERT_TRUE(Says(media_) && SaysStatus(media_.key, 1));
  ASSERT_TRUE(jetstream_.DeleteStream(kPoolStream).has_value());
  board_->TellStatus(media_.key, StatusOf(2));  // It is noticed with the next write…
  EXPECT_TRUE(SaysStatus(media_.key, 2));
  EXPECT_TRUE(Says(media_));
}

TEST_F(PoolBoardTest, ABucketThatWasMadeAnewIsNoticedWithoutAWrite) {
  board_ = MakeBoard({.recheck_interval = milliseconds(50)});
  board_->Start();
  board_->Tell(media_);
  ASSERT_TRUE(Says(media_));
  ASSERT_TRUE(jetstream_.DeleteStream(kPoolStream).has_value());
  // The board may notice before this, and make the bucket at the same time.
  ASSERT_TRUE(
      Eventually([&] { return nats::EnsureBucket(jetstream_, kPoolBucket, {}).has_value(); }));
  EXPECT_TRUE(Says(media_));
}

TEST_F(PoolBoardTest, AKeyThatSomebodyElseWroteIsSetBack) {
  board_ = MakeBoard({.recheck_interval = milliseconds(50)});
  board_->Start();
  board_->Tell(media_);
  ASSERT_TRUE(Says(media_));
  const std::string subject = PoolSpecSubject("studio", "media");
  ASSERT_TRUE(jetstream_.PublishAck(subject, "{}").has_value());
  EXPECT_TRUE(Says(media_));
}

TEST_F(PoolBoardTest, AServerThatCameBackEmptyIsToldEverythingAgain) {
  Begin();
  board_->Tell(media_);
  ASSERT_TRUE(Says(media_));
  ASSERT_TRUE(jetstream_.DeleteStream(kPoolStream).has_value());
  server_.Kill();
  ASSERT_TRUE(server_.Start().has_value());
  EXPECT_TRUE(Says(media_));
}

TEST_F(PoolBoardTest, AValueThatIsRefusedForGoodDoesNotKeepOthersWaiting) {
  Begin();
  WorkerPool huge = PoolNamed("huge");
  huge.routes.resize(20'000, {std::string(100, 't'), "short"});  // More than a message may have.
  board_->Tell(huge);
  board_->Tell(media_);
  EXPECT_TRUE(Says(media_));
  EXPECT_FALSE(Spec(huge.key));
  huge.routes.clear();
  board_->Tell(huge);
  EXPECT_TRUE(Says(huge));
}

TEST_F(PoolBoardTest, StopEndsWithoutAServerToo) {
  server_.Kill();
  Begin();
  board_->Tell(media_);
  board_->Stop();
  board_->Stop();
  EXPECT_EQ(board_->waiting(), 1U);
  EXPECT_EQ(board_->written(), 0U);
}

TEST_F(PoolBoardTest, ManyPoolsAreToldAndComparedAgainAfterARestart) {
  constexpr int kPools = 300;
  const auto tell_all = [this] {
    for (int n = 0; n < kPools; ++n) {
      const WorkerPool pool = PoolNamed("pool-" + std::to_string(n));
      board_->Tell(pool);
      board_->TellStatus(pool.key, StatusOf(n));
    }
  };
  Begin();
  tell_all();
  ASSERT_TRUE(Eventually([&] { return board_->written() == 2 * kPools; }));
  Begin();
  tell_all();
  board_->Tell(media_);
  ASSERT_TRUE(Says(media_));
  ASSERT_TRUE(Settled(*board_));
  EXPECT_EQ(board_->written(), 1U);
}

// A lost node took the ledger and the idempotency keys along, however safe the queues were.
TEST(PoolBoardInAClusterTest, LedgerAndKeysMadeWithOneReplicaGetThoseOfTheSafestQueue) {
  auto cluster = nats::NatsCluster::Run();
  ASSERT_TRUE(cluster.has_value()) << cluster.error().message;
  const auto connection = Connect(cluster->url());
  const nats::JetStream jetstream(*connection, kAnswerDeadline);
  JetStreamLedger ledger(*connection);
  ledger.Start();
  ASSERT_TRUE(Eventually([&] { return nats::ReplicasOf(jetstream, kLedgerStream) == 1; }));
  const auto ensure = [&](std::string_view bucket) {
    return Eventually([&] { return nats::EnsureBucket(jetstream, bucket, {}).has_value(); });
  };
  ASSERT_TRUE(ensure(kKeyBucket));

  JetStreamPoolBoard board(*connection, {.status_json = StatusText,
                                         .retry_wait = milliseconds(10),
                                         .recheck_interval = milliseconds(50)});
  board.Start();
  WorkerPool pool = PoolNamed("media");
  board.Tell(pool);
  ASSERT_TRUE(Eventually([&] { return nats::ReplicasOf(jetstream, kPoolStream) == 1; }));
  pool.lanes[0].queue.replicas = 3;
  board.Tell(pool);
  for (const std::string_view stream : {kPoolStream, kLedgerStream, kKeyStream}) {
    EXPECT_TRUE(Eventually([&] { return nats::ReplicasOf(jetstream, stream) == 3; })) << stream;
  }
  // Made by a worker that does not know better, after the pool was told.
  ASSERT_TRUE(ensure(kRecordBucket));
  EXPECT_TRUE(Eventually([&] { return nats::ReplicasOf(jetstream, kRecordStream) == 3; }));
  pool.lanes[0].queue.replicas = 1;
  board.Tell(pool);
  ASSERT_TRUE(Eventually([&] { return board.waiting() == 0; }));
  EXPECT_TRUE(Eventually([&] { return nats::ReplicasOf(jetstream, kLedgerStream) == 3; }))
      << "other pools may need them";
}

}  // namespace
}  // namespace lanekeeper
