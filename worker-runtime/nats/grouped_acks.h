// Confirmed acknowledgements at little more than the price of unconfirmed ones.
//
// A server works off the acks of one connection to one consumer in the order they were sent, so the
// answer to the last of a group confirms all of it. Acks that come while a group is under way make
// the next one: the busier, the larger.
//
// Around a change of the consumer's leader a server may drop a single ack of a group and answer the
// last: that job is delivered again, as after an ack that was lost.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "worker-runtime/base/result.h"
#include "worker-runtime/nats/connection.h"

namespace lanekeeper::nats {

// Any thread. All acks go to one consumer.
class GroupedAcks {
 public:
  using Handler = std::function<void(Result<void>)>;

  // `connection` outlives this. `timeout`: of a group's answer.
  GroupedAcks(Connection& connection, std::chrono::milliseconds timeout);

  // `handler` is called exactly once, as with Connection::RequestAsync. One try: after an error the
  // ack may or may not have arrived.
  void Ack(std::string ack_subject, Handler handler);

 private:
  struct State;
  static void SendGroup(const std::shared_ptr<State>& state);

  const std::shared_ptr<State> state_;  // Shared with answers that come after the end of this.
};

}  // namespace lanekeeper::nats
