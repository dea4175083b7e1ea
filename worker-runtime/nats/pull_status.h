// What a status message on the inbox of a pull means for it. Pure.
#pragma once

#include <optional>
#include <string>

#include "worker-runtime/base/result.h"
#include "worker-runtime/nats/connection.h"

namespace lanekeeper::nats {

struct PullStatus {
  enum class Effect {
    kAlive,           // A heartbeat.
    kPartOver,        // One request ended; `unfilled` of its messages never came.
    kAllOver,         // Every open request is gone: ask again at once.
    kGone,            // Nobody answers or the consumer was removed: ask again later.
    kBatchTooLarge,   // Ask again for at most `batch_max`.
    kExpiresTooLong,  // Ask again for a shorter time.
    kImpossible,      // The consumer cannot be pulled from like this.
  };
  Effect effect = Effect::kAlive;
  std::optional<int> unfilled;  // kPartOver: nothing when the server did not say.
  int batch_max = 0;
  Error error;  // For kGone and kImpossible.
  bool operator==(const PullStatus&) const = default;
};

// Precondition: message.status != 0.
PullStatus ReadPullStatus(const Message& message);

}  // namespace lanekeeper::nats
