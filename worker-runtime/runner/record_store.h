// Where a worker keeps the records of its lane's jobs, and what makes a record a fence: a write
// names the revision it is based on, and is refused when there is a newer one.
//
// NatsRecordStore is the real one; FakeRecordStore (fake_record_store.h) lives in memory.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "worker-runtime/base/result.h"
#include "worker-runtime/job/job_record.h"

namespace lanekeeper::runner {

struct StoredRecord {
  // Nothing when there is none, or one that cannot be read and may be written over.
  std::optional<JobRecord> record;
  std::uint64_t revision = 0;  // To base the next write on; 0 = there was never one.
};

struct Written {
  enum class Kind {
    kStored,    // `revision` is the new one.
    kOutdated,  // Somebody else wrote since: the record is as it was, and not ours any more.
    kFailed,    // Not known whether it is stored; `error` says why.
  };
  Kind kind = Kind::kFailed;
  std::uint64_t revision = 0;
  Error error{};
  bool cancelled = false;  // kOutdated, as far as it was looked up: the job was cancelled.
};

// Any thread. Handlers are called exactly once, on a thread of the store or before the call
// returns; within a few seconds. They are short and never wait.
class RecordStore {
 public:
  using ReadHandler = std::function<void(Result<StoredRecord>)>;
  using WriteHandler = std::function<void(Written)>;

  virtual ~RecordStore() = default;

  // Makes the store exist. Cheap when it does; called before jobs are fetched.
  virtual Result<void> Prepare() = 0;
  // The newest record of a job in `lane` of this store's pool.
  virtual void ReadAsync(std::string_view lane, std::string_view id, ReadHandler handler) = 0;
  // In this store's own lane, under record.id.
  virtual void WriteAsync(const JobRecord& record, std::uint64_t based_on,
                          WriteHandler handler) = 0;
  virtual std::string_view lane() const = 0;

  // The same, waited for.
  Result<StoredRecord> Read(std::string_view lane, std::string_view id);
  Written Write(const JobRecord& record, std::uint64_t based_on);

  // Writes until it is known what became of it: a write whose answer was lost is looked up, and
  // based on the newest revision as long as that is of the same claim (SameClaim), or deleted.
  // `pause` waits between two tries and returns false when there shall be no other; then kFailed.
  Written WriteSurely(const JobRecord& record, std::uint64_t based_on,
                      const std::function<bool(int tries)>& pause);
};

// Whether two versions of a record are of one run on one worker: between claim and settlement
// nobody else may write.
bool SameClaim(const JobRecord& a, const JobRecord& b);

// Whether `record` says that the message of `sequence` and `stored_at` was cancelled.
bool SaysCancelled(const JobRecord& record, std::uint64_t sequence, WallTime stored_at);

}  // namespace lanekeeper::runner
