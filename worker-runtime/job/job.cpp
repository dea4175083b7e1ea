#include "worker-runtime/job/job.h"

#include <algorithm>
#include <cassert>

#include "worker-runtime/base/text.h"
#include "worker-runtime/job/job_record.h"

namespace lanekeeper {

std::optional<std::string_view> FindHeader(const Headers& headers, std::string_view name) {
  for (const auto& [key, value] : headers) {
    if (SameIgnoringCase(key, name)) return value;
  }
  return std::nullopt;
}

Job::Job(JobMessage message, JobHead head, JobStart start, JobContext* context)
    : Job(Sharing(std::make_shared<const JobMessage>(std::move(message)), std::move(head),
                  std::move(start), context)) {}

Job Job::Sharing(std::shared_ptr<const JobMessage> message, JobHead head, JobStart start,
                 JobContext* context) {
  assert(start.attempts_max >= 1);
  Job job;
  job.message_ = std::move(message);
  job.head_ = std::move(head);
  job.start_ = std::move(start);
  job.context_ = context;
  return job;
}

void Job::Progress(double fraction, std::string_view note) {
  if (context_ == nullptr) return;
  // Not std::clamp alone: it hands a NaN through.
  const double cut = fraction > 0 ? std::min(fraction, 1.0) : 0.0;
  context_->Progress(cut, note.substr(0, kProgressNoteBytesMax));
}

Result<void> Job::Checkpoint(std::string_view bytes) {
  if (bytes.size() > kCheckpointBytesMax) {
    return Fail(ErrorKind::kInvalid, "a checkpoint of " + std::to_string(bytes.size()) +
                                         " bytes; at most " + std::to_string(kCheckpointBytesMax) +
                                         " are kept: store it elsewhere and checkpoint its name");
  }
  if (context_ != nullptr) {
    if (Result<void> stored = context_->Checkpoint(bytes); !stored) return stored;
  }
  start_.checkpoint = bytes;
  return {};
}

}  // namespace lanekeeper
