// The ports through which a pass acts on NATS, shut for who does not lead. Without a Leadership
// they are open: there is one operator. The platform's writes are shut off where they are sent
// (kubernetes/leader_api.h), because one of its calls may take several requests.
#pragma once

#include "operator/control/leadership.h"
#include "operator/control/ledger.h"
#include "operator/control/ports.h"

namespace lanekeeper {

// Hears everything, whoever leads; only the leader tells workers anything.
class LeaderProbe final : public LaneProbe {
 public:
  // Both outlive this. `leadership` may be null.
  LeaderProbe(LaneProbe& probe, const Leadership* leadership)
      : probe_(probe), leadership_(leadership) {}

  void Start(std::function<void(const LaneKey&)> on_change) override {
    probe_.Start(std::move(on_change));
  }
  void Stop() override { probe_.Stop(); }
  void Probe(const ProbedLane& lane) override { probe_.Probe(lane); }
  void Forget(const LaneKey& key) override { probe_.Forget(key); }
  LaneSample Latest(const LaneKey& key) const override { return probe_.Latest(key); }
  std::vector<ReportedWorker> Workers(const LaneKey& key) const override {
    return probe_.Workers(key);
  }
  ServiceCounts Served(const LaneKey& key) const override { return probe_.Served(key); }
  void Tell(const LaneKey& key, const std::string& worker, std::string_view request) override;

 private:
  LaneProbe& probe_;
  const Leadership* leadership_;
};

// kRetryable for who does not lead.
class LeaderQueues final : public Queues {
 public:
  LeaderQueues(Queues& queues, const Leadership* leadership)
      : queues_(queues), leadership_(leadership) {}

  Result<void> Ensure(const WorkerPool& pool, const Lane& lane) override;
  Result<void> RemoveLane(const LaneKey& key) override;
  Result<void> RemoveDeadLetters(const PoolKey& key) override;

 private:
  Queues& queues_;
  const Leadership* leadership_;
};

// Every entry says who made the decision. A decision of who does not lead any more was not carried
// out, and is not recorded.
class LeaderLedger final : public Ledger {
 public:
  // `ledger` may be null, too.
  LeaderLedger(Ledger* ledger, const Leadership* leadership)
      : ledger_(ledger), leadership_(leadership) {}
  void Record(const LedgerEntry& entry) override;

 private:
  Ledger* ledger_;
  const Leadership* leadership_;
};

}  // namespace lanekeeper
