// A job as a handler sees it. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "worker-runtime/base/result.h"

namespace lanekeeper {

// In the order they were written; a name may occur twice. The same type as nats::Headers.
using Headers = std::vector<std::pair<std::string, std::string>>;

// The first value of a header, names compared without case; nothing when it is absent.
std::optional<std::string_view> FindHeader(const Headers& headers, std::string_view name);

// A message of a lane as the queue delivered it.
struct JobMessage {
  std::string stream;
  std::uint64_t sequence = 0;  // In the stream.
  int delivery = 1;            // Counts from 1: how often the queue has handed it out.
  std::chrono::system_clock::time_point stored_at{};
  std::string payload;
  Headers headers;
};

// What the headers of the queue contract say; made by DecodeJob.
struct JobHead {
  std::string id;    // Lk-Job-Id (see JobIdOf), else Nats-Msg-Id, else "<stream>.<sequence>".
  std::string type;  // Lk-Type; empty when the message has none.
  std::optional<std::chrono::system_clock::time_point> deadline;  // Lk-Deadline.
  std::optional<std::chrono::milliseconds> timeout;  // Lk-Timeout; the lane's still holds.
  std::string traceparent;                           // Empty unless it is well-formed.
  std::string moved_from;  // Lk-Moved-From: "<lane>.<sequence>", or empty.
  bool operator==(const JobHead&) const = default;
};

// What stands behind a running job. Called on the handler's thread.
class JobContext {
 public:
  virtual ~JobContext() = default;
  virtual bool StopRequested() const = 0;
  virtual void Progress(double fraction, std::string_view note) = 0;
  virtual Result<void> Checkpoint(std::string_view bytes) = 0;
};

// What is known about the earlier runs of a job when it starts.
struct JobStart {
  int attempt = 1;                       // Failures so far, and one.
  int attempts_max = 1;                  // The lane's.
  int run = 1;                           // Starts so far, this one included.
  std::uint64_t fence = 0;               // See Job::fence; 0 = the lane keeps no records.
  std::string checkpoint;                // Of the last run that left one.
  std::chrono::milliseconds timeout{0};  // 0 = not known.
};

// Given to a handler by reference for the time of one run; one thread at a time.
class Job {
 public:
  // `context` may be null: never told to stop, progress and checkpoints go nowhere. It outlives
  // this.
  Job(JobMessage message, JobHead head, JobStart start = {}, JobContext* context = nullptr);
  // Without a copy of the message.
  static Job Sharing(std::shared_ptr<const JobMessage> message, JobHead head, JobStart start,
                     JobContext* context);

  const std::string& id() const { return head_.id; }
  const std::string& type() const { return head_.type; }
  const std::string& payload() const { return message_->payload; }
  const Headers& headers() const { return message_->headers; }
  std::optional<std::string_view> Header(std::string_view name) const {
    return FindHeader(message_->headers, name);
  }
  // How often the queue has handed it out. A run that ended with its worker, or was interrupted,
  // counts too; so may a delivery that nobody got.
  int delivery() const { return message_->delivery; }
  int attempt() const { return start_.attempt; }
  int attempts_max() const { return start_.attempts_max; }
  int run() const { return start_.run; }
  // Grows with every claim of every job of the account. Hand it to the systems the job writes to: a
  // write with a smaller number than the last one seen comes from a worker that lost the job.
  std::uint64_t fence() const { return start_.fence; }
  const std::optional<std::chrono::system_clock::time_point>& deadline() const {
    return head_.deadline;
  }
  std::chrono::milliseconds timeout() const { return start_.timeout; }
  const std::string& traceparent() const { return head_.traceparent; }
  const JobMessage& message() const { return *message_; }

  // True from the moment the job should end: its timeout is over, the worker has to go, or the job
  // was taken over by another worker. Return Interrupted soon then (save a checkpoint before); what
  // runs on for long is treated like a worker that died.
  bool StopRequested() const { return context_ != nullptr && context_->StopRequested(); }

  // Shown in the job's record within about a second. `fraction` is cut to 0..1, `note` to
  // kProgressNoteBytesMax. Free to call often.
  void Progress(double fraction, std::string_view note = {});

  // Stored when it returns: the next run of the job gets it from checkpoint(). Replaces the one
  // before. kForbidden: another worker has the job by now, end soon. kInvalid: more than
  // kCheckpointBytesMax, or the lane keeps no records (tracking: None). kRetryable: the store is
  // away; the job may go on.
  Result<void> Checkpoint(std::string_view bytes);
  // The last checkpoint of this job, of this run or an earlier one; empty when there is none.
  const std::string& checkpoint() const { return start_.checkpoint; }

 private:
  Job() = default;

  std::shared_ptr<const JobMessage> message_;
  JobHead head_;
  JobStart start_;
  JobContext* context_ = nullptr;
};

}  // namespace lanekeeper
