// Who is whose tenant, and the thread that reads Secrets, opens lines and ends them. Private to
// this room.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "operator/jetstream/tenant_tasks.h"
#include "operator/jetstream/tenants.h"

namespace lanekeeper {

class Tenants::Desk {
 public:
  // Under mutex_, but for `line` itself, whose ports are for any thread.
  struct Tenant {
    std::string pool_namespace;
    PoolNats nats;
    std::set<PoolKey> pools;
    std::shared_ptr<TenantLine> line;  // nullptr: not yet. Destroyed by the desk's thread.
    std::string problem;               // Why there is no line, for people; empty: it is on its way.
    std::string said;                  // Of the connection, last looked at.
    // What the board was told before there was one.
    std::map<PoolKey, std::optional<WorkerPool>> briefs;
    std::map<PoolKey, PoolStatus> statuses;
    bool connected = false;  // Last looked at.
    std::shared_ptr<TenantTasks> tasks = std::make_shared<TenantTasks>();
    // Of the desk's thread only.
    nats::Access access;  // Of the line.
    MonotonicTime say_again{};
    MonotonicTime read_due{};
    int read_failures = 0;
    std::optional<MonotonicTime> unused_since;
  };
  using TenantPtr = std::shared_ptr<Tenant>;  // nullptr: the operator itself.

  Desk(OwnPorts own, SecretSource* secrets, const Clock& clock, TenantsOptions options);
  ~Desk() { Stop(); }

  // The thread. Idempotent; Stop ends all lines.
  void Start(std::function<void(const LaneKey&)> on_change);
  void Stop();

  // The pool is, from now on, that of its spec. Before anybody hears of it.
  void Assign(const WorkerPool& pool);
  void SetGone(const PoolKey& key);

  void Probe(const ProbedLane& lane);
  void Forget(const LaneKey& key);
  LaneSample Latest(const LaneKey& key) const;
  // Calls `use` with the probe of the lane; not at all while there is none.
  template <typename Use>
  void WithProbe(const LaneKey& key, Use use) const;
  void Say(const LaneKey& key, const std::string& worker, std::string_view request);

  // `call` with the queues of the pool's tenant.
  Result<void> WithQueues(const PoolKey& key, const std::string& name,
                          std::function<Result<void>(Queues&)> call);
  void Record(const LedgerEntry& entry);

  void Tell(const WorkerPool& pool);
  void TellStatus(const PoolKey& key, const PoolStatus& status);
  void ForgetPool(const PoolKey& key);
  void KeepOnly(const std::vector<PoolKey>& pools);
  void StartOver();

  Counts counts() const;
  const TenantsOptions& options() const { return options_; }
  const OwnPorts& own() const { return own_; }

 private:
  struct Assigned {
    TenantPtr tenant;
    bool gone = false;  // Forgotten as soon as the board has forgotten it.
  };
  struct Lane {
    TenantPtr tenant;
    ProbedLane probed;
  };

  // Precondition of all these: mutex_ is held.
  TenantPtr TenantOf(const PoolKey& key) const;
  TenantPtr FindOrAdd(const std::string& pool_namespace, const PoolNats& nats);
  void SpareElsewhere(const PoolKey& key, const TenantPtr& tenant);
  void ForgetAt(const TenantPtr& tenant, const PoolKey& key);
  std::size_t LinesOpen() const;
  bool Used(const TenantPtr& tenant) const;
  void PutUp(const TenantPtr& tenant, std::shared_ptr<TenantLine> line);

  // Of the desk's thread.
  void Run();
  void Look(const TenantPtr& tenant);
  void ReadSecrets(const TenantPtr& tenant, MonotonicTime now);
  Result<nats::Access> ReadAccess(const Tenant& tenant);
  Result<void> Take(const TenantPtr& tenant, nats::Access access);
  void SetProblem(const TenantPtr& tenant, std::string problem);
  void SeeConnection(const TenantPtr& tenant, MonotonicTime now);
  void EndUnused(const TenantPtr& tenant, MonotonicTime now);
  void Announce(const TenantPtr& tenant);
  void DestroyLines();

  const OwnPorts own_;
  SecretSource* const secrets_;
  const Clock& clock_;
  const TenantsOptions options_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<PoolKey, Assigned> pools_;
  std::map<LaneKey, Lane> lanes_;
  std::map<std::pair<std::string, PoolNats>, TenantPtr> tenants_;
  std::function<void(const LaneKey&)> on_change_;
  bool synced_ = false;  // KeepOnly was called: the pools of pools_ are all there are.
  bool news_ = false;
  bool stopping_ = false;
  std::uint64_t secret_reads_ = 0;

  std::vector<std::shared_ptr<TenantLine>> ended_;  // Of the thread: destroyed when nobody uses it.
  std::thread thread_;
};

template <typename Use>
void Tenants::Desk::WithProbe(const LaneKey& key, Use use) const {
  const std::lock_guard lock(mutex_);
  const auto found = lanes_.find(key);
  if (found == lanes_.end() || !found->second.tenant) return use(own_.probe);
  if (const auto& line = found->second.tenant->line) use(line->probe());
}

}  // namespace lanekeeper
