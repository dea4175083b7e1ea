#include "worker-runtime/gateway/job_desk_queue.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "worker-runtime/base/log.h"
#include "worker-runtime/job/worker_report.h"
#include "worker-runtime/nats/job_record_json.h"
#include "worker-runtime/nats/revision_header.h"

namespace lanekeeper::gateway {
namespace {

using nats::ApiCause;
using nlohmann::json;

constexpr const char* kHeaderOperation = "KV-Operation";  // DEL or PURGE: a deleted key.
constexpr std::string_view kMessageGet = "$JS.API.STREAM.MSG.GET.";

bool IsAbsent(ApiCause cause) {
  return cause == ApiCause::kMessageMissing || cause == ApiCause::kStreamMissing ||
         cause == ApiCause::kConsumerMissing;
}

}  // namespace

Problem Unavailable(std::string_view what, const Error& error) {
  return {.type = ProblemType::kQueueUnavailable,
          .detail = std::string(what) + ": " + error.message + "; try again",
          .retry_after = kUnavailableRetry};
}

RecordSeen ReadSeen(const nats::StoredMessage& stored) {
  RecordSeen seen{.record = std::nullopt, .revision = stored.sequence};
  if (FindHeader(stored.headers, kHeaderOperation)) return seen;
  Result<JobRecord> record = nats::ReadJobRecord(stored.payload);
  if (record) {
    seen.record = *std::move(record);
  } else {
    log::Warning("gateway", "record_unreadable",
                 {{"subject", stored.subject}, {"error", record.error().message}});
  }
  return seen;
}

void DeskQueue::ReadRecord(const LaneKey& lane, std::string_view id, Then<RecordSeen> then) const {
  const json request = {{"last_by_subj", RecordSubject(lane, id)}};
  connection_.RequestAsync(
      std::string(kMessageGet) + std::string(kRecordStream), request.dump(), {}, timeout_,
      [then = std::move(then)](const Result<nats::Message>& answer) {
        if (!answer) return then(tl::unexpected(Unavailable("reading a record", answer.error())));
        const auto stored = nats::ParseStoredMessage(*answer);
        if (stored) return then(ReadSeen(*stored));
        if (IsAbsent(stored.error().cause)) return then(RecordSeen{});
        then(tl::unexpected(Unavailable("reading a record", stored.error().error)));
      });
}

void DeskQueue::WriteRecord(const LaneKey& lane, const JobRecord& record, std::uint64_t based_on,
                            std::function<void(RecordWritten)> then) const {
  using Kind = RecordWritten::Kind;
  connection_.RequestAsync(
      RecordSubject(lane, record.id), nats::WriteJobRecord(record),
      {{nats::kHeaderExpectedRevision, std::to_string(based_on)}}, timeout_,
      [then = std::move(then)](const Result<nats::Message>& answer) {
        if (!answer) return then({.kind = Kind::kUnknown, .error = answer.error()});
        const auto ack = nats::ParsePubAck(*answer);
        if (ack) return then({.kind = Kind::kStored, .revision = ack->sequence, .error = {}});
        const ApiCause cause = ack.error().cause;
        const Kind kind = cause == ApiCause::kWrongRevision   ? Kind::kOutdated
                          : cause == ApiCause::kStreamMissing ? Kind::kNoBucket
                                                              : Kind::kUnknown;
        then({.kind = kind, .error = ack.error().error});
      });
}

void DeskQueue::ReadMessage(std::string_view stream, std::uint64_t sequence,
                            Then<std::optional<nats::StoredMessage>> then) const {
  connection_.RequestAsync(
      std::string(kMessageGet) + std::string(stream), json{{"seq", sequence}}.dump(), {}, timeout_,
      [then = std::move(then)](const Result<nats::Message>& answer) {
        if (!answer) return then(tl::unexpected(Unavailable("reading a lane", answer.error())));
        auto stored = nats::ParseStoredMessage(*answer);
        if (stored) return then(*std::move(stored));
        if (IsAbsent(stored.error().cause)) return then(std::nullopt);
        then(tl::unexpected(Unavailable("reading a lane", stored.error().error)));
      });
}

void DeskQueue::RemoveMessage(std::string_view stream, std::uint64_t sequence,
                              Then<bool> then) const {
  const json request = {{"seq", sequence}, {"no_erase", true}};
  connection_.RequestAsync(
      "$JS.API.STREAM.MSG.DELETE." + std::string(stream), request.dump(), {}, timeout_,
      [then = std::move(then)](const Result<nats::Message>& answer) {
        if (!answer) return then(tl::unexpected(Unavailable("removing a job", answer.error())));
        const auto removed = nats::CheckAnswer(*answer);
        if (removed) return then(true);
        // A message that is not there: "no message found", "sequence not found".
        if (IsAbsent(removed.error().cause) || removed.error().err_code == 10057 ||
            removed.error().err_code == 10043) {
          return then(false);
        }
        then(tl::unexpected(Unavailable("removing a job", removed.error().error)));
      });
}

void DeskQueue::ReadConsumer(std::string_view stream, std::string_view consumer,
                             Then<std::optional<nats::ConsumerState>> then) const {
  connection_.RequestAsync(
      "$JS.API.CONSUMER.INFO." + std::string(stream) + "." + std::string(consumer), "", {},
      timeout_, [then = std::move(then)](const Result<nats::Message>& answer) {
        if (!answer) return then(tl::unexpected(Unavailable("reading a lane", answer.error())));
        const auto state = nats::ParseConsumerState(*answer);
        if (state) return then(*state);
        if (IsAbsent(state.error().cause)) return then(std::nullopt);
        then(tl::unexpected(Unavailable("reading a lane", state.error().error)));
      });
}

void DeskQueue::TellWorker(const LaneKey& lane, const JobRecord& record) const {
  if (record.worker.empty()) return;
  const auto told =
      connection_.Publish(WorkerControlSubject(lane, record.worker),
                          std::string(kControlFence) + record.instance + " " + record.id);
  // It sees it with its next renewal all the same.
  if (!told) log::Debug("gateway", "worker_not_told", {{"error", told.error().message}});
}

JobMessage HeadOnly(std::string_view stream, const nats::StoredMessage& stored) {
  return {.stream = std::string(stream),
          .sequence = stored.sequence,
          .stored_at = stored.stored_at,
          .payload = {},
          .headers = stored.headers};
}

}  // namespace lanekeeper::gateway
