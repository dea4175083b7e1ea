// What becomes of a job: two decisions, one when it arrives and one when its handler returned.
//
// Pure: no I/O, no clock. `delivery` counts from 1. It is all this version knows about a job's
// past, and it counts failures, deaths of workers and interruptions alike; kDeliveryHeadroom is the
// answer to that (README, Decisions).
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "worker-runtime/base/backoff.h"
#include "worker-runtime/job/outcome.h"

namespace lanekeeper {

// Why a job became a dead letter: stable words, people alert on them.
inline constexpr std::string_view kDeadAttemptsUsedUp = "attempts-used-up";
inline constexpr std::string_view kDeadRejected = "rejected";
inline constexpr std::string_view kDeadUndecodable = "undecodable";
inline constexpr std::string_view kDeadUnknownType = "unknown-type";
inline constexpr std::string_view kDeadDeadlinePassed = "deadline-passed";
inline constexpr std::string_view kDeadWorkerDeaths = "worker-deaths";

// Deliveries beyond the attempts in which a job still starts: a job whose worker was drained or
// killed a few times is not refused for it. A failure in one of them is final.
inline constexpr int kDeliveryHeadroom = 3;

// From WorkerPool.spec.lanes[].jobs.
struct SettlementPolicy {
  int attempts_max = 5;  // >= 1.
  Backoff backoff;
  bool operator==(const SettlementPolicy&) const = default;
};

struct Ack {
  bool operator==(const Ack&) const = default;
};
struct RetryAfter {
  std::chrono::milliseconds delay{0};  // 0 = at once. Without jitter: the caller adds it.
  bool operator==(const RetryAfter&) const = default;
};
struct DeadLetter {
  std::string reason;   // One of the words above.
  std::string message;  // For people.
  bool operator==(const DeadLetter&) const = default;
};
using Settlement = std::variant<Ack, RetryAfter, DeadLetter>;

// For a job that has just arrived: the dead letter it becomes without running, or nothing (run it).
// More than attempts_max + kDeliveryHeadroom deliveries mean that nobody lived to settle it.
std::optional<DeadLetter> DecideReceipt(
    const SettlementPolicy& policy, int delivery,
    const std::optional<std::chrono::system_clock::time_point>& deadline,
    std::chrono::system_clock::time_point now);

// For a job whose handler returned `outcome`. Never fails.
Settlement DecideSettlement(const SettlementPolicy& policy, int delivery, const Outcome& outcome);

}  // namespace lanekeeper
