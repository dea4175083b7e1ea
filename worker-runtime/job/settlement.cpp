#include "worker-runtime/job/settlement.h"

#include <cassert>

namespace lanekeeper {

std::optional<DeadLetter> DecideReceipt(
    const SettlementPolicy& policy, int delivery,
    const std::optional<std::chrono::system_clock::time_point>& deadline,
    std::chrono::system_clock::time_point now) {
  assert(policy.attempts_max >= 1);
  assert(delivery >= 1);
  if (delivery > policy.attempts_max + kDeliveryHeadroom) {
    return DeadLetter{std::string(kDeadWorkerDeaths),
                      "started " + std::to_string(delivery - 1) +
                          " times and never settled: its workers died or gave it back"};
  }
  if (deadline && now >= *deadline) {
    return DeadLetter{std::string(kDeadDeadlinePassed), "its deadline passed before it started"};
  }
  return std::nullopt;
}

Settlement DecideSettlement(const SettlementPolicy& policy, int delivery, const Outcome& outcome) {
  assert(policy.attempts_max >= 1);
  assert(delivery >= 1);
  if (std::holds_alternative<Done>(outcome)) return Ack{};
  if (std::holds_alternative<Interrupted>(outcome)) return RetryAfter{};
  if (const auto* rejected = std::get_if<Rejected>(&outcome)) {
    return DeadLetter{std::string(kDeadRejected), rejected->why};
  }
  if (delivery >= policy.attempts_max) {
    return DeadLetter{std::string(kDeadAttemptsUsedUp), std::get<Failed>(outcome).why};
  }
  return RetryAfter{policy.backoff.After(delivery)};
}

}  // namespace lanekeeper
