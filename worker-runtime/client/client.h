// lanekeeper::Client: hands jobs to a gateway, and follows them.
//
// Calls wait: until there is an answer, it was tried often enough, or the deadline is over. What
// may pass (no connection, a lost answer, a gateway that restarts, a lane that is full for a
// moment) is tried again by itself; a job is handed in under an idempotency key, so that it is one
// job however often the request was sent. Any thread, also several at once. Nothing throws.
//
//   auto client = lanekeeper::Client::Create({.url = "http://gateway:8080"});
//   auto job = (*client)->Submit({"studio", "media"}, {.type = "thumbnail", .payload = "{}"});
//   auto end = (*client)->Wait(job->id, std::chrono::minutes(1));
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

#include "worker-runtime/base/result.h"
#include "worker-runtime/base/time.h"

namespace lanekeeper {

namespace client {
class HttpCaller;  // http_call.h
}

struct ClientOptions {
  std::string url;         // Of the gateway; a path in it stands before /v1.
  std::string token;       // Sent as "Authorization: Bearer …"; empty: none.
  std::string token_file;  // Instead of `token`: read again for every try, as tokens are renewed.
  std::string ca_file;     // PEM; trusted beside the system's certificates.
  std::chrono::milliseconds timeout{30'000};      // Of a call, all its tries together.
  std::chrono::milliseconds try_timeout{10'000};  // Of one try.
  int retries = 8;                                // Tries after the first.
  // Whether a 429 is waited out, as any other refusal that may pass; SubmitMany does so always.
  bool wait_when_busy = true;
  std::size_t answer_bytes_max = 16 * 1024 * 1024;
};

struct ClientError {
  // kRetryable: no answer, or one that may be another later. kNotFound: no such pool, lane or job.
  // kInvalid: the request is wrong. kForbidden: the token.
  ErrorKind kind = ErrorKind::kRetryable;
  std::string message;  // A clause: "submitting to studio/media: 429 lane-full: …".
  // The last part of the problem's `type`, e.g. "lane-full", which is stable. Empty: no gateway
  // answered, or not with a problem.
  std::string problem;
  int status = 0;  // 0: no answer.
  // What the last answer said about when to come again.
  std::optional<std::chrono::seconds> retry_after;
  bool operator==(const ClientError&) const = default;
};

template <typename T>
using ClientResult = tl::expected<T, ClientError>;

// `ClientError::problem` of Wait when the job has not ended in time.
inline constexpr std::string_view kNotEnded = "not-ended";

struct PoolName {
  std::string pool_namespace;
  std::string pool;
};

struct NewJob {
  std::string type;                                          // Which handler.
  std::string payload;                                       // Bytes.
  std::string lane;                                          // Empty: the pool's routes decide.
  std::optional<WallTime> deadline;                          // Not started by then: a dead letter.
  std::optional<std::chrono::milliseconds> timeout;          // Less than the lane's.
  std::vector<std::pair<std::string, std::string>> headers;  // For the handler.
  // Two submits with one key are one job. Empty: the client makes one, which makes its own retries
  // safe; with retries = 0 none is sent.
  std::string idempotency_key;
  std::string traceparent;  // W3C Trace Context; not sent by SubmitMany.
};

struct SubmittedJob {
  std::string id;
  std::string lane;
  std::optional<std::int64_t> position;     // Jobs before it, about.
  std::optional<std::chrono::seconds> eta;  // Until it starts, about.
};

struct JobStatus {
  std::string id;
  std::string pool_namespace;
  std::string pool;
  std::string lane;
  std::string type;
  std::string state;           // waiting, running, parked, done, dead, moved, cancelled.
  std::uint64_t revision = 0;  // Grows with every change; 0: nothing has happened yet.
  int attempts = 0;            // Errors.
  int crashes = 0;
  double progress = 0;  // 0..1
  std::string progress_note;
  std::string result;  // Bytes; of a result that is JSON, its text.
  std::string error;
  std::string error_class;
  std::string dead_reason;
  std::optional<std::int64_t> position;
  std::optional<std::chrono::seconds> eta;
  std::string json;  // All that the gateway said.

  bool Ended() const { return state == "done" || state == "dead" || state == "cancelled"; }
};

class Client {
 public:
  // kInvalid, naming the option. Does not connect.
  static Result<std::unique_ptr<Client>> Create(ClientOptions options);
  // Over another way to the gateway: url, tokens, ca_file and answer_bytes_max are its own.
  static Result<std::unique_ptr<Client>> Create(ClientOptions options,
                                                std::shared_ptr<client::HttpCaller> http);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // A success means that the job is stored.
  ClientResult<SubmittedJob> Submit(const PoolName& pool, const NewJob& job);

  // As Submit for each of them, in few requests: one result a job, in their order. Only those that
  // failed are tried again.
  std::vector<ClientResult<SubmittedJob>> SubmitMany(const PoolName& pool,
                                                     const std::vector<NewJob>& jobs);

  // kNotFound also for a job that is done, where the lane keeps no records of those.
  ClientResult<JobStatus> Get(std::string_view id);

  // Until it has ended. kRetryable with problem kNotEnded when `deadline` is over before.
  ClientResult<JobStatus> Wait(std::string_view id, std::chrono::milliseconds deadline);

  // Calls `changed` with the job as it is and as it changes, until it has ended, which it returns;
  // versions in between may be left out, the last one never. On the caller's thread. Connects again
  // where it left off, until `deadline`: then kRetryable with problem kNotEnded; as when `changed`
  // returns false or `stop` is requested.
  ClientResult<JobStatus> Watch(std::string_view id, std::chrono::milliseconds deadline,
                                const std::function<bool(const JobStatus&)>& changed,
                                const std::stop_token& stop = {});
  // The same, for an id that does not say its pool: one that no gateway has given.
  ClientResult<JobStatus> Watch(const PoolName& pool, std::string_view id,
                                std::chrono::milliseconds deadline,
                                const std::function<bool(const JobStatus&)>& changed,
                                const std::stop_token& stop = {});

  // A job that waits never runs; a running one is told to stop. kInvalid with problem
  // "job-finished": it has ended otherwise.
  ClientResult<JobStatus> Cancel(std::string_view id);

 private:
  class Impl;
  explicit Client(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace lanekeeper
