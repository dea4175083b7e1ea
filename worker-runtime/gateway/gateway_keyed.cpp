// SubmitWithKey: a submission that is one job, however often it is handed in.
//
//   create the key ─▶ publish ─▶ complete the key ─▶ answer
//        │ there is one
//        ▼
//   complete: answer with its job
//   not yet:  somebody is about to publish it: look again. When that has not happened for a while,
//             or it was ourselves and the answer was lost: first look for its job, then renew the
//             key, publish under its message id and complete it. The message id alone does not make
//             it one job: a stream remembers ids for two minutes, and a server that was killed only
//             those of jobs that are still in the stream.
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "worker-runtime/base/clock.h"
#include "worker-runtime/base/duration.h"
#include "worker-runtime/gateway/gateway_core.h"

namespace lanekeeper::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr milliseconds kPause{50};
constexpr seconds kRetryAfter{5};
// Younger ones are most likely being published right now.
constexpr seconds kFresh{2};

class KeyedSubmit : public std::enable_shared_from_this<KeyedSubmit> {
 public:
  KeyedSubmit(std::shared_ptr<HandedIn> job, std::optional<Problem> busy)
      : job_(std::move(job)),
        core_(*job_->core),
        busy_(std::move(busy)),
        subject_(KeySubject(job_->pool->pool_namespace, job_->pool->pool, job_->caller,
                            job_->submission.idempotency_key)),
        fingerprint_(Fingerprint(job_->submission)) {}

  void Start() {
    if (busy_) return Read();  // Nothing is written for a job that is not taken.
    if (Dies("admitted")) return;
    Prepare();
  }

 private:
  void Prepare() {
    core_.keys->Prepare([self = shared_from_this()](const Result<void>& ready) {
      if (ready) return self->Create();
      self->Again(ready.error(), [self] { self->Prepare(); });
    });
  }

  void Create() {
    entry_.message_id = own_id_;
    entry_.fingerprint = fingerprint_;
    entry_.lane = job_->brief->name;
    core_.keys->Write(
        subject_, entry_, revision_,
        [self = shared_from_this()](const KeyWritten& written) { self->TakeCreated(written); });
  }

  void TakeCreated(const KeyWritten& written) {
    switch (written.kind) {
      case KeyWritten::Kind::kStored:
        revision_ = written.revision;
        if (Dies("created")) return;
        return Publish();
      case KeyWritten::Kind::kOutdated:
        return Read();
      case KeyWritten::Kind::kUnknown:
        // Perhaps it is ours and only the answer was lost.
        return Again(written.error, [self = shared_from_this()] { self->Read(); });
    }
  }

  void Read() {
    core_.keys->Read(subject_, [self = shared_from_this()](Result<KeySeen> seen) {
      self->TakeSeen(std::move(seen));
    });
  }

  void TakeSeen(Result<KeySeen> seen) {
    if (!seen && seen.error().kind != ErrorKind::kNotFound) {
      return Again(seen.error(), [self = shared_from_this()] { self->Read(); });
    }
    if (!seen || !seen->entry) {
      if (busy_) return job_->Answer(tl::unexpected(*busy_));
      revision_ = seen ? seen->revision : 0;
      // Gone since: by its time, or with its bucket.
      return Again({ErrorKind::kRetryable, "the key is written and removed again and again"},
                   [self = shared_from_this()] { self->Prepare(); });
    }
    if (seen->entry->fingerprint != fingerprint_) {
      return job_->Answer(Refuse(
          ProblemType::kKeyReused,
          "This Idempotency-Key stands for another job that the same caller handed in during the "
          "last " +
              FormatDuration(core_.options.key_kept) + ". Use a new key for a new job."));
    }
    const bool own = seen->entry->message_id == own_id_;
    known_ = known_ || !own;
    entry_ = *std::move(seen->entry);
    revision_ = seen->revision;
    if (entry_.sequence != 0) return Accept();
    if (own && !published_) return Publish();
    const auto age = SystemClock().WallNow() - seen->written_at;
    if (!published_ && age < kFresh && age > -kFresh) {
      return Again({ErrorKind::kRetryable, "the first request with it is not answered yet"},
                   [self = shared_from_this()] { self->Read(); });
    }
    LookFor(seen->written_at);
  }

  // The lane of the key, which may be another one than this request was routed to.
  const LaneBrief* Lane() const { return job_->pool->FindLane(entry_.lane); }

  void LookFor(WallTime since) {
    const LaneBrief* const brief = Lane();
    if (brief == nullptr) return LaneGone();
    const auto lane = core_.LaneOf(*job_->pool, *brief);
    lane->WhenReady(
        false, [self = shared_from_this(), lane, brief, since](const Answer<void>& ready) {
          if (!ready) return self->job_->Answer(tl::unexpected(ready.error()));
          const bool taken =
              self->core_.waiting->Add([self, lane, brief, since](const std::stop_token&) {
                self->TakeFound(FindKeyedJob(self->core_.connection, self->entry_, lane->key(),
                                             brief->stream, lane->Subject(), since));
              });
          if (!taken) self->TakeFound(Fail(ErrorKind::kRetryable, "too much in hand"));
        });
  }

