// The pull loop of a worker, and what it may do with a delivered message.
//
//   open ─▶ Fetch ─▶ Fetch ─▶ … ─▶ Withdraw ─▶ (Fetch opens it again)
//
// An open pull request stays with the server between two calls of Fetch. The server never holds
// requests for more messages than the caller has room for, so no message waits in a worker without
// a slot.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "worker-runtime/base/clock.h"
#include "worker-runtime/base/result.h"
#include "worker-runtime/nats/connection.h"

namespace lanekeeper::nats {

struct Delivery {
  Message message;  // message.reply is the ack subject.
  std::string stream;
  std::string consumer;
  std::uint64_t stream_sequence = 0;
  std::uint64_t consumer_sequence = 0;
  // Counts from 1. At least the number of workers that saw it: the server also counts a delivery
  // that a withdrawn pull overtook and nobody got.
  std::uint64_t delivered = 1;
  std::uint64_t pending = 0;  // Messages never delivered when this one was.
  WallTime stored_at{};
};

// Pure. Reads the ack subject, v1 (`$JS.ACK.<stream>.<consumer>.…`, 9 tokens) or v2 (with domain
// and account, 11 or more). kInvalid for anything else.
Result<Delivery> ParseDelivery(Message message);

struct PullOptions {
  std::chrono::milliseconds expires{30000};        // Of one pull request. >= 2 * idle_heartbeat.
  std::chrono::milliseconds idle_heartbeat{5000};  // Two missed ones: ask again.
  int batch_max = 1000;                            // Of one pull request.
  // Longest pause after an error that would otherwise repeat at once (no consumer, no JetStream).
  std::chrono::milliseconds retry_wait_max{2000};
};

struct PullStats {
  std::uint64_t pulls_sent = 0;
  std::uint64_t heartbeats_missed = 0;  // Pulls given up because the server went silent.
  std::uint64_t unreadable = 0;         // Messages on the inbox that were no deliveries.
};

// One thread at a time calls Fetch and Withdraw; Interrupt from any thread. Destroying it withdraws
// without waiting: what arrives afterwards is redelivered after ack_wait, so call Withdraw first.
class PullConsumer {
 public:
  // Sends nothing yet. `connection` outlives this; it need not be connected.
  static Result<std::unique_ptr<PullConsumer>> Open(Connection& connection, std::string stream,
                                                    std::string consumer, PullOptions options = {});
  virtual ~PullConsumer() = default;

  // Asks for up to `batch_max` messages in all (the caller's free slots, >= 1), counting what is
  // already asked for, and returns as soon as there is at least one; empty after `timeout` or
  // Interrupt. Never more than batch_max; what is left over comes with the next call.
  // kNotFound: no such stream or consumer. kRetryable: not connected, no answer, JetStream off.
  // kForbidden: may not ask. kInvalid: not a pull consumer. After an error just call it again: it
  // paces itself, takes `timeout` at most, and asks anew as soon as that can succeed.
  virtual Result<std::vector<Delivery>> Fetch(int batch_max, std::chrono::milliseconds timeout) = 0;

  // Makes a running Fetch, or the next one, return what it has at once. Any thread.
  virtual void Interrupt() = 0;

  // Takes back everything asked for and returns what the server had sent before it understood, and
  // what earlier calls left over: nothing is stranded in this process. Run these or Nak them.
  // Returns within `timeout` (give it a second); see README for what happens in a cluster.
  virtual std::vector<Delivery> Withdraw(std::chrono::milliseconds timeout) = 0;

  // Messages asked for and not yet received. 0 after Withdraw.
  virtual int Requested() const = 0;
  virtual PullStats Stats() const = 0;
};

// Settlement. Any thread. Unconfirmed ones are written and may be lost with the connection (the
// message is then delivered again); while disconnected they are kept and sent after the reconnect.
Result<void> Ack(Connection& connection, const Delivery& delivery);
// Returns when the server has stored the ack; asks again within `timeout` when no answer comes (the
// server drops acks silently around a change of leader). Proves nothing about who owns the lease.
Result<void> AckConfirmed(Connection& connection, const Delivery& delivery,
                          std::chrono::milliseconds timeout);
// Delivered again after `delay`; 0 = at once.
Result<void> Nak(Connection& connection, const Delivery& delivery,
                 std::chrono::milliseconds delay = std::chrono::milliseconds(0));
// Renews the lease for another ack_wait.
Result<void> InProgress(Connection& connection, const Delivery& delivery);
// Never delivered again; removed from a work queue. `reason` is one line.
Result<void> Term(Connection& connection, const Delivery& delivery, std::string_view reason = {});
Result<void> TermConfirmed(Connection& connection, const Delivery& delivery,
                           std::string_view reason, std::chrono::milliseconds timeout);

}  // namespace lanekeeper::nats
