#include "operator/control/leader_ports.h"

#include <utility>

namespace lanekeeper {
namespace {

bool MayAct(const Leadership* leadership) {
  return leadership == nullptr || leadership->Current().has_value();
}

tl::unexpected<Error> NotTheLeader() {
  return Fail(ErrorKind::kRetryable, "this operator does not lead any more");
}

}  // namespace

void LeaderProbe::Tell(const LaneKey& key, const std::string& worker, std::string_view request) {
  if (MayAct(leadership_)) probe_.Tell(key, worker, request);
}

Result<void> LeaderQueues::Ensure(const WorkerPool& pool, const Lane& lane) {
  if (!MayAct(leadership_)) return NotTheLeader();
  return queues_.Ensure(pool, lane);
}

Result<void> LeaderQueues::RemoveLane(const LaneKey& key) {
  if (!MayAct(leadership_)) return NotTheLeader();
  return queues_.RemoveLane(key);
}

Result<void> LeaderQueues::RemoveDeadLetters(const PoolKey& key) {
  if (!MayAct(leadership_)) return NotTheLeader();
  return queues_.RemoveDeadLetters(key);
}

void LeaderLedger::Record(const LedgerEntry& entry) {
  if (ledger_ == nullptr) return;
  if (leadership_ == nullptr) return ledger_->Record(entry);
  std::optional<Lead> lead = leadership_->Current();
  if (!lead) return;
  LedgerEntry signed_entry = entry;
  signed_entry.leader = std::move(lead->leader);
  signed_entry.epoch = lead->epoch;
  ledger_->Record(signed_entry);
}

}  // namespace lanekeeper