  void TakeFound(const Result<std::uint64_t>& sequence) {
    if (!sequence) {
      return job_->Answer(Refuse(ProblemType::kQueueUnavailable,
                                 "It is not known whether the first request with this "
                                 "Idempotency-Key was stored: " +
                                     sequence.error().message + ". Try again.",
                                 kRetryAfter));
    }
    if (*sequence == 0) return Renew();
    if (known_) ++core_.keys_completed;
    entry_.stream = Lane()->stream;
    entry_.sequence = *sequence;
    Complete();
  }

  // Its job is nowhere. Whoever renews the key publishes it; the next look, should there be one,
  // begins at that moment and not at the first request.
  void Renew() {
    core_.keys->Write(subject_, entry_, revision_,
                      [self = shared_from_this()](const KeyWritten& written) {
                        if (written.kind != KeyWritten::Kind::kStored) {
                          return self->Again(written.error, [self] { self->Read(); });
                        }
                        self->revision_ = written.revision;
                        if (self->known_) ++self->core_.keys_completed;
                        self->Publish();
                      });
  }

  void Publish() {
    const LaneBrief* const brief = Lane();
    if (brief == nullptr) return LaneGone();
    published_ = true;
    const auto lane = core_.LaneOf(*job_->pool, *brief);
    lane->WhenReady(false, [self = shared_from_this(), lane, brief](const Answer<void>& ready) {
      if (!ready) return self->job_->Answer(tl::unexpected(ready.error()));
      self->core_.Publish(
          lane, *brief,
          EncodeSubmission(self->job_->submission, self->job_->caller, self->entry_.message_id),
          self->job_->deadline, PublishAgain::kNever,
          [self](const Answer<nats::PubAck>& ack) { self->TakePublished(ack); });
    });
  }

  void TakePublished(const Answer<nats::PubAck>& ack) {
    if (!ack && ack.error().type == ProblemType::kQueueUnavailable && HasTime()) {
      core_.later->In(kPause, [self = shared_from_this()] { self->Read(); });
      return;
    }
    if (!ack) return job_->Answer(tl::unexpected(ack.error()));
    if (Dies("published")) return;
    entry_.stream = ack->stream;
    entry_.sequence = ack->sequence;
    Complete();
  }

  void Complete() {
    core_.keys->Write(
        subject_, entry_, revision_,
        [self = shared_from_this()](const KeyWritten& written) { self->TakeCompleted(written); });
  }

  void TakeCompleted(const KeyWritten& written) {
    if (written.kind == KeyWritten::Kind::kStored) {
      if (Dies("completed")) return;
      return Accept();
    }
    // The job is stored, that is what counts: a later request finds it from the key as it is.
    if (written.kind == KeyWritten::Kind::kOutdated || !HasTime()) return Accept();
    core_.later->In(kPause, [self = shared_from_this()] { self->Complete(); });
  }

  void Accept() {
    job_->Answer(Accepted{.id = JobIdFor(entry_.stream, entry_.sequence, entry_.message_id),
                          .lane = {job_->pool->pool_namespace, job_->pool->pool, entry_.lane},
                          .sequence = entry_.sequence,
                          .position = known_ ? 0 : job_->admitted.position,
                          .eta = known_ ? std::nullopt : job_->admitted.eta,
                          .known = known_});
  }

  void LaneGone() {
    job_->Answer(Refuse(ProblemType::kLaneNotFound,
                        "The first request with this Idempotency-Key was routed to lane " +
                            entry_.lane + ", which the pool no longer has. Use a new key."));
  }

  bool Dies(std::string_view step) {
    if (!core_.options.dies_after || !core_.options.dies_after(step)) return false;
    --core_.in_hand;
    return true;
  }

  bool HasTime() const { return steady_clock::now() + kPause < job_->deadline; }

  void Again(const Error& error, std::function<void()> call) {
    if (HasTime()) {
      core_.later->In(kPause, std::move(call));
      return;
    }
    job_->Answer(Refuse(ProblemType::kQueueUnavailable,
                        "The Idempotency-Key cannot be kept: " + error.message +
                            ". Hand the job in again with the same key.",
                        kRetryAfter));
  }

  const std::shared_ptr<HandedIn> job_;
  GatewayCore& core_;
  const std::optional<Problem> busy_;
  const std::string subject_;
  const std::string fingerprint_;
  const std::string own_id_ = NewMessageId();  // Of the job, if this request is the first.
  KeyEntry entry_;
  std::uint64_t revision_ = 0;
  bool known_ = false;
  bool published_ = false;  // By us, perhaps without an answer.
};

}  // namespace

void SubmitWithKey(const std::shared_ptr<HandedIn>& job, std::optional<Problem> busy) {
  std::make_shared<KeyedSubmit>(job, std::move(busy))->Start();
}

}  // namespace lanekeeper::gateway
