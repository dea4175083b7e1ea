#include "worker-runtime/gateway/publisher.h"

#include <algorithm>
#include <utility>

#include "worker-runtime/base/backoff.h"

namespace lanekeeper::gateway {
namespace {

using std::chrono::milliseconds;

// A request without an answer is given up to a second after its timeout.
constexpr milliseconds kAnswerLateness{1000};
constexpr milliseconds kTryTimeout{1500};
constexpr milliseconds kTryTimeoutMin{50};
constexpr std::chrono::seconds kHandInAgainAfter{5};
constexpr Backoff kBackoff{.initial = milliseconds(25), .max = milliseconds(400)};
constexpr int kMessageTooLarge = 10054;

milliseconds Left(MonotonicTime deadline) {
  return std::chrono::floor<milliseconds>(deadline - std::chrono::steady_clock::now());
}

// So that the last answer, or that there is none, is known before the deadline.
milliseconds TryTimeout(milliseconds left) {
  const milliseconds rest = left >= 2 * kAnswerLateness ? left - kAnswerLateness : left / 2;
  return std::clamp(rest, kTryTimeoutMin, kTryTimeout);
}

Problem Unavailable(const std::string& why) {
  return {.type = ProblemType::kQueueUnavailable,
          .detail = "The job is not known to be stored: " + why +
                    ". Hand it in again, with the same Idempotency-Key if it had one.",
          .retry_after = kHandInAgainAfter};
}

Problem TooLarge(const std::string& why) {
  return {.type = ProblemType::kPayloadTooLarge,
          .detail = "The queue does not take a job of this size: " + why +
                    ". Store the payload elsewhere and hand in where it is.",
          .retry_after = std::nullopt};
}

}  // namespace

void Publisher::Publish(std::string subject, OutMessage message, MonotonicTime deadline,
                        PublishAgain again, Published then) {
  Try(std::make_shared<Job>(
      Job{std::move(subject), std::move(message), deadline, again, std::move(then), 0}));
}

void Publisher::Try(const std::shared_ptr<Job>& job) {
  if (++job->tries > 1) ++again_;
  connection_.RequestAsync(job->subject, job->message.payload, job->message.headers,
                           TryTimeout(Left(job->deadline)),
                           [self = shared_from_this(), job](const Result<nats::Message>& answer) {
                             self->TakeAnswer(job, answer);
                           });
}

void Publisher::TakeAnswer(const std::shared_ptr<Job>& job, const Result<nats::Message>& answer) {
  if (!answer) {
    // Larger than the server takes at all.
    if (answer.error().kind == ErrorKind::kInvalid) {
      return job->then(tl::unexpected(TooLarge(answer.error().message)));
    }
    if (answer.error().kind == ErrorKind::kForbidden) {
      return job->then(tl::unexpected(Unavailable(answer.error().message)));
    }
    return TryLater(job, answer.error());
  }
  auto ack = nats::ParsePubAck(*answer);
  if (ack) return job->then(*std::move(ack));
  const nats::ApiError& error = ack.error();
  switch (error.cause) {
    case nats::ApiCause::kQueueFull:
      return job->then(Refuse(ProblemType::kLaneFull, error.error.message));
    case nats::ApiCause::kStreamMissing:  // So it is during an election or a start, too.
    case nats::ApiCause::kNoAnswer:
    case nats::ApiCause::kBusy:
    case nats::ApiCause::kJetStreamOff:
      return TryLater(job, error.error);
    default:
      if (error.err_code == kMessageTooLarge) {
        return job->then(tl::unexpected(TooLarge(error.error.message)));
      }
      return job->then(tl::unexpected(Unavailable(error.error.message)));
  }
}

void Publisher::TryLater(const std::shared_ptr<Job>& job, const Error& error) {
  const milliseconds pause = kBackoff.After(job->tries);
  if (job->again == PublishAgain::kNever || Left(job->deadline) <= pause + kTryTimeoutMin) {
    return job->then(tl::unexpected(Unavailable(error.message)));
  }
  later_->In(pause, [self = shared_from_this(), job] { self->Try(job); });
}

}  // namespace lanekeeper::gateway
