#include "worker-runtime/runner/nats_record_store.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "worker-runtime/base/log.h"
#include "worker-runtime/job/job.h"
#include "worker-runtime/nats/jetstream.h"
#include "worker-runtime/nats/job_record_json.h"
#include "worker-runtime/nats/queue_setup.h"
#include "worker-runtime/nats/revision_header.h"

namespace lanekeeper::runner {
namespace {

constexpr const char* kHeaderTtl = "Nats-TTL";
constexpr const char* kHeaderOperation = "KV-Operation";  // DEL or PURGE: a deleted key.

Result<StoredRecord> ReadStored(const nats::StoredMessage& stored) {
  StoredRecord read{.record = std::nullopt, .revision = stored.sequence};
  if (lanekeeper::FindHeader(stored.headers, kHeaderOperation)) return read;
  Result<JobRecord> record = nats::ReadJobRecord(stored.payload);
  if (record) {
    read.record = *std::move(record);
  } else {
    log::Error("runner", "record_unreadable",
               {{"subject", stored.subject}, {"error", record.error().message}});
  }
  return read;
}

Result<StoredRecord> ReadAnswer(Result<nats::Message> answer) {
  if (!answer) return tl::unexpected(std::move(answer).error());
  const auto stored = nats::ParseStoredMessage(*answer);
  if (!stored) {
    if (stored.error().cause == nats::ApiCause::kMessageMissing) return StoredRecord{};
    return tl::unexpected(stored.error().error);
  }
  return ReadStored(*stored);
}

}  // namespace

NatsRecordStore::NatsRecordStore(nats::Connection& connection, NatsRecordStoreOptions options)
    : connection_(connection),
      options_(std::move(options)),
      subject_prefix_(RecordSubjectPrefix(options_.lane)),
      done_ttl_(std::to_string(options_.done_kept.count()) + "s"),
      prepared_(std::make_shared<std::atomic<bool>>(false)) {}

Result<void> NatsRecordStore::Prepare() {
  if (*prepared_) return {};
  if (auto ready = nats::EnsureBucket(nats::JetStream(connection_, options_.answer_timeout),
                                      kRecordBucket, {});
      !ready) {
    return Wrap(std::move(ready).error(), "making the records' bucket");
  }
  *prepared_ = true;
  return {};
}

void NatsRecordStore::ReadAsync(std::string_view lane, std::string_view id, ReadHandler handler) {
  const LaneKey key{options_.lane.pool_namespace, options_.lane.pool, std::string(lane)};
  const nlohmann::json request = {{"last_by_subj", RecordSubject(key, id)}};
  connection_.RequestAsync(
      "$JS.API.STREAM.MSG.GET." + std::string(kRecordStream), request.dump(), {},
      options_.answer_timeout,
      [prepared = prepared_, handler = std::move(handler)](Result<nats::Message> answer) {
        Result<StoredRecord> read = ReadAnswer(std::move(answer));
        if (!read && read.error().kind == ErrorKind::kNotFound) {
          *prepared = false;  // Somebody deleted the bucket.
          read.error().kind = ErrorKind::kRetryable;
        }
        handler(std::move(read));
      });
}

void NatsRecordStore::WriteAsync(const JobRecord& record, std::uint64_t based_on,
                                 WriteHandler handler) {
  nats::Headers headers{{nats::kHeaderExpectedRevision, std::to_string(based_on)}};
  if (record.state == JobState::kDone) headers.emplace_back(kHeaderTtl, done_ttl_);
  connection_.RequestAsync(
      subject_prefix_ + JobIdToken(record.id), nats::WriteJobRecord(record), headers,
      options_.answer_timeout,
      [prepared = prepared_, handler = std::move(handler)](const Result<nats::Message>& answer) {
        if (!answer) return handler({.kind = Written::Kind::kFailed, .error = answer.error()});
        const nats::ApiResult<nats::PubAck> ack = nats::ParsePubAck(*answer);
        if (ack) return handler({.kind = Written::Kind::kStored, .revision = ack->sequence});
        if (ack.error().cause == nats::ApiCause::kWrongRevision) {
          return handler({.kind = Written::Kind::kOutdated, .error = ack.error().error});
        }
        Written failed{.kind = Written::Kind::kFailed, .error = ack.error().error};
        if (ack.error().cause == nats::ApiCause::kStreamMissing) {
          *prepared = false;
          failed.error.kind = ErrorKind::kRetryable;
        }
        handler(std::move(failed));
      });
}

}  // namespace lanekeeper::runner
