// JetStream over raw `$JS.API` requests. Configurations travel as JSON text, so that fields this
// version does not know survive every read-modify-write (libnats 3.4.1 would drop them).
//
// Stateless besides the connection; any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "worker-runtime/nats/connection.h"
#include "worker-runtime/nats/jetstream_answers.h"

namespace lanekeeper::nats {

class JetStream {
 public:
  // `connection` outlives this.
  explicit JetStream(Connection& connection,
                     std::chrono::milliseconds timeout = std::chrono::milliseconds(5000))
      : connection_(connection), timeout_(timeout) {}

  Connection& connection() const { return connection_; }

  // Returns when the message is stored. Repeating it with the same Nats-Msg-Id is safe.
  ApiResult<PubAck> PublishAck(std::string_view subject, std::string_view payload,
                               const Headers& headers = {}) const;
  ApiResult<PubAck> PublishAck(std::string_view subject, std::string_view payload,
                               const Headers& headers, std::chrono::milliseconds timeout) const;

  // The answer of `$JS.API.<api>` when it is one of success; `request_json` may be empty.
  ApiResult<Message> Call(std::string_view api, std::string_view request_json) const;

  // `subjects_filter` empty: no counts by subject. Pages until all subjects are read.
  ApiResult<StreamState> StreamInfo(std::string_view stream,
                                    std::string_view subjects_filter = {}) const;
  ApiResult<ConsumerState> ConsumerInfo(std::string_view stream, std::string_view consumer) const;
  ApiResult<void> CreateStream(std::string_view stream, std::string_view config_json) const;
  ApiResult<void> UpdateStream(std::string_view stream, std::string_view config_json) const;
  ApiResult<void> DeleteStream(std::string_view stream) const;
  // `action` is "create", "update" or "" for either.
  ApiResult<void> PutConsumer(std::string_view stream, std::string_view consumer,
                              std::string_view config_json, std::string_view action) const;
  ApiResult<void> DeleteConsumer(std::string_view stream, std::string_view consumer) const;

  ApiResult<StoredMessage> GetMessage(std::string_view stream, std::uint64_t sequence) const;
  // The newest message on `subject`, answered by the stream's leader. kMessageMissing: none.
  ApiResult<StoredMessage> LastMessage(std::string_view stream, std::string_view subject) const;
  // Direct get of the first message at or after `sequence` on `subject` ('*' and '>' allowed).
  // Needs allow_direct. kMessageMissing when there is none.
  ApiResult<StoredMessage> NextMessage(std::string_view stream, std::uint64_t sequence,
                                       std::string_view subject) const;
  ApiResult<void> DeleteMessage(std::string_view stream, std::uint64_t sequence) const;
  // Names of all streams, or of those with a subject that overlaps `subject`.
  ApiResult<std::vector<std::string>> StreamNames(std::string_view subject = {}) const;
  ApiResult<std::vector<std::string>> ConsumerNames(std::string_view stream) const;

 private:
  Connection& connection_;
  std::chrono::milliseconds timeout_;
};

}  // namespace lanekeeper::nats
