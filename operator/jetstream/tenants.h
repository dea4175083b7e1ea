// Pools whose queues are on a NATS server, or in an account, of their own: spec.nats.
//
// Stands in front of the ports, and before the source of pools: what is about such a pool goes over
// the connection of its tenant, all else to the operator's own ports. Pools of one namespace with
// the same spec.nats are one tenant and share its connection. One tenant's trouble, a server that
// is away or silent, credentials that are refused, a Secret that is missing, is a doubt about its
// own lanes and keeps no thread waiting that others need.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>

#include "operator/control/leadership.h"
#include "operator/control/ledger.h"
#include "operator/control/pool_board.h"
#include "operator/control/ports.h"
#include "operator/control/secret_source.h"
#include "operator/jetstream/tenant_line.h"
#include "worker-runtime/base/clock.h"

namespace lanekeeper {

struct TenantsOptions {
  // The platform team allows spec.nats. Else a pool with it is invalid, and says so.
  bool allowed = false;
  std::size_t lines_max = 200;  // Connections; pools beyond wait until another tenant has ended.
  std::chrono::milliseconds secret_interval{60'000};   // Between two reads of one Secret.
  std::chrono::milliseconds secret_retry_wait{5'000};  // After a failure; doubles up to the above.
  std::chrono::milliseconds linger_max{30'000};        // For what a tenant's board has to tell yet.
  // Opens the line to a tenant; returns at once. OpenJetStreamLine, or a test's.
  std::function<Result<std::unique_ptr<TenantLine>>(const TenantAddress&, nats::Access,
                                                    std::function<void(const LaneKey&)> on_change)>
      open_line;
  const Leadership* leadership = nullptr;  // May be null; else outlives this.
};

// The operator's own ports. All outlive the Tenants.
struct OwnPorts {
  PoolSource& source;
  LaneProbe& probe;
  Queues& queues;
  Ledger& ledger;
  PoolBoard& board;
};

// The ports may be called by the threads that call the operator's own; none of these calls waits
// longer than its own would, or for a tenant's server longer than TenantTasks::kPatience. Stopping
// the probe ends all lines.
class Tenants {
 public:
  // `clock` outlives this, and `secrets` too. `secrets` may be null when tenants are not allowed.
  Tenants(OwnPorts own, SecretSource* secrets, const Clock& clock, TenantsOptions options);
  ~Tenants();
  Tenants(const Tenants&) = delete;
  Tenants& operator=(const Tenants&) = delete;

  PoolSource& source();
  LaneProbe& probe();
  Queues& queues();
  Ledger& ledger();
  PoolBoard& board();

  struct Counts {
    std::size_t tenants = 0;
    std::size_t connected = 0;
    std::uint64_t secret_reads = 0;
  };
  Counts counts() const;  // Any thread.

 private:
  class Desk;
  class SourcePort;
  class ProbePort;
  class QueuePort;
  class LedgerPort;
  class BoardPort;

  std::unique_ptr<Desk> desk_;
  std::unique_ptr<SourcePort> source_;
  std::unique_ptr<ProbePort> probe_;
  std::unique_ptr<QueuePort> queues_;
  std::unique_ptr<LedgerPort> ledger_;
  std::unique_ptr<BoardPort> board_;
};

}  // namespace lanekeeper
