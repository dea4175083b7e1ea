// Records in the KV bucket LK_jobs.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "worker-runtime/job/names.h"
#include "worker-runtime/nats/connection.h"
#include "worker-runtime/runner/record_store.h"

namespace lanekeeper::runner {

struct NatsRecordStoreOptions {
  LaneKey lane;
  std::chrono::milliseconds answer_timeout{5000};  // Of one request to the server.
  std::chrono::seconds done_kept{24 * 3600};       // How long the record of a done job stays.
};

class NatsRecordStore final : public RecordStore {
 public:
  // `connection` outlives this.
  NatsRecordStore(nats::Connection& connection, NatsRecordStoreOptions options);

  // Creates the bucket with one replica when there is none; the operator raises that.
  Result<void> Prepare() override;
  // Answered by the stream's leader: a follower's answer may be old.
  void ReadAsync(std::string_view lane, std::string_view id, ReadHandler handler) override;
  void WriteAsync(const JobRecord& record, std::uint64_t based_on, WriteHandler handler) override;
  std::string_view lane() const override { return options_.lane.lane; }

 private:
  nats::Connection& connection_;
  const NatsRecordStoreOptions options_;
  const std::string subject_prefix_;
  const std::string done_ttl_;
  // Shared with answers that may come after the end of this.
  const std::shared_ptr<std::atomic<bool>> prepared_;
};

}  // namespace lanekeeper::runner
