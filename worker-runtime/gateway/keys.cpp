#include "worker-runtime/gateway/keys.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "worker-runtime/gateway/gateway_scan.h"
#include "worker-runtime/gateway/sha256.h"
#include "worker-runtime/nats/jetstream.h"
#include "worker-runtime/nats/queue_setup.h"
#include "worker-runtime/nats/revision_header.h"

namespace lanekeeper::gateway {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr milliseconds kAnswerTimeout{2000};
constexpr const char* kHeaderTtl = "Nats-TTL";
constexpr const char* kHeaderOperation = "KV-Operation";  // DEL or PURGE: a deleted key.
constexpr std::size_t kIdBytesMin = 8;
// Clocks of two servers of a cluster may differ by so much.
constexpr std::chrono::seconds kClockMargin{1};

std::string TextAt(const json& object, const char* field) {
  const auto found = object.find(field);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Result<KeySeen> ReadSeenKey(const Result<nats::Message>& answer) {
  if (!answer) return tl::unexpected(answer.error());
  const auto stored = nats::ParseStoredMessage(*answer);
  if (!stored) {
    if (stored.error().cause == nats::ApiCause::kMessageMissing) return KeySeen{};
    return tl::unexpected(stored.error().error);
  }
  KeySeen seen{
      .entry = std::nullopt, .revision = stored->sequence, .written_at = stored->stored_at};
  if (lanekeeper::FindHeader(stored->headers, kHeaderOperation)) return seen;
  // One that cannot be read is not Lanekeeper's: it is written over.
  if (auto entry = ReadKeyEntry(stored->payload)) seen.entry = *std::move(entry);
  return seen;
}

// "LK_studio_media_short.17.k3x9qa2b" of that stream and message: 17.
std::uint64_t SequenceOfId(std::string_view id, std::string_view stream,
                           std::string_view message_id) {
  if (!id.starts_with(stream) || id.size() <= stream.size()) return 0;
  id.remove_prefix(stream.size() + 1);
  std::uint64_t sequence = 0;
  const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), sequence);
  if (error != std::errc()) return 0;
  return JobIdFor(stream, sequence, message_id) == std::string(stream) + "." + std::string(id)
             ? sequence
             : 0;
}

}  // namespace

std::string WriteKeyEntry(const KeyEntry& entry) {
  json object = {{"v", 1},
                 {"message", entry.message_id},
                 {"fingerprint", entry.fingerprint},
                 {"lane", entry.lane}};
  if (entry.sequence != 0) {
    object["stream"] = entry.stream;
    object["sequence"] = entry.sequence;
  }
  return object.dump();
}

Result<KeyEntry> ReadKeyEntry(std::string_view text) {
  const json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto refuse = [](const char* field) {
    return Fail(ErrorKind::kInvalid, std::string("idempotency key: ") + field);
  };
  if (!object.is_object()) return refuse("not a JSON object");
  KeyEntry entry{.message_id = TextAt(object, "message"),
                 .fingerprint = TextAt(object, "fingerprint"),
                 .lane = TextAt(object, "lane"),
                 .stream = TextAt(object, "stream")};
  if (entry.message_id.size() < kIdBytesMin) return refuse("message");
  if (entry.fingerprint.empty()) return refuse("fingerprint");
  if (!CheckLaneKey({"ns", "pool", entry.lane})) return refuse("lane");
  if (const auto sequence = object.find("sequence"); sequence != object.end()) {
    if (!sequence->is_number_unsigned() || entry.stream.empty()) return refuse("sequence");
    entry.sequence = sequence->get<std::uint64_t>();
  }
  return entry;
}

std::string KeySubject(std::string_view pool_namespace, std::string_view pool, const Caller& caller,
                       std::string_view key) {
  std::string text = std::to_string(caller.size()) + ":" + caller;
  text += key;
  return IdempotencySubject(pool_namespace, pool, Sha256Hex(text));
}

KeyStore::KeyStore(nats::Connection& connection, std::chrono::seconds kept,
                   std::shared_ptr<CallQueue> waiting)
    : connection_(connection),
      ttl_(std::to_string(std::max<std::int64_t>(1, kept.count())) + "s"),
      kept_(kept),
      waiting_(std::move(waiting)) {}

