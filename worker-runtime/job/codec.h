// Between a message of a lane and a job, and from a job to its dead letter. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "worker-runtime/base/result.h"
#include "worker-runtime/job/job.h"
#include "worker-runtime/job/settlement.h"

namespace lanekeeper {

inline constexpr std::size_t kJobIdBytesMax = 256;
inline constexpr std::size_t kJobTypeBytesMax = 128;
inline constexpr std::size_t kDeadMessageBytesMax = 2048;

// Reads the headers of the queue contract. A message without any is a valid job. kInvalid, naming
// the header, for
// - Nats-Msg-Id, Lk-Job-Id: more than kJobIdBytesMax bytes, or control characters,
// - Lk-Type: more than kJobTypeBytesMax bytes, or other than letters, digits and "._-/:",
// - Lk-Deadline: not an RFC 3339 time,
// - Lk-Timeout: not a duration, or 0.
// A malformed traceparent is ignored, as W3C Trace Context asks.
Result<JobHead> DecodeHead(const JobMessage& message);

// What DecodeHead asks of Lk-Type (empty is a job without a type) and of traceparent.
bool IsJobType(std::string_view text);
bool IsTraceparent(std::string_view text);

// The id of a message whether or not its head can be decoded: for logs and dead letters. Lk-Job-Id
// with '*' at its start is "<stream>.<sequence>" and what follows the '*'.
std::string JobIdOf(const JobMessage& message);

// One message to publish.
struct OutMessage {
  Headers headers;
  std::string payload;
};

struct DeadOrigin {
  std::string worker;
  std::string time;  // RFC 3339.
};

// The job as it is published in another lane when it overran `lane`: the same payload, headers and
// id. Publishing it again stores it once: Nats-Msg-Id is "<stream>.<sequence>.<time stored>.moved".
OutMessage EncodeMove(const JobMessage& message, std::string_view lane);

// The dead letter of a job: its payload and headers, and Lk-Dead-* headers beside them.
// - Nats-Msg-Id is "<stream>.<sequence>.<time stored>.dead": publishing it again stores it once,
// and
//   no other dead letter of the pool has it, whatever the job's id. Other Nats-*
//   headers are orders to the server about the first publish and do not travel.
// - Lk-Dead-* headers of an earlier death are replaced, and Lk-Job-Id is the id, without a '*'.
// - Lk-Dead-Message is the first line of the message; further ones are Lk-Dead-Output when the
//   letter has no output of its own.
// Normally one message. When payload and headers together exceed `bytes_max` (the server's
// max_payload counts both), the payload goes on in further ones with Lk-Dead-Part "2/2": nothing is
// lost. Empty when the headers alone leave no room.
std::vector<OutMessage> EncodeDeadLetter(const JobMessage& message, const DeadLetter& letter,
                                         const DeadOrigin& origin, std::size_t bytes_max);

}  // namespace lanekeeper
