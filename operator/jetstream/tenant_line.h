// What leads to one tenant: a connection of its own and the ports over it.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "operator/control/leadership.h"
#include "operator/control/ledger.h"
#include "operator/control/pool_board.h"
#include "operator/control/ports.h"
#include "operator/jetstream/jetstream_pool_board.h"
#include "worker-runtime/nats/connection.h"

namespace lanekeeper {

// Made and destroyed by one thread; the ports are used by any.
class TenantLine {
 public:
  virtual ~TenantLine() = default;  // Ends it. Waits some seconds at most.

  virtual LaneProbe& probe() = 0;
  virtual Queues& queues() = 0;
  virtual Ledger& ledger() = 0;
  virtual PoolBoard& board() = 0;

  // See nats::Connection::Renew.
  virtual Result<void> Renew(nats::Access access) = 0;
  virtual bool Connected() const = 0;
  virtual std::string LastError() const = 0;
  // The board has told everything, as far as can be known.
  virtual bool AllTold() const = 0;
  // Ends the connection: whatever waits for it fails at once.
  virtual void Shut() = 0;
};

struct TenantLineOptions {
  std::chrono::milliseconds sample_interval{500};
  std::function<std::string(const PoolStatus&)> status_json;  // Always set.
  std::string name = "lanekeeper-operator";                   // Shown in the server's connections.
  const Leadership* leadership = nullptr;  // May be null; else outlives the line.
};

// Whose tenant, and where it is.
struct TenantAddress {
  std::string pool_namespace;
  std::string url;
};

// Returns at once; connects in the background, and goes on trying. kInvalid: `access` cannot be
// used. `clock` outlives the line.
Result<std::unique_ptr<TenantLine>> OpenJetStreamLine(
    const TenantAddress& address, nats::Access access, const Clock& clock,
    const TenantLineOptions& options, std::function<void(const LaneKey&)> on_change);

}  // namespace lanekeeper
