#include "worker-runtime/runner/record_store.h"

#include <future>
#include <memory>
#include <utility>

namespace lanekeeper::runner {
namespace {

// Somebody who writes the same claim over and over is a mistake; it must not keep a slot for ever.
constexpr int kTriesMax = 100;

// Progress and times may differ in form after a round trip; these cannot.
bool SameWrite(const JobRecord& a, const JobRecord& b) {
  return SameClaim(a, b) && a.state == b.state && a.started_at == b.started_at &&
         a.ended_at == b.ended_at && a.checkpoint == b.checkpoint;
}

}  // namespace

bool SameClaim(const JobRecord& a, const JobRecord& b) {
  return a.sequence == b.sequence && a.stored_at == b.stored_at && a.runs == b.runs &&
         a.instance == b.instance;
}

bool SaysCancelled(const JobRecord& record, std::uint64_t sequence, WallTime stored_at) {
  return record.state == JobState::kCancelled && record.sequence == sequence &&
         record.stored_at == stored_at;
}

Result<StoredRecord> RecordStore::Read(std::string_view lane, std::string_view id) {
  // Shared: the handler may still be inside set_value when get returns.
  const auto promise = std::make_shared<std::promise<Result<StoredRecord>>>();
  auto future = promise->get_future();
  ReadAsync(lane, id,
            [promise](Result<StoredRecord> read) { promise->set_value(std::move(read)); });
  return future.get();
}

Written RecordStore::Write(const JobRecord& record, std::uint64_t based_on) {
  const auto promise = std::make_shared<std::promise<Written>>();
  auto future = promise->get_future();
  WriteAsync(record, based_on,
             [promise](Written written) { promise->set_value(std::move(written)); });
  return future.get();
}

Written RecordStore::WriteSurely(const JobRecord& record, std::uint64_t based_on,
                                 const std::function<bool(int tries)>& pause) {
  Written written;
  for (int tries = 1; tries <= kTriesMax; ++tries) {
    written = Write(record, based_on);
    if (written.kind == Written::Kind::kStored) return written;
    if (written.kind == Written::Kind::kOutdated) {
      Result<StoredRecord> read = Read(lane(), record.id);
      if (read) {
        if (read->record && SameWrite(*read->record, record)) {
          return {.kind = Written::Kind::kStored, .revision = read->revision};
        }
        // What is not running is settled, by whomever.
        if (read->record &&
            (!SameClaim(*read->record, record) || read->record->state != JobState::kRunning)) {
          written.cancelled = SaysCancelled(*read->record, record.sequence, record.stored_at);
          return written;
        }
        // Ours, or deleted by a person: nobody else has claimed the job.
        based_on = read->revision;
        continue;
      }
      written = {.kind = Written::Kind::kFailed, .error = std::move(read).error()};
    }
    if (written.error.kind != ErrorKind::kRetryable || !pause(tries)) break;
  }
  return written;
}

}  // namespace lanekeeper::runner
