#include "worker-runtime/gateway/job_desk_cancel.h"

#include <memory>
#include <optional>
#include <utility>

#include "worker-runtime/base/clock.h"
#include "worker-runtime/base/log.h"
#include "worker-runtime/gateway/job_desk_find.h"
#include "worker-runtime/job/codec.h"

namespace lanekeeper::gateway {
namespace {

// A job that is written to by others at every single try is being worked on by a machine gone mad.
constexpr int kTriesMax = 50;
constexpr int kUnknownMax = 2;

class JobCanceller : public std::enable_shared_from_this<JobCanceller> {
 public:
  JobCanceller(DeskCore& core, const JobView& job, std::string_view by, Then<JobView> then)
      : core_(core), in_hand_(core.Begin()), job_(job), by_(by), then_(std::move(then)) {}

  void Start() {
    if (++tries_ > kTriesMax) {
      return Refused(
          Unavailable("cancelling a job", {ErrorKind::kRetryable, "it changes all the time"}));
    }
    FindOptions options{.lane = {}, .position = false};
    // An id that says nothing of its place is looked for where the job was seen.
    if (!PlaceOfJobId(job_.id) && !Moving(job_)) {
      options.lane = job_.lane.lane;
      options.sequence = job_.sequence;
    }
    FindJob(core_, job_.lane.pool_namespace, job_.lane.pool, job_.id, std::move(options),
            [self = shared_from_this()](Answer<Found> found) {
              if (!found) return self->Refused(std::move(found).error());
              self->Decide(*std::move(found));
            });
  }

 private:
  static bool Moving(const JobView& view) {
    return view.record && view.record->state == JobState::kMoved;
  }

  void Decide(Found found) {
    const JobView& view = found.view;
    if (view.state == ViewState::kCancelled) return RemoveMessage(std::move(found));
    if (Ended(view.state)) {
      return Refused({.type = ProblemType::kJobFinished,
                      .detail = "job " + view.id + " is " + std::string(NameOf(view.state)) +
                                " already; it cannot be cancelled any more"});
    }
    if (view.record && found.moved_from.empty()) return Write(std::move(found), *view.record);
    if (!found.moved_from.empty()) return WriteMoving(std::move(found));
    if (found.lane.tracking == Tracking::kFull) {
      JobRecord record = RecordOfMessage(view);
      return Write(std::move(found), std::move(record));
    }
    CancelUnrecorded(std::move(found));
  }

  static JobRecord RecordOfMessage(const JobView& view) {
    return {.id = view.id,
            .type = view.type,
            .sequence = view.sequence,
            .stored_at = view.submitted_at};
  }

  // It arrives, or has arrived, in a lane where no record tells of it: the worker that gets it
  // there knows it by where it came from.
  void WriteMoving(Found found) {
    JobRecord record = *found.view.record;
    record.sequence = 0;
    record.stored_at = {};
    record.moved_to.clear();
    record.moved_from = found.moved_from;
    Write(std::move(found), std::move(record));
  }

  void Write(Found found, JobRecord record) {
    was_running_ = record.state == JobState::kRunning && !record.worker.empty();
    record.state = JobState::kCancelled;
    record.ended_at = SystemClock().WallNow();
    record.error = "cancelled by " + by_;
    record.error_class = "cancelled";
    record.checkpoint.clear();
    const LaneKey lane = found.view.lane;
    const std::uint64_t based_on = found.based_on;
    found.view = ViewOfRecord(lane, std::move(record), 0);
    // Nobody else holds `found` meanwhile; the record is read by the call before it returns.
    const auto shared = std::make_shared<Found>(std::move(found));
    core_.queue.WriteRecord(lane, *shared->view.record, based_on,
                            [self = shared_from_this(), shared](const RecordWritten& written) {
                              self->Written(std::move(*shared), written);
                            });
  }

  void Written(Found found, const RecordWritten& written) {
    using Kind = RecordWritten::Kind;
    switch (written.kind) {
      case Kind::kStored:
        found.view.revision = written.revision;
        log::Info("gateway", "job_cancelled",
                  {{"job", found.view.id}, {"lane", ToString(found.view.lane)}, {"by", by_}});
        if (was_running_) core_.queue.TellWorker(found.view.lane, *found.view.record);
        return RemoveMessage(std::move(found));
      case Kind::kOutdated:
        return Start();
      case Kind::kNoBucket:
        return MakeBucket();
      case Kind::kUnknown:
        // Perhaps it is stored: the next look tells.
        if (++unknown_ <= kUnknownMax) return Start();
        return Refused(Unavailable("cancelling a job", written.error));
    }
  }

