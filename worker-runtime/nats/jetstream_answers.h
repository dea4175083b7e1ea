// What JetStream's API answers, read into plain values. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "worker-runtime/base/clock.h"
#include "worker-runtime/base/result.h"
#include "worker-runtime/nats/connection.h"

namespace lanekeeper::nats {

// What went wrong in words a caller can branch on. `error` alone is enough to report it.
enum class ApiCause {
  kNoAnswer,         // Timeout, not connected, connection lost.
  kJetStreamOff,     // No responders, or JetStream not enabled for this account (10039, 10076).
  kDenied,           // The server refused the subject.
  kStreamMissing,    // 10059; for a publish: no stream takes this subject.
  kConsumerMissing,  // 10014
  kMessageMissing,   // 10037
  kQueueFull,        // 10077: discard new and a limit reached. Try again when jobs have been done.
  kNoRoom,           // 10002, 10023, 10028, 10047: disk, memory or the account's share is full.
  kWrongRevision,    // 10071: Nats-Expected-Last-Subject-Sequence is not the last one.
  kBusy,             // 10167 and other 429: the server is overloaded.
  kUnreadable,       // Not the JSON the API promises.
  kRefused,          // Any other API error: see err_code.
};

struct ApiError {
  Error error;  // Kind and message, as every other room uses them.
  ApiCause cause = ApiCause::kRefused;
  int code = 0;      // HTTP-like, as the server sent it; 0 = none.
  int err_code = 0;  // JetStream's own number; 0 = none.
};

template <typename T>
using ApiResult = tl::expected<T, ApiError>;

// `Result<T>` code hands an ApiError on: `return Wrap(std::move(info).error(), "reading x");`
inline tl::unexpected<Error> Wrap(ApiError error, std::string_view what) {
  return lanekeeper::Wrap(std::move(error.error), what);
}

struct PubAck {
  std::string stream;
  std::uint64_t sequence = 0;
  bool duplicate = false;  // The Nats-Msg-Id was known; nothing was stored.
};

struct StreamState {
  std::int64_t messages = 0;
  std::int64_t bytes = 0;
  std::uint64_t first_sequence = 0;
  std::uint64_t last_sequence = 0;
  // With a subjects_filter: messages by subject.
  std::vector<std::pair<std::string, std::int64_t>> subjects;
  std::string config_json;
};

// All counts >= 0. facts: num_pending is right because the consumer's leader alone answers.
struct ConsumerState {
  std::int64_t pending = 0;        // Never delivered.
  std::int64_t ack_pending = 0;    // Running, parked, or lease ran out.
  std::int64_t waiting_pulls = 0;  // Open pull requests.
  std::int64_t redelivered = 0;
  std::uint64_t delivered_stream_sequence = 0;
  std::uint64_t delivered_consumer_sequence = 0;
  std::uint64_t ack_floor_stream_sequence = 0;
  std::uint64_t ack_floor_consumer_sequence = 0;
  std::int64_t ack_pending_max = 0;  // 0 = unlimited.
  std::string filter_subject;        // Empty: none, or several.
  bool paused = false;
  std::string config_json;  // Left empty by ParseConsumerState unless asked for.
};

struct StoredMessage {
  std::string subject;
  std::uint64_t sequence = 0;
  std::string payload;
  Headers headers;
  WallTime stored_at{};
};

// The error of an API answer, or nothing when it is an answer of success.
// `answer` is the whole message, so that 503 without a body is understood too.
std::optional<ApiError> ErrorOfAnswer(const Message& answer);
// Success, or the error in the answer; kUnreadable when it is neither.
ApiResult<void> CheckAnswer(const Message& answer);

// kUnreadable for anything that is not a complete consumer info.
ApiResult<ConsumerState> ParseConsumerState(const Message& answer, bool with_config = false);
ApiResult<StreamState> ParseStreamState(const Message& answer, bool with_config = false);
ApiResult<StoredMessage> ParseStoredMessage(const Message& answer);
ApiResult<PubAck> ParsePubAck(const Message& answer);
// RFC 3339 as the server writes it, nanoseconds cut to the clock's resolution. Nothing when broken.
std::optional<WallTime> ParseServerTime(std::string_view text);

}  // namespace lanekeeper::nats
