#include "worker-runtime/runner/fake_record_store.h"

#include <utility>

namespace lanekeeper::runner {

void FakeRecordStore::Put(std::string_view lane, const JobRecord& record) {
  const std::lock_guard lock(mutex_);
  records_[Key(lane, record.id)] = {record, ++last_revision_};
}

void FakeRecordStore::Remove(std::string_view lane, std::string_view id) {
  const std::lock_guard lock(mutex_);
  records_[Key(lane, id)] = {std::nullopt, ++last_revision_};
}

std::optional<JobRecord> FakeRecordStore::Get(std::string_view lane, std::string_view id) const {
  const std::lock_guard lock(mutex_);
  const auto found = records_.find(Key(lane, id));
  return found == records_.end() ? std::nullopt : found->second.record;
}

std::vector<std::string> FakeRecordStore::writes() const {
  const std::lock_guard lock(mutex_);
  return writes_;
}

void FakeRecordStore::FailWrites(std::optional<Error> error) {
  const std::lock_guard lock(mutex_);
  write_error_ = std::move(error);
}

void FakeRecordStore::FailReads(std::optional<Error> error) {
  const std::lock_guard lock(mutex_);
  read_error_ = std::move(error);
}

void FakeRecordStore::LoseNextAnswer() {
  const std::lock_guard lock(mutex_);
  lose_answer_ = true;
}

void FakeRecordStore::HoldNextAnswer() {
  const std::lock_guard lock(mutex_);
  hold_answer_ = true;
}

bool FakeRecordStore::HoldsAnswer() const {
  const std::lock_guard lock(mutex_);
  return held_answer_ != nullptr;
}

void FakeRecordStore::LetAnswerGo() {
  std::function<void()> answer;
  {
    const std::lock_guard lock(mutex_);
    answer = std::exchange(held_answer_, nullptr);
  }
  if (answer) answer();
}

void FakeRecordStore::ReadAsync(std::string_view lane, std::string_view id, ReadHandler handler) {
  Result<StoredRecord> read;
  {
    const std::lock_guard lock(mutex_);
    const auto found = records_.find(Key(lane, id));
    if (read_error_) {
      read = tl::unexpected(*read_error_);
    } else if (found != records_.end()) {
      read = found->second;
    }
  }
  handler(std::move(read));
}

void FakeRecordStore::WriteAsync(const JobRecord& record, std::uint64_t based_on,
                                 WriteHandler handler) {
  Written written;
  {
    const std::lock_guard lock(mutex_);
    StoredRecord& stored = records_[Key(lane(), record.id)];
    if (write_error_) {
      written.error = *write_error_;
    } else if (stored.revision != based_on) {
      written.kind = Written::Kind::kOutdated;
    } else {
      stored = {record, ++last_revision_};
      writes_.push_back(record.id + " " + std::string(NameOf(record.state)) + " " +
                        std::to_string(record.runs));
      written = {.kind = Written::Kind::kStored, .revision = stored.revision};
    }
    if (std::exchange(lose_answer_, false)) {
      written = {.error = {ErrorKind::kRetryable, "the answer was lost"}};
    }
    if (std::exchange(hold_answer_, false)) {
      held_answer_ = [written = std::move(written), handler = std::move(handler)]() mutable {
        handler(std::move(written));
      };
      return;
    }
  }
  handler(std::move(written));
}

}  // namespace lanekeeper::runner
