// Records in a real bucket.
#include "worker-runtime/runner/nats_record_store.h"

#include <gtest/gtest.h>

#include <optional>

#include "worker-runtime/nats/queue_setup.h"
#include "worker-runtime/runner/testing/lane_fixture.h"

namespace lanekeeper::runner {
namespace {

class NatsRecordStoreTest : public LaneFixture {
 protected:
  void SetUp() override {
    LaneFixture::SetUp();
    store_.emplace(*connection_, NatsRecordStoreOptions{.lane = key_});
    ASSERT_TRUE(store_->Prepare());
  }
  static JobRecord Claim(const std::string& id) {
    return {.id = id, .sequence = 1, .runs = 1, .instance = "i-1"};
  }
  static bool NoPause(int) { return false; }

  std::optional<NatsRecordStore> store_;
};

// Bug: it was an error, and a job whose first worker died before its claim never ran again.
TEST_F(NatsRecordStoreTest, AMissingRecordIsNoError) {
  const auto read = store_->Read("short", "nobody");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_FALSE(read->record);
  EXPECT_EQ(read->revision, 0U);
}

TEST_F(NatsRecordStoreTest, OnlyTheNewestRevisionMayBeWrittenOver) {
  const Written first = store_->Write(Claim("any id, even * or >"), 0);
  ASSERT_EQ(first.kind, Written::Kind::kStored) << first.error.message;
  EXPECT_EQ(store_->Write(Claim("any id, even * or >"), 0).kind, Written::Kind::kOutdated);
  EXPECT_EQ(store_->Write(Claim("any id, even * or >"), first.revision).kind,
            Written::Kind::kStored);
  EXPECT_EQ(store_->Write(Claim("any id, even * or >"), first.revision).kind,
            Written::Kind::kOutdated);
  EXPECT_EQ(store_->Read("short", "any id, even * or >")->record, Claim("any id, even * or >"));
}

TEST_F(NatsRecordStoreTest, ADeletedKeyIsWrittenOver) {
  const Written first = store_->Write(Claim("a"), 0);
  // As `nats kv del` does it.
  ASSERT_TRUE(jetstream_->PublishAck(RecordSubject(key_, "a"), "", {{"KV-Operation", "DEL"}}));
  const auto read = store_->Read("short", "a");
  ASSERT_TRUE(read);
  EXPECT_FALSE(read->record);
  EXPECT_GT(read->revision, first.revision);
  EXPECT_EQ(store_->WriteSurely(Claim("a"), first.revision, NoPause).kind, Written::Kind::kStored);
}

TEST_F(NatsRecordStoreTest, ARecordThatCannotBeReadIsWrittenOver) {
  ASSERT_TRUE(jetstream_->PublishAck(RecordSubject(key_, "a"), "no record", {}));
  const auto read = store_->Read("short", "a");
  ASSERT_TRUE(read);
  EXPECT_FALSE(read->record);
  EXPECT_EQ(store_->Write(Claim("a"), read->revision).kind, Written::Kind::kStored);
}

TEST_F(NatsRecordStoreTest, TheBucketIsAKvBucketOfAnyClient) {
  const auto state = jetstream_->StreamInfo(kRecordStream);
  ASSERT_TRUE(state);
  EXPECT_NE(state->config_json.find("$KV.LK_jobs.>"), std::string::npos);
  EXPECT_NE(state->config_json.find("\"max_msgs_per_subject\":1"), std::string::npos);
  EXPECT_NE(state->config_json.find("\"allow_msg_ttl\":true"), std::string::npos);
}

TEST_F(NatsRecordStoreTest, WithoutAServerAWriteFailsAndSaysWhy) {
  server_->Stop();
  const Written written = store_->Write(Claim("a"), 0);
  EXPECT_EQ(written.kind, Written::Kind::kFailed);
  EXPECT_EQ(written.error.kind, ErrorKind::kRetryable);
}

}  // namespace
}  // namespace lanekeeper::runner
