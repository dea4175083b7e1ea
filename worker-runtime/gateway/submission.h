// A job as a client hands it in: read from HTTP bodies, written as a message of the queue. Pure.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "worker-runtime/base/time.h"
#include "worker-runtime/gateway/problem.h"
#include "worker-runtime/job/codec.h"
#include "worker-runtime/job/job.h"

namespace lanekeeper::gateway {

inline constexpr std::size_t kCallerBytesMax = 253;
inline constexpr std::size_t kIdempotencyKeyBytesMax = 255;
inline constexpr std::size_t kUserHeadersMax = 32;
inline constexpr std::size_t kUserHeaderBytesMax = 4096;  // Of all together, names and values.

// Who asks, as authentication found out: "system:serviceaccount:studio:web", a name of the token
// file, or "anonymous".
using Caller = std::string;

struct Submission {
  std::string lane;  // Empty: DecideRoute.
  std::string type;  // Empty: a job without a type.
  std::string payload;
  std::optional<WallTime> deadline;                  // Lk-Deadline
  std::optional<std::chrono::milliseconds> timeout;  // Lk-Timeout
  Headers headers;              // Handed on to the handler. None of Nats-*, Lk-*, traceparent.
  std::string traceparent;      // Empty unless it is well-formed.
  std::string idempotency_key;  // Empty: none.
  bool operator==(const Submission&) const = default;
};

// The JSON form: {"type": "thumbnail", "payload": <any JSON>, "payload_base64": "…", "lane": "…",
// "deadline": "<RFC 3339>", "timeout": "90s", "headers": {"name": "value"}, "idempotency_key":
// "…"}. All are optional. `payload` travels as compact JSON text with its numbers as they were
// written; payload and payload_base64 together are refused. kInvalidRequest names the field, also a
// field that does not exist.
Answer<Submission> ParseSubmission(std::string_view json);

// Checks of the single fields, for the form in which they are HTTP headers (Lk-Type, Lk-Lane,
// Lk-Deadline, Lk-Timeout) and the payload is the body.
Answer<Submission> SubmissionFromHeaders(const Headers& http_headers, std::string body);

// The value of an Idempotency-Key header: a structured-field string ("…") or the bare text. 1 to
// kIdempotencyKeyBytesMax printable characters.
Answer<std::string> ParseIdempotencyKey(std::string_view header);

// What makes two requests the same: SHA-256, hex, over all fields but traceparent and the key.
std::string Fingerprint(const Submission& submission);

// The message to publish. Its id will be "<stream>.<sequence>.<tail>", where `message_id` (at least
// 8 letters or digits) is the Nats-Msg-Id and tail its first 8 characters: Lk-Job-Id says
// "*.<tail>".
OutMessage EncodeSubmission(const Submission& submission, const Caller& caller,
                            std::string_view message_id);
std::string JobIdFor(std::string_view stream, std::uint64_t sequence, std::string_view message_id);
// 26 random letters and digits. From the system's random source; any thread.
std::string NewMessageId();

}  // namespace lanekeeper::gateway
