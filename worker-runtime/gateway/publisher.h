// Puts a job into its lane's stream, surely: again with the same Nats-Msg-Id when the answer was
// lost, until the queue has answered or time is over.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "worker-runtime/base/alarms.h"
#include "worker-runtime/base/time.h"
#include "worker-runtime/gateway/problem.h"
#include "worker-runtime/job/codec.h"
#include "worker-runtime/nats/connection.h"
#include "worker-runtime/nats/jetstream_answers.h"

namespace lanekeeper::gateway {

// What became of it. kLaneFull: not stored, that is certain. kPayloadTooLarge: nor then.
// kQueueUnavailable: not known to be stored.
using Published = std::function<void(Answer<nats::PubAck>)>;

// After an answer that was lost. kNever where the caller has to look first: a server that was
// killed remembers the ids of messages it still has, and a job that is done is none of these.
enum class PublishAgain { kUntilDeadline, kNever };

// Any thread.
class Publisher : public std::enable_shared_from_this<Publisher> {
 public:
  // `connection` outlives every answer.
  Publisher(nats::Connection& connection, std::shared_ptr<Alarms> later)
      : connection_(connection), later_(std::move(later)) {}

  // `then` as in Then, at `deadline` at the latest, or up to a second later when less than two are
  // left. The message has a Nats-Msg-Id.
  void Publish(std::string subject, OutMessage message, MonotonicTime deadline, PublishAgain again,
               Published then);

  std::int64_t PublishedAgain() const { return again_; }

 private:
  struct Job {
    std::string subject;
    OutMessage message;
    MonotonicTime deadline;
    PublishAgain again;
    Published then;
    int tries = 0;
  };

  void Try(const std::shared_ptr<Job>& job);
  void TakeAnswer(const std::shared_ptr<Job>& job, const Result<nats::Message>& answer);
  // Later, or never when there is no time left.
  void TryLater(const std::shared_ptr<Job>& job, const Error& error);

  nats::Connection& connection_;
  const std::shared_ptr<Alarms> later_;
  std::atomic<std::int64_t> again_{0};
};

}  // namespace lanekeeper::gateway