void KeyStore::Prepare(std::function<void(Result<void>)> then) {
  if (prepared_) return then({});
  const bool taken = waiting_->Add([self = shared_from_this(), then](const std::stop_token&) {
    if (self->prepared_) return then({});
    // Every key has a time of its own; the bucket's limit only takes what lost it.
    const auto age_max = std::chrono::ceil<std::chrono::hours>(self->kept_) * 2;
    const nats::JetStream jetstream(self->connection_, kAnswerTimeout);
    // As safe as what the operator tells us of: that is as safe as the safest queue.
    const auto replicas = nats::ReplicasOf(jetstream, kPoolStream);
    if (!replicas) return then(tl::unexpected(replicas.error()));
    auto ready = nats::EnsureBucket(jetstream, kKeyBucket,
                                    {.replicas = std::max(1, *replicas), .age_max = age_max});
    if (ready) self->prepared_ = true;
    then(std::move(ready));
  });
  if (!taken) then(Fail(ErrorKind::kRetryable, "too much in hand"));
}

void KeyStore::Read(const std::string& subject, std::function<void(Result<KeySeen>)> then) {
  const json request = {{"last_by_subj", subject}};
  connection_.RequestAsync(
      "$JS.API.STREAM.MSG.GET." + std::string(kKeyStream), request.dump(), {}, kAnswerTimeout,
      [self = shared_from_this(), then = std::move(then)](const Result<nats::Message>& answer) {
        Result<KeySeen> seen = ReadSeenKey(answer);
        // Somebody deleted the bucket.
        if (!seen && seen.error().kind == ErrorKind::kNotFound) self->prepared_ = false;
        then(std::move(seen));
      });
}

void KeyStore::Write(const std::string& subject, const KeyEntry& entry, std::uint64_t based_on,
                     std::function<void(KeyWritten)> then) {
  const nats::Headers headers{{nats::kHeaderExpectedRevision, std::to_string(based_on)},
                              {kHeaderTtl, ttl_}};
  connection_.RequestAsync(
      subject, WriteKeyEntry(entry), headers, kAnswerTimeout,
      [self = shared_from_this(), then = std::move(then)](const Result<nats::Message>& answer) {
        if (!answer) return then({.error = answer.error()});
        const auto ack = nats::ParsePubAck(*answer);
        if (ack) return then({.kind = KeyWritten::Kind::kStored, .revision = ack->sequence});
        if (ack.error().cause == nats::ApiCause::kWrongRevision) {
          return then({.kind = KeyWritten::Kind::kOutdated, .error = ack.error().error});
        }
        if (ack.error().cause == nats::ApiCause::kStreamMissing) self->prepared_ = false;
        then({.error = ack.error().error});
      });
}

Result<std::uint64_t> FindKeyedJob(nats::Connection& connection, const KeyEntry& entry,
                                   const LaneKey& lane, const std::string& stream,
                                   const std::string& subject, WallTime since) {
  std::uint64_t found = 0;
  const WallTime from = since - kClockMargin;
  const auto waits = ScanStream(connection, {.stream = stream, .subject = subject, .since = from},
                                [&](const nats::StoredMessage& stored) {
                                  const auto id =
                                      lanekeeper::FindHeader(stored.headers, kHeaderMessageId);
                                  if (id != entry.message_id) return true;
                                  found = stored.sequence;
                                  return false;
                                });
  if (!waits) return tl::unexpected(waits.error());
  if (found != 0) return found;
  if (!*waits) {
    return Fail(ErrorKind::kRetryable,
                "too many jobs came since the first request to look through");
  }
  const auto records = ScanStream(
      connection,
      {.stream = std::string(kRecordStream), .subject = RecordSubjectFilter(lane), .since = from},
      [&](const nats::StoredMessage& stored) {
        const json record = json::parse(stored.payload, nullptr, /*allow_exceptions=*/false);
        if (!record.is_object()) return true;
        found = SequenceOfId(TextAt(record, "id"), stream, entry.message_id);
        return found == 0;
      });
  // A lane that never had a worker may have no bucket of records, and then no record.
  if (!records && records.error().kind != ErrorKind::kNotFound) {
    return tl::unexpected(records.error());
  }
  if (found == 0 && records && !*records) {
    return Fail(ErrorKind::kRetryable,
                "too many jobs ended since the first request to look through");
  }
  return found;
}

}  // namespace lanekeeper::gateway
