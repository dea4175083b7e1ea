// A RecordStore in memory, for tests of the runner and of programs built on it. Any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "worker-runtime/runner/record_store.h"

namespace lanekeeper::runner {

class FakeRecordStore final : public RecordStore {
 public:
  // Puts a record there as another worker would.
  void Put(std::string_view lane, const JobRecord& record);
  // As a person would; its revision counts on.
  void Remove(std::string_view lane, std::string_view id);
  std::optional<JobRecord> Get(std::string_view lane, std::string_view id) const;
  // Every state a record went through in the own lane: "a running 1", "a waiting 1", "a done 2".
  std::vector<std::string> writes() const;

  // What goes wrong from now on.
  void FailWrites(std::optional<Error> error);
  void FailReads(std::optional<Error> error);
  // The next write is stored, but its answer is lost.
  void LoseNextAnswer();
  // The next write is stored, but its answer comes only with LetAnswerGo.
  void HoldNextAnswer();
  bool HoldsAnswer() const;
  void LetAnswerGo();

  Result<void> Prepare() override { return {}; }
  void ReadAsync(std::string_view lane, std::string_view id, ReadHandler handler) override;
  void WriteAsync(const JobRecord& record, std::uint64_t based_on, WriteHandler handler) override;
  std::string_view lane() const override { return "short"; }

 private:
  using Key = std::pair<std::string, std::string>;

  mutable std::mutex mutex_;
  std::map<Key, StoredRecord> records_;
  std::uint64_t last_revision_ = 0;
  std::vector<std::string> writes_;
  std::optional<Error> write_error_;
  std::optional<Error> read_error_;
  bool lose_answer_ = false;
  bool hold_answer_ = false;
  std::function<void()> held_answer_;
};

}  // namespace lanekeeper::runner
