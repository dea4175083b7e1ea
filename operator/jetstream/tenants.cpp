// The ports in front of the ports. What they do is in tenant_desk.h.
#include "operator/jetstream/tenants.h"

#include <string>
#include <utility>

#include "operator/jetstream/tenant_desk.h"
#include "worker-runtime/base/log.h"

namespace lanekeeper {

// Pools are assigned before anybody else hears of them.
class Tenants::SourcePort final : public PoolSource {
 public:
  explicit SourcePort(Desk& desk) : desk_(desk) {}

  void Start(Callbacks callbacks) override {
    callbacks_ = std::move(callbacks);
    desk_.own().source.Start(
        {.on_pool = [this](std::shared_ptr<const WorkerPool> pool) { OnPool(std::move(pool)); },
         .on_gone =
             [this](const PoolKey& key) {
               desk_.SetGone(key);
               callbacks_.on_gone(key);
             },
         .on_invalid = callbacks_.on_invalid,
         .on_synced = callbacks_.on_synced});
  }
  void Stop() override { desk_.own().source.Stop(); }

 private:
  void OnPool(std::shared_ptr<const WorkerPool> pool) {
    if (!pool->nats || desk_.options().allowed) {
      desk_.Assign(*pool);
      return callbacks_.on_pool(std::move(pool));
    }
    if (!pool->deleting) {
      return callbacks_.on_invalid(
          pool->key,
          {ErrorKind::kInvalid,
           "spec.nats: pools may not have a NATS connection of their own here; ask who runs the "
           "operator for it (LANEKEEPER_TENANTS=true, tenants.enabled of the chart), or leave it "
           "out"});
    }
    // It may go. Its queues cannot be reached, and stay.
    WorkerPool leaving = *pool;
    leaving.nats.reset();
    for (Lane& lane : leaving.lanes) lane.nats.reset();
    if (std::exchange(leaving.delete_queues, false)) {
      log::Warning("tenants", "queues_stay",
                   {{"pool", ToString(leaving.key)}, {"why", "spec.nats is not allowed"}});
    }
    desk_.Assign(leaving);
    callbacks_.on_pool(std::make_shared<const WorkerPool>(std::move(leaving)));
  }

  Desk& desk_;
  Callbacks callbacks_;
};

class Tenants::ProbePort final : public LaneProbe {
 public:
  explicit ProbePort(Desk& desk) : desk_(desk) {}

  void Start(std::function<void(const LaneKey&)> on_change) override {
    desk_.own().probe.Start(on_change);
    desk_.Start(std::move(on_change));
  }
  void Stop() override {
    desk_.Stop();
    desk_.own().probe.Stop();
  }
  void Probe(const ProbedLane& lane) override { desk_.Probe(lane); }
  void Forget(const LaneKey& key) override { desk_.Forget(key); }
  LaneSample Latest(const LaneKey& key) const override { return desk_.Latest(key); }
  std::vector<ReportedWorker> Workers(const LaneKey& key) const override {
    std::vector<ReportedWorker> workers;
    desk_.WithProbe(key, [&](LaneProbe& probe) { workers = probe.Workers(key); });
    return workers;
  }
  ServiceCounts Served(const LaneKey& key) const override {
    ServiceCounts served{};
    desk_.WithProbe(key, [&](LaneProbe& probe) { served = probe.Served(key); });
    return served;
  }
  void Tell(const LaneKey& key, const std::string& worker, std::string_view request) override {
    desk_.Say(key, worker, request);
  }

 private:
  Desk& desk_;
};

class Tenants::QueuePort final : public Queues {
 public:
  explicit QueuePort(Desk& desk) : desk_(desk) {}

  Result<void> Ensure(const WorkerPool& pool, const Lane& lane) override {
    if (!pool.nats) return desk_.own().queues.Ensure(pool, lane);
    return desk_.WithQueues(pool.key, "ensure " + std::to_string(pool.generation) + " " + lane.name,
                            [pool, lane](Queues& queues) { return queues.Ensure(pool, lane); });
  }
  Result<void> RemoveLane(const LaneKey& key) override {
    return desk_.WithQueues({key.pool_namespace, key.pool}, "remove " + key.lane,
                            [key](Queues& queues) { return queues.RemoveLane(key); });
  }
  Result<void> RemoveDeadLetters(const PoolKey& key) override {
    return desk_.WithQueues(key, "remove dead letters",
                            [key](Queues& queues) { return queues.RemoveDeadLetters(key); });
  }

 private:
  Desk& desk_;
};

class Tenants::LedgerPort final : public Ledger {
 public:
  explicit LedgerPort(Desk& desk) : desk_(desk) {}
  void Record(const LedgerEntry& entry) override { desk_.Record(entry); }

 private:
  Desk& desk_;
};

class Tenants::BoardPort final : public PoolBoard {
 public:
  explicit BoardPort(Desk& desk) : desk_(desk) {}
  void Tell(const WorkerPool& pool) override { desk_.Tell(pool); }
  void TellStatus(const PoolKey& key, const PoolStatus& status) override {
    desk_.TellStatus(key, status);
  }
  void Forget(const PoolKey& key) override { desk_.ForgetPool(key); }
  void Spare(const PoolKey& key) override { desk_.own().board.Spare(key); }
  void KeepOnly(const std::vector<PoolKey>& pools) override { desk_.KeepOnly(pools); }
  void StartOver() override { desk_.StartOver(); }

 private:
  Desk& desk_;
};

Tenants::Tenants(OwnPorts own, SecretSource* secrets, const Clock& clock, TenantsOptions options)
    : desk_(std::make_unique<Desk>(own, secrets, clock, std::move(options))),
      source_(std::make_unique<SourcePort>(*desk_)),
      probe_(std::make_unique<ProbePort>(*desk_)),
      queues_(std::make_unique<QueuePort>(*desk_)),
      ledger_(std::make_unique<LedgerPort>(*desk_)),
      board_(std::make_unique<BoardPort>(*desk_)) {}

Tenants::~Tenants() = default;

PoolSource& Tenants::source() { return *source_; }
LaneProbe& Tenants::probe() { return *probe_; }
Queues& Tenants::queues() { return *queues_; }
Ledger& Tenants::ledger() { return *ledger_; }
PoolBoard& Tenants::board() { return *board_; }
Tenants::Counts Tenants::counts() const { return desk_->counts(); }

}  // namespace lanekeeper
