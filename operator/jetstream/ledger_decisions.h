// The ledger as a gateway shows it: the decisions with their terms in words.
#pragma once

#include <memory>

#include "operator/control/ledger.h"
#include "worker-runtime/gateway/decisions.h"
#include "worker-runtime/nats/connection.h"

namespace lanekeeper {

// Pure.
gateway::Decision DecisionOf(const LedgerEntry& entry);

// Reads LK_LEDGER. Last has no decisions while there is no ledger; entries it cannot read are left
// out. kQueueUnavailable. `connection` outlives it.
std::unique_ptr<gateway::DecisionLog> MakeDecisionLog(nats::Connection& connection);

}  // namespace lanekeeper