  // No worker of the account has ever run a job.
  void MakeBucket() {
    const bool begun = core_.Later([self = shared_from_this()](bool stopped) {
      const Result<void> made =
          stopped ? Fail(ErrorKind::kRetryable, "ending") : self->core_.MakeRecordBucket();
      if (!made) return self->Refused(Unavailable("making the records' bucket", made.error()));
      self->Start();
    });
    if (!begun) Refused(Unavailable("cancelling a job", {ErrorKind::kRetryable, "too busy"}));
  }

  // The record says what is to be; without its message the job takes no room in its lane.
  void RemoveMessage(Found found) {
    const std::uint64_t sequence = found.view.sequence;
    if (sequence == 0) return then_(std::move(found.view));
    const std::string stream = found.lane.stream;
    core_.queue.ReadMessage(
        stream, sequence,
        [self = shared_from_this(), stream,
         view = std::move(found.view)](const Answer<std::optional<nats::StoredMessage>>& stored) {
          // A stream that was made anew counts from 1 again.
          if (!stored || !*stored || (*stored)->stored_at != view.submitted_at) {
            return self->then_(view);
          }
          self->core_.queue.RemoveMessage(stream, view.sequence,
                                          [self, view](const Answer<bool>&) { self->then_(view); });
        });
  }

  // ---- Lanes that record no starts ----

  // Its turn has not come when the consumer has not handed it out. Without its message it cannot
  // be started any more.
  void CancelUnrecorded(Found found) {
    if (found.view.state == ViewState::kRunning) return NotTracked(found.view);
    core_.queue.RemoveMessage(
        found.lane.stream, found.view.sequence,
        [self = shared_from_this(), found](const Answer<bool>& removed) {
          if (!removed) return self->Refused(removed.error());
          if (!*removed) return self->Start();  // Somebody was faster: done, or cancelled.
          self->core_.queue.ReadConsumer(
              found.lane.stream, found.lane.consumer,
              [self, found](const Answer<std::optional<nats::ConsumerState>>& consumer) {
                const bool started =
                    !consumer ||
                    (*consumer && (*consumer)->delivered_stream_sequence >= found.view.sequence);
                if (started) return self->PerhapsStarted(found.view);
                self->Record(found);
              });
        });
  }

  // The record is for people only: no worker of such a lane has anything to decide by it.
  void Record(Found found) {
    JobRecord record = RecordOfMessage(found.view);
    record.state = JobState::kCancelled;
    record.ended_at = SystemClock().WallNow();
    record.error = "cancelled by " + by_;
    record.error_class = "cancelled";
    const LaneKey lane = found.view.lane;
    JobView view = ViewOfRecord(lane, std::move(record), 0);
    const auto shared = std::make_shared<JobView>(std::move(view));
    core_.queue.WriteRecord(lane, *shared->record, found.based_on,
                            [self = shared_from_this(), shared](const RecordWritten& written) {
                              shared->revision = written.revision;
                              self->then_(*shared);
                            });
  }

  void NotTracked(const JobView& view) {
    Refused({.type = ProblemType::kJobNotTracked,
             .detail = "job " + view.id + " was handed out to a worker, and lane " +
                       view.lane.lane +
                       " does not record starts: its worker cannot be told (jobs.tracking: Full)"});
  }
  void PerhapsStarted(const JobView& view) {
    Refused({.type = ProblemType::kJobNotTracked,
             .detail = "job " + view.id +
                       " is out of its lane and will not be started any more, but may have been at "
                       "this very moment; lane " +
                       view.lane.lane + " does not record starts (jobs.tracking: Full)"});
  }
  void Refused(Problem problem) { then_(tl::unexpected(std::move(problem))); }

  DeskCore& core_;
  const DeskCore::InHand in_hand_;
  const JobView job_;
  const std::string by_;
  const Then<JobView> then_;
  int tries_ = 0;
  int unknown_ = 0;
  bool was_running_ = false;
};

}  // namespace

void CancelJob(DeskCore& core, const JobView& job, std::string_view by, Then<JobView> then) {
  std::make_shared<JobCanceller>(core, job, by, std::move(then))->Start();
}

}  // namespace lanekeeper::gateway
